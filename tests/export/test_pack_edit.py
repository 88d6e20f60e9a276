"""From public checkpoints to an edit bundle that opens, verifies, and edits a picture as torch would."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mien import Bundle
from mien.editing.editor import Editor
from mien.errors import InputError, OutputError
from mien_export.calibration import editing
from mien_export.checkpoints import Checkpoint, CheckpointError, part, read_state
from mien_export.encoder_kind import encoder_kind
from mien_export.lower import lower
from mien_export.networks.stylegan2 import Generator
from mien_export.onnx_export import TOLERANCE
from mien_export.pack.edit import EditFiles, pack_edit, read_generator
from mien_export.pack.edit_traced import OptionalFiles, traced_encoder, weighted
from tests.export.rtx_build import faults
from tests.export.small_edit import NETWORKS, SIZE, write_checkpoints


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> EditFiles:
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def bundle(files: EditFiles, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return pack_edit(files, tmp_path_factory.mktemp("bundle") / "edit.zip", networks=NETWORKS)[0]


def picture(side: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def test_every_network_is_there_and_near_to_torch(bundle: Bundle) -> None:
    assert set(bundle.manifest.networks) == {
        "mapping", "synthesis_early", "synthesis_late", "encoder", "parsing", "difference", "heat", "deghost",
        "identity",
    }  # fmt: skip
    for spec in bundle.manifest.networks.values():
        assert 0 <= spec.parity.max_abs_error <= TOLERANCE
        bundle.session(spec.role).close()


def test_tensorrt_builds_every_network(bundle: Bundle) -> None:
    assert not faults(bundle, (6,))


@pytest.mark.parametrize("method", ["none", "parsing", "diffcam", "diffcam++"])
def test_a_picture_is_edited_in_one_call(bundle: Bundle, method: str) -> None:
    photo = picture(50)
    result = Editor(bundle).apply(photo, {"smiling": 2.0}, method=method, aligned=True)
    assert result.image.shape == photo.shape
    assert np.array_equal(result.image[result.mask == 0], photo[result.mask == 0])
    assert not np.array_equal(result.inverted, result.edited)


def test_the_generator_draws_what_torch_draws(bundle: Bundle, files: EditFiles) -> None:
    editor = Editor(bundle)
    latent = editor.sample(5)
    assert files.generator is not None
    generator = Generator(SIZE, widest=32)
    generator.load_state_dict(torch.load(files.generator, weights_only=True)["g_ema"])
    with torch.no_grad():
        truth = generator(torch.from_numpy(latent.codes.copy())[None])[0]
    expected = ((truth.numpy().transpose(1, 2, 0) + 1) / 2).clip(0, 1) * 255
    assert np.abs(editor.render(latent) - expected).max() <= 0.51


def test_a_restyle_bundle_starts_from_the_mean_picture(tmp_path: Path) -> None:
    files = write_checkpoints(tmp_path, "restyle-psp")
    small = EditFiles(encoder=files.encoder, encoder_kind="restyle-psp")  # the generator in the encoder's file
    bundle = pack_edit(small, tmp_path / "bundle", networks=NETWORKS)[0]
    assert bundle.manifest.extra["steps"] == 5 and bundle.array("average_image").shape == (3, 256, 256)
    codes = Editor(bundle).invert(picture()).codes
    assert codes.shape == (8, 512) and np.isfinite(codes).all()


def test_the_wrong_file_is_named_for_what_it_is(files: EditFiles, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="StyleGAN2"):
        pack_edit(replace(files, optional=OptionalFiles(parsing=files.generator)), tmp_path / "b", networks=NETWORKS)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("prefix", ["", "decoder.", "g_ema.", "generator.", "generator_ema."])
def test_a_generator_is_found_under_any_prefix(files: EditFiles, tmp_path: Path, prefix: str) -> None:
    assert files.generator is not None
    state = read_state(files.generator).state
    poor = {f"generator.{key}": torch.zeros_like(value) for key, value in state.items()}
    others = {"discriminator.convs.0.weight": torch.ones(2)} if prefix else {}
    others |= poor if prefix == "generator_ema." else {}
    save_file(others | {prefix + key: value.half() for key, value in state.items()}, tmp_path / "g.safetensors")
    generator, mean = read_generator(replace(files, generator=tmp_path / "g.safetensors"), read_state(files.encoder))
    assert torch.allclose(generator.conv1.conv.weight, state["conv1.conv.weight"], atol=1e-2)
    assert mean.shape == (8, 512)


def test_an_encoder_that_is_alone_in_its_file_needs_no_prefix(files: EditFiles, tmp_path: Path) -> None:
    both = read_state(files.encoder)
    alone = Checkpoint(part(both, "encoder"))
    assert encoder_kind(alone) == "psp-w"
    one, other = (traced_encoder(NETWORKS, "psp-w", stored, torch.zeros(8, 512)) for stored in (both, alone))
    with torch.no_grad():
        assert torch.equal(one.module.eval()(**one.example), other.module.eval()(**other.example))


def test_the_averaged_network_is_taken_under_its_prefix(files: EditFiles, tmp_path: Path) -> None:
    assert files.optional.parsing is not None
    state = read_state(files.optional.parsing).state
    stored = {"net": {key: value * 0 for key, value in state.items()}, "net_ema": state, "epoch": 3}
    torch.save(stored, tmp_path / "p.pt")
    network = weighted(NETWORKS.parsing(), tmp_path / "p.pt", "a BiSeNet face parser")
    assert torch.equal(network.state_dict()["conv_out.conv.conv.weight"], state["conv_out.conv.conv.weight"])


def test_directions_of_another_generator_are_refused(files: EditFiles, tmp_path: Path) -> None:
    np.save(tmp_path / "old.npy", np.ones((18, 512)))
    with pytest.raises(InputError, match="18"):
        pack_edit(replace(files, directions=(str(tmp_path / "old.npy"),)), tmp_path / "b", networks=NETWORKS)


def test_nothing_is_replaced_unasked(files: EditFiles, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError):
        pack_edit(EditFiles(files.encoder, encoder_kind="psp-w"), tmp_path / "mine", networks=NETWORKS)


def test_lower_precisions_edit_nearly_the_same(bundle: Bundle, tmp_path: Path) -> None:
    made, rows = lower(bundle, tmp_path / "half", "fp16", editing(None))
    assert {row.role for row in rows if row.why} == {"identity"}
    codes = Editor(bundle).sample(1)
    whole, half = (Editor(b).render(codes).astype(int) for b in (bundle, made))
    assert 0 < np.abs(whole - half).max() <= 8


def test_a_folder_without_faces_calibrates_nothing(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="calibrate"):
        lower(bundle, tmp_path / "low", "int8", editing(tmp_path))
