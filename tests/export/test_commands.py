"""`mien export` of the reenactment families: public files in, a bundle out, or a sentence that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mien import Bundle
from mien.errors import DeviceError, MienError, OutputError
from mien_export import commands
from mien_export.checkpoints import CheckpointError
from mien_export.networks import lia
from mien_export.pack import fomm as fomm_pack
from mien_export.pack import liveportrait as liveportrait_pack
from mien_export.pack import tpsmm as tpsmm_pack
from tests.export import small_fomm, small_liveportrait, small_tpsmm
from tests.export.rtx_build import plans

FAMILIES = ("liveportrait", "fomm", "lia", "tpsmm")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of small networks, laid out as published."""
    folder = tmp_path_factory.mktemp("checkpoints")
    small_liveportrait.write_checkpoints(folder / "liveportrait")
    small_fomm.small_checkpoint(folder / "vox-cpk.pth.tar")
    torch.manual_seed(0)
    torch.save({"gen": lia.Generator(32, 16, 4, widest=8).state_dict(), "d_optim": {}}, folder / "vox.pt")
    small_tpsmm.small_checkpoint(folder / "vox.pth.tar")
    return {
        "liveportrait": folder / "liveportrait",
        "fomm": folder / "vox-cpk.pth.tar",
        "lia": folder / "vox.pt",
        "tpsmm": folder / "vox.pth.tar",
    }


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fomm_pack, "FommNetworks", lambda: small_fomm.SMALL)
    monkeypatch.setattr(tpsmm_pack, "TpsmmNetworks", lambda: small_tpsmm.SMALL)
    monkeypatch.setattr(liveportrait_pack, "LivePortraitNetworks", lambda: small_liveportrait.NETWORKS)


def run(*words: object) -> str:
    """What the command prints; raises what it raised."""
    result = CliRunner().invoke(commands.app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("family", FAMILIES[1:])  # the first, with five networks, below
def test_a_family_is_exported(family: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    said = run(family, checkpoints[family], "-o", tmp_path / "faces.zip")
    bundle = Bundle.open(tmp_path / "faces.zip")
    assert (bundle.manifest.family, bundle.manifest.task) == (family, "reenact")
    assert all(role in said for role in bundle.manifest.networks)
    assert {spec.precision for spec in bundle.manifest.networks.values()} == {"fp32"}
    assert "faces.zip" in said.replace("\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["faces.zip"]


def test_float16_is_tuned_to_a_film_that_comes_with_mien(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    said = run("liveportrait", checkpoints["liveportrait"], "-o", tmp_path / "faces", "--precision", "fp16")
    manifest = Bundle.open(tmp_path / "faces").manifest
    networks = manifest.networks
    assert manifest.family == "liveportrait" and all(role in said for role in networks)
    assert {role: spec.precision for role, spec in networks.items()} == dict.fromkeys(networks, "fp16")
    assert "PSNR to fp32" in said
    assert said.count(" dB") == sum(len(spec.outputs) for spec in networks.values())
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_bfloat16_is_written_and_where_it_runs_is_said(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    run("fomm", checkpoints["fomm"], "-o", tmp_path / "faces", "--precision", "bf16")
    bundle = Bundle.open(tmp_path / "faces")
    low = [role for role, spec in bundle.manifest.networks.items() if spec.precision == "bf16"]
    assert low
    with pytest.raises(DeviceError, match="bf16 .*backend openvino.*rtx"):
        bundle.session(low[0])
    assert all(plans(bundle.network(low[0]), bundle.model(low[0]), (1,)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("given", FAMILIES)
def test_a_file_of_another_family_is_named(
    family: str, given: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    if family == given:
        return
    other = checkpoints[given]
    other = other / "base_models" / "motion_extractor.pth" if given == "liveportrait" else other
    looks = {
        "liveportrait": "LivePortrait's motion extractor",
        "fomm": "FOMM's",
        "lia": "LIA's generator",
        "tpsmm": "TPSMM's",
    }[given]
    with pytest.raises(CheckpointError, match=looks):
        run(family, other, "-o", tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for out, sentence in (("there", "already"), ("missing/b", "does not exist")):
        with pytest.raises(OutputError, match=sentence):
            run("lia", tmp_path / "never-read.pt", "-o", tmp_path / out)
    with pytest.raises(MienError, match="never-read"):  # and with the option, it goes on
        run("lia", tmp_path / "never-read.pt", "-o", tmp_path / "there", "--overwrite")
