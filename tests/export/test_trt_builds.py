"""Every network that mien exports becomes a TensorRT-RTX plan, in float32 and float16, for one batch and for several.

Here: what mien brings, and the public sizes. In small, the networks of editing and of each family are built where they
are exported: test_pack_edit, test_pack_liveportrait, test_fomm, test_lia, test_tpsmm.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mien.bundle import Bundle
from mien_export.pack.edit import pack_edit
from mien_export.pack.fomm import pack_fomm
from mien_export.pack.lia import pack_lia
from mien_export.pack.liveportrait import pack_liveportrait
from mien_export.pack.tpsmm import pack_tpsmm
from tests.export import small_edit
from tests.export.rtx_build import faults
from tests.export.test_edit_full_size import write_checkpoints as write_edit_checkpoints
from tests.export.test_reenact_full_size import write_checkpoints as full_size_checkpoints


def test_the_networks_of_the_studio_bundle() -> None:
    assert not faults(Bundle.open("studio"))


@pytest.mark.slow
def test_the_networks_of_another_encoder(tmp_path: Path) -> None:
    files = small_edit.write_checkpoints(tmp_path, "restyle-psp")
    bundle = pack_edit(files, tmp_path / "edit", networks=small_edit.NETWORKS)[0]
    assert len(bundle.manifest.networks) == 9
    assert not faults(bundle, (6,))


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
