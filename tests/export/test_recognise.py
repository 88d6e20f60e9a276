"""Every public architecture by its keys, and the encoders that keys cannot tell apart."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mien_export.checkpoints import Checkpoint, CheckpointError
from mien_export.encoder_kind import KINDS, encoder_kind
from mien_export.recognise import SIGNATURES, described, recognise

GOLDENS = Path(os.environ.get("MIEN_PARITY", Path(__file__).parents[1] / "goldens"))

NAMES = {
    "bisenet": "a BiSeNet face parser",
    "e4e_encoder": "a pSp or e4e encoder",
    "eogi_deghost": "a deghosting network",
    "eogi_diff": "a difference network",
    "fader_autoencoder": "a Fader autoencoder",
    "fader_autoencoder_shuffle": "a Fader autoencoder",
    "fader_autoencoder_skip": "a Fader autoencoder",
    "fomm_generator": "FOMM's generator",
    "fomm_kp_detector": "FOMM's keypoint detector",
    "irse50_arcface": "an ArcFace IR-SE50",
    "lia_generator": "LIA's generator",
    "liveportrait_appearance": "LivePortrait's appearance extractor (F)",
    "liveportrait_motion": "LivePortrait's motion extractor (M)",
    "liveportrait_retarget_eye": "LivePortrait's eye retargeting",
    "liveportrait_retarget_lip": "LivePortrait's lip retargeting",
    "liveportrait_spade": "LivePortrait's decoder (G)",
    "liveportrait_stitching": "LivePortrait's stitching network",
    "liveportrait_warp": "LivePortrait's warp (W)",
    "psp_encoder": "a pSp or e4e encoder",
    "psp_w_encoder": "a pSp encoder into W",
    "restyle_e4e": "a ReStyle encoder",
    "restyle_psp": "a ReStyle encoder",
    "stylegan2_256": "a StyleGAN2 generator",
    "tpsmm_avd": "TPSMM's AVD network",
    "tpsmm_dense_motion": "TPSMM's dense motion network",
    "tpsmm_inpainting": "TPSMM's inpainting network",
    "tpsmm_kp_detector": "TPSMM's keypoint detector",
}


def of_signature(name: str) -> dict[str, Tensor]:
    signature = next(one for one in SIGNATURES if one.name == name)
    return {key: torch.zeros(4, signature.width or 4, 3, 3) for key in signature.keys}


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("*.json")), ids=lambda path: path.stem)
def test_the_keys_of_the_goldens(path: Path) -> None:
    tensors = json.loads(path.read_text()).get("tensors")
    if not tensors:
        return  # a case of arithmetic, without a network
    state = {key: torch.empty(info["shape"], device="meta") for key, info in tensors.items()}
    if path.stem in NAMES:
        assert recognise(state) == NAMES[path.stem]


def test_there_are_goldens() -> None:
    assert len({path.stem for path in GOLDENS.glob("*.json")} & set(NAMES)) >= 9


@pytest.mark.parametrize("name", [one.name for one in SIGNATURES])
def test_no_signature_hides_another(name: str) -> None:
    assert recognise(of_signature(name)) == name


def test_what_is_not_known_is_described_by_its_keys() -> None:
    assert recognise({"a.b": torch.ones(1)}) is None
    assert described({"a.b": torch.ones(1)}) == "nothing known: a.b"
    both = {"encoder." + key: value for key, value in of_signature("a pSp or e4e encoder").items()}
    both |= {"decoder." + key: value for key, value in of_signature("a StyleGAN2 generator").items()}
    assert described(both) == "encoder. (a pSp or e4e encoder) and decoder. (a StyleGAN2 generator)"


def family(name: str, encoder_type: str | None = None) -> Checkpoint:
    state = {"encoder." + key: value for key, value in of_signature(name).items()}
    return Checkpoint(state | {"decoder.x": torch.ones(1)}, opts={"encoder_type": encoder_type} if encoder_type else {})


@pytest.mark.parametrize(
    ("looks", "encoder_type", "kind"),
    [
        ("a pSp or e4e encoder", "GradualStyleEncoder", "psp"),
        ("a pSp or e4e encoder", "Encoder4Editing", "e4e"),
        ("a pSp encoder into W", "BackboneEncoderUsingLastLayerIntoW", "psp-w"),
        ("a pSp encoder into W", None, "psp-w"),
        ("a ReStyle encoder", "BackboneEncoder", "restyle-psp"),
        ("a ReStyle encoder", "ProgressiveBackboneEncoder", "restyle-e4e"),
    ],
)
def test_the_settings_say_which_encoder(looks: str, encoder_type: str | None, kind: str) -> None:
    assert encoder_kind(family(looks, encoder_type)) == kind


def test_without_settings_equal_keys_need_a_word() -> None:
    for looks, kinds in (("a pSp or e4e encoder", "psp or e4e"), ("a ReStyle encoder", "restyle-psp or restyle-e4e")):
        with pytest.raises(CheckpointError, match=f"no opts that say which.*{kinds}"):
            encoder_kind(family(looks))
        for kind in kinds.split(" or "):
            assert encoder_kind(family(looks), kind) == kind
    bare = Checkpoint(of_signature("a pSp or e4e encoder"))
    assert encoder_kind(bare, "e4e") == "e4e"


def test_a_word_overrides_the_settings_but_not_the_weights() -> None:
    assert encoder_kind(family("a pSp or e4e encoder", "Encoder4Editing"), "psp") == "psp"
    with pytest.raises(CheckpointError, match="'restyle-psp' was asked for, but.*psp or e4e"):
        encoder_kind(family("a pSp or e4e encoder"), "restyle-psp")
    with pytest.raises(CheckpointError, match="'psp-w' is what the checkpoint's opts say"):
        encoder_kind(family("a pSp or e4e encoder", "SingleStyleCodeEncoder"))


def test_unknown_encoders_are_told_what_there_is() -> None:
    with pytest.raises(CheckpointError, match=", ".join(KINDS)):
        encoder_kind(family("a pSp or e4e encoder"), "hyperstyle")
    with pytest.raises(CheckpointError, match="name the encoder 'FancyEncoder'"):
        encoder_kind(family("a pSp or e4e encoder", "FancyEncoder"))
    with pytest.raises(CheckpointError, match="a ReStyle encoder on ResNet34"):
        encoder_kind(family("a ReStyle encoder on ResNet34"))
    with pytest.raises(CheckpointError, match=r"no weights under 'encoder\.'"):
        encoder_kind(Checkpoint(of_signature("a StyleGAN2 generator")))
