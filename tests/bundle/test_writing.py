"""A bundle is written whole or not at all, and the same bundle twice gives the same bytes."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.bundle import Bundle, write_bundle
from mien.errors import BundleInvalid, BundleTampered, DiskFull, OutputError
from tests import tiny

ARRAYS = {"points": np.zeros((2, 3), np.float32)}
both = pytest.mark.parametrize("name", ["b", "b.zip"])


@both
def test_sizes_and_hashes_are_filled_in(tmp_path: Path, name: str) -> None:
    bundle = tiny.tiny_bundle(tmp_path / name, ARRAYS)
    spec = bundle.network("motion")
    assert (spec.bytes, len(spec.sha256)) == (len(tiny.scale_model()), 64)
    assert bundle.manifest.arrays is not None
    assert os.listdir(tmp_path) == [name]


@both
def test_the_same_bundle_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    def contents() -> list[bytes]:
        path = tmp_path / name
        return [path.read_bytes()] if path.is_file() else [p.read_bytes() for p in sorted(path.iterdir())]

    tiny.tiny_bundle(tmp_path / name, ARRAYS)
    first = contents()
    write_bundle(tmp_path / name, tiny.tiny_manifest(), {"motion": tiny.scale_model()}, ARRAYS, overwrite=True)
    assert contents() == first
    assert os.listdir(tmp_path) == [name]


@both
def test_what_is_there_is_overwritten_only_when_asked(tmp_path: Path, name: str) -> None:
    tiny.tiny_bundle(tmp_path / name)
    with pytest.raises(OutputError, match="something at"):
        tiny.tiny_bundle(tmp_path / name)
    write_bundle(tmp_path / name, tiny.tiny_manifest(), {"motion": tiny.scale_model(5)}, overwrite=True)
    result = Bundle.open(tmp_path / name).session("motion").run({"image": np.ones((1, 3, 8, 8), np.float32)})
    assert result["scaled"].max() == 5


def test_every_network_of_the_manifest_is_needed_and_no_other(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match=r"networks \['motion'\]; got \[\]"):
        write_bundle(tmp_path / "b", tiny.tiny_manifest(), {})
    with pytest.raises(BundleInvalid, match="generator"):
        models = {"motion": tiny.scale_model(), "generator": tiny.scale_model()}
        write_bundle(tmp_path / "b", tiny.tiny_manifest(), models)


@pytest.mark.parametrize("file", ["arrays.safetensors", "bundle.json", "motion.onnx"])
def test_every_network_needs_a_file_of_its_own(tmp_path: Path, file: str) -> None:
    specs = tiny.scale_spec(), tiny.scale_spec("other", file)
    models = {"motion": tiny.scale_model(), "other": tiny.scale_model()}
    with pytest.raises(BundleInvalid, match="file of its own"):
        write_bundle(tmp_path / "b", tiny.tiny_manifest(*specs), models, ARRAYS)
    assert not os.listdir(tmp_path)


def test_a_manifest_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    models = {"motion": tiny.scale_model()}
    with pytest.raises(BundleInvalid, match="task"):
        write_bundle(tmp_path / "b", replace(tiny.tiny_manifest(), task="paint"), models)
    with pytest.raises(BundleTampered, match="plain relative path"):
        write_bundle(tmp_path / "b", tiny.tiny_manifest(tiny.scale_spec(file="../motion.onnx")), models)
    assert not os.listdir(tmp_path)


@both
def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.tiny_bundle(tmp_path / name)

    def full(*args: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr("zipfile.ZipFile.writestr", full)
    with pytest.raises(DiskFull):
        write_bundle(tmp_path / name, tiny.tiny_manifest(), {"motion": tiny.scale_model(5)}, overwrite=True)
    assert os.listdir(tmp_path) == [name]
    Bundle.open(tmp_path / name).verify()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        tiny.tiny_bundle(tmp_path / "no" / "b.zip")
