"""Every network that mien exports becomes a TensorRT-RTX plan, in float32 and float16, for one batch and for several.

Without a GPU: parsing, operators, strong typing and shapes are checked for real, and no plan is run.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from mien.bundle import Bundle, NetworkSpec
from mien.sessions.trt_build import EngineBuildError, Network, Target, batch_ranges, build_plan
from mien_export.pack.edit import pack_edit
from mien_export.pack.fomm import pack_fomm
from mien_export.pack.lia import pack_lia
from mien_export.pack.liveportrait import pack_liveportrait
from mien_export.pack.tpsmm import pack_tpsmm
from mien_export.precision import to_half
from tests.export import small_edit, small_fomm, small_liveportrait, test_lia
from tests.export.small_tpsmm import SMALL as SMALL_TPSMM
from tests.export.small_tpsmm import small_checkpoint as tpsmm_checkpoint
from tests.export.test_edit_full_size import write_checkpoints as write_edit_checkpoints
from tests.export.test_reenact_full_size import write_checkpoints as full_size_checkpoints

ADA = Target("rtx", 89)


def plans(spec: NetworkSpec, model: bytes, batches: tuple[int, ...] = (1, 4)) -> list[int]:
    """Bytes of the plans for batches up to each of ``batches``, or of the one plan of a static network."""
    inputs, outputs = (tuple(info.spec for info in infos) for infos in (spec.inputs, spec.outputs))
    network = Network(model, inputs, outputs)
    shapes = dict.fromkeys(batch_ranges(inputs, most) for most in batches)
    return [len(build_plan(network, one, ADA)) for one in shapes]


def faults(bundle: Bundle, batches: tuple[int, ...] = (1, 4)) -> Mapping[str, str]:
    """What does not build, with TensorRT's own words."""
    found = {}
    for role, spec in bundle.manifest.networks.items():
        for precision in ("fp32", "fp16"):
            model = bundle.model(role)
            try:
                sizes = plans(spec, model if precision == "fp32" else to_half(model), batches)
                assert all(sizes)
            except EngineBuildError as error:
                found[f"{role} {precision}"] = str(error)
    return found


def test_the_networks_of_the_studio_bundle() -> None:
    assert not faults(Bundle.open("studio"))


@pytest.mark.parametrize("kind", ["psp-w", pytest.param("restyle-psp", marks=pytest.mark.slow)])
def test_the_networks_of_editing(kind: str, tmp_path: Path) -> None:
    files = small_edit.write_checkpoints(tmp_path, kind)
    bundle = pack_edit(files, tmp_path / "edit", networks=small_edit.NETWORKS)[0]
    assert len(bundle.manifest.networks) == 9
    assert not faults(bundle, (6,))


def test_the_networks_of_liveportrait(tmp_path: Path) -> None:
    files = small_liveportrait.write_checkpoints(tmp_path / "files")
    folder = files[0].parents[1]
    assert not faults(pack_liveportrait([folder], tmp_path / "made", built=small_liveportrait.NETWORKS)[0])


def test_the_networks_of_fomm(tmp_path: Path) -> None:
    small_fomm.small_checkpoint(tmp_path / "vox.pth.tar")
    assert not faults(pack_fomm(tmp_path / "vox.pth.tar", tmp_path / "made", networks=small_fomm.SMALL)[0])


def test_the_networks_of_lia(tmp_path: Path) -> None:
    with torch.no_grad():
        path = test_lia.checkpoint(tmp_path / "vox.pt", test_lia.small_generator())
        assert not faults(pack_lia(path, tmp_path / "made")[0])


def test_the_networks_of_tpsmm(tmp_path: Path) -> None:
    tpsmm_checkpoint(tmp_path / "vox.pth.tar")
    assert not faults(pack_tpsmm(tmp_path / "vox.pth.tar", tmp_path / "made", networks=SMALL_TPSMM)[0])


@pytest.mark.slow
@pytest.mark.parametrize("family", ["liveportrait", "fomm", "lia", "tpsmm"])
def test_the_public_sizes_of_reenactment(family: str, tmp_path: Path) -> None:
    files = full_size_checkpoints(family, tmp_path)
    made = tmp_path / "made"
    if family == "liveportrait":
        bundle, _ = pack_liveportrait(files, made)
    else:
        bundle, _ = {"fomm": pack_fomm, "lia": pack_lia, "tpsmm": pack_tpsmm}[family](files[0], made)
    assert not faults(bundle)


@pytest.mark.slow
def test_the_public_sizes_of_editing(tmp_path: Path) -> None:
    """StyleGAN2 with 1024 pixels, pSp's encoder, and all the rest; 7 GB of memory, ten minutes."""
    given = write_edit_checkpoints(tmp_path)
    made = tmp_path / "made"
    subprocess.run([sys.executable, "-m", "mien.cli", "export", "edit", *given, "-o", str(made)], check=True)
    bundle = Bundle.open(made)
    assert len(bundle.manifest.networks) == 8
    assert not faults(bundle, (2,))
