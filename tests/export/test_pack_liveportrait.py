"""LivePortrait's public files become a bundle that reenacts; files that do not belong together are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import mien
from mien import Bundle
from mien.image import load_image
from mien.reenact import Reenactor
from mien.reenact.transfer import Transfer
from mien_export.checkpoints import CheckpointError
from mien_export.pack.liveportrait import FILES, pack_liveportrait, parts_of, read_parts
from mien_export.pack.neutral_lips import NEUTRAL_LIPS
from tests.export.rtx_build import faults
from tests.export.small_liveportrait import NETWORKS, SIDE, write_checkpoints

GOLDENS = Path(__file__).parents[1] / "goldens"
DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
ROLES = ["motion", "appearance", "generator", "retarget_eye", "retarget_lip"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_checkpoints(tmp_path_factory.mktemp("liveportrait"))


@pytest.fixture(scope="module")
def bundle(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of the folder that holds them all."""
    out = tmp_path_factory.mktemp("made") / "portraits"
    made, exported = pack_liveportrait([files[0].parents[1]], out, built=NETWORKS)
    assert list(exported) == ROLES
    return made


def refused(paths: list[Path], out: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        pack_liveportrait(paths, out / "b", built=NETWORKS)
    assert not (out / "b").exists()
    return str(caught.value)


def test_the_bundle_says_what_it_is(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.task, manifest.family, manifest.name) == ("reenact", "liveportrait", "portraits")
    assert list(manifest.networks) == ROLES and manifest.extra["crop"] == 2 * SIDE
    assert "spade_generator.pth" in manifest.origin
    assert all(spec.parity.max_abs_error <= 1e-4 for spec in manifest.networks.values())
    context = {info.name: info.shape for info in bundle.network("appearance").outputs}
    assert {name: context[name] for name in context} == {
        info.name: info.shape for info in bundle.network("generator").inputs if info.name in context
    }


def test_tensorrt_builds_every_network(bundle: Bundle) -> None:
    assert not faults(bundle)


def test_the_neutral_lips_are_the_published_ones(bundle: Bundle) -> None:
    published = json.loads((GOLDENS / "liveportrait_crop.json").read_text("utf-8"))["lip_array"]
    assert np.array_equal(np.array(NEUTRAL_LIPS), published)
    assert np.array_equal(bundle.array("lip_neutral"), np.float32(published))


def test_the_bundle_reenacts_stitched_and_retargeted(bundle: Bundle) -> None:
    portrait, frame = (load_image(DEMO / "source.jpg") for _ in range(2))
    pictures = []
    for transfer in (Transfer(), Transfer(stitching=False), Transfer(eyes=0.1, lips=0.4)):
        reenactor = Reenactor(bundle, threads=1, transfer=transfer, smooth=False)
        reenactor.set_source(portrait)
        result = reenactor.step(frame)
        assert result.status == "tracked" and result.image.shape == portrait.shape
        pictures.append(result.image)
    assert not np.array_equal(pictures[0], portrait)
    assert all(not np.array_equal(pictures[0], other) for other in pictures[1:])


def test_files_are_known_by_what_is_in_them(files: list[Path], tmp_path: Path) -> None:
    named = zip("cadbe", files, strict=True)
    shuffled = sorted(Path(shutil.copy(path, tmp_path / f"{letter}.pth")) for letter, path in named)
    found, asked = read_parts(shuffled), read_parts(files)
    assert found.keys() == asked.keys() == FILES.keys()
    for name, state in asked.items():
        assert all(torch.equal(found[name][key], value) for key, value in state.items())


def test_every_part_is_found_under_its_public_name(files: list[Path]) -> None:
    found = {name: path.name for path in files for name in parts_of(path)}
    assert found == dict(FILES)


def test_a_missing_file_is_named(files: list[Path], tmp_path: Path) -> None:
    said = refused(files[:2] + files[3:], tmp_path)
    assert "Missing: LivePortrait's warp (W) (warping_module.pth)." in said and "motion extractor (M)" in said
    said = refused(files[:-1], tmp_path)
    assert said.count("stitching_retargeting_module.pth") == 3


def test_two_models_are_not_mixed(files: list[Path], tmp_path: Path) -> None:
    animals = shutil.copy(files[2], tmp_path / "warping_module.pth")
    said = refused([*files, Path(animals)], tmp_path)
    assert "LivePortrait's warp (W) was given twice" in said and str(animals) in said and "animals" in said


def test_a_checkpoint_of_something_else_is_named(files: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "vox-cpk.pth"
    detector = {"kp.weight": torch.zeros(1), "predictor.encoder.down_blocks.0.conv.weight": torch.zeros(1)}
    torch.save({"kp_detector": detector}, other)
    said = refused([*files[1:], other], tmp_path)
    assert "vox-cpk.pth is not one of LivePortrait's" in said and "FOMM's keypoint detector" in said


def test_another_version_does_not_fit(files: list[Path], tmp_path: Path) -> None:
    state = torch.load(files[2], weights_only=True)
    key = "dense_motion_network.mask.weight"
    state[key] = state[key][:-6]
    torch.save(state, tmp_path / "older.pth")
    said = refused([*files[:2], tmp_path / "older.pth", *files[3:]], tmp_path)
    assert "do not fit LivePortrait's warp (W)" in said and key in said


def test_a_folder_without_checkpoints_and_a_damaged_file(files: list[Path], tmp_path: Path) -> None:
    assert "holds no .pth" in refused([tmp_path], tmp_path)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(files[0].read_bytes()[:5000])
    assert "broken.pth" in refused([broken, *files[1:]], tmp_path)
