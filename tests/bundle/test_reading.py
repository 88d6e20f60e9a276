"""A bundle opens from a folder or a zip, and nothing in it is parsed before it is proven to be what was written."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.bundle import Bundle, embedded_bundles, reading, write_bundle
from mien.errors import BundleError, BundleInvalid, BundleNotFound, BundleTampered, MienError
from tests import tiny

POINTS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.tiny_bundle(tmp_path / "tiny", {"points": POINTS})
    return tmp_path / "tiny"


@pytest.fixture(params=["folder", "zip"])
def change(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, bytes | None]], Path]:
    """Makes a bundle, a folder or a zip, whose files are replaced, added or (None) left out."""

    def build(changes: dict[str, bytes | None]) -> Path:
        tiny.tiny_bundle(tmp_path / "good", {"points": POINTS})
        files: dict[str, bytes | None] = {p.name: p.read_bytes() for p in (tmp_path / "good").iterdir()}
        contents = {name: data for name, data in (files | changes).items() if data is not None}
        if request.param == "zip":
            with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
                for name, data in contents.items():
                    archive.writestr(name, data)
            return tmp_path / "b.zip"
        for name, data in contents.items():
            (tmp_path / "b").mkdir(exist_ok=True)
            (tmp_path / "b" / name).write_bytes(data)
        return tmp_path / "b"

    return build


def edited(folder: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """The folder with its manifest edited."""
    path = folder / "bundle.json"
    data = json.loads(path.read_bytes())
    edit(data)
    path.write_text(json.dumps(data))
    return folder


def use(path: Path) -> None:
    """Opens a bundle and everything in it."""
    bundle = Bundle.open(path)
    bundle.session("motion")
    bundle.array("points")


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_what_was_written_is_read(tmp_path: Path, name: str) -> None:
    tiny.tiny_bundle(tmp_path / name, {"points": POINTS})
    bundle = Bundle.open(str(tmp_path / name))
    bundle.verify()
    assert bundle.manifest.name == "tiny"
    assert np.array_equal(bundle.array("points"), POINTS)
    result = bundle.session("motion").run({"image": np.ones((1, 3, 8, 8), np.float32)})
    assert result["scaled"].max() == 2


def test_arrays_cannot_be_changed(folder: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        Bundle.open(folder).array("points")[0] = 1


def test_a_bundle_without_arrays(tmp_path: Path) -> None:
    bundle = tiny.tiny_bundle(tmp_path / "b")
    assert bundle.arrays == {}
    with pytest.raises(BundleInvalid, match="no array 'points'; it has: none"):
        bundle.array("points")


def test_unknown_names_list_the_known_ones(folder: Path) -> None:
    bundle = Bundle.open(folder)
    with pytest.raises(BundleInvalid, match=r"no network for the role 'generator'; it has: motion"):
        bundle.session("generator")
    with pytest.raises(BundleInvalid, match="no array 'basis'; it has: points"):
        bundle.array("basis")


def test_there_is_no_such_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="no bundle 'nothing'"):
        Bundle.open("nothing")
    with pytest.raises(BundleNotFound):
        Bundle.open(tmp_path / "nothing.zip")


def test_a_bundle_that_mien_brings_has_a_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "EMBEDDED", folder.parent)
    (folder.parent / "no bundle").mkdir()
    assert embedded_bundles() == ("tiny",)
    assert Bundle.open("tiny").manifest.name == "tiny"
    with pytest.raises(BundleNotFound, match=r"that mien brings \(tiny\)"):
        Bundle.open("tinny")


def test_the_bundles_that_mien_brings_are_whole() -> None:
    for name in embedded_bundles():
        Bundle.open(name).verify()


def test_a_file_that_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"hello")
    with pytest.raises(BundleInvalid, match="neither a folder nor a readable zip"):
        Bundle.open(tmp_path / "a.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleInvalid, match=r"lacks the file 'bundle\.json'"):
        Bundle.open(tmp_path / "empty")


def test_a_wrong_hash(change: Callable[..., Path]) -> None:
    model = tiny.scale_model()
    damaged = model[:-1] + bytes([model[-1] ^ 1])
    with pytest.raises(BundleTampered, match=r"'motion\.onnx'.*sha256"):
        use(change({"motion.onnx": damaged}))


def test_a_wrong_hash_of_the_arrays(change: Callable[..., Path]) -> None:
    path = change({"arrays.safetensors": None})
    with pytest.raises(BundleInvalid, match="lacks the file 'arrays.safetensors'"):
        use(path)


@pytest.mark.parametrize("more", [-1, 1])
def test_a_wrong_size(change: Callable[..., Path], more: int) -> None:
    model = (tiny.scale_model() + b"\0")[: len(tiny.scale_model()) + more]
    with pytest.raises(BundleTampered, match=rf"{len(model)} bytes"):
        use(change({"motion.onnx": model}))


def test_a_missing_file(change: Callable[..., Path]) -> None:
    with pytest.raises(BundleInvalid, match=r"lacks the file 'motion\.onnx'"):
        use(change({"motion.onnx": None}))


def test_a_manifest_of_gigabytes(change: Callable[..., Path]) -> None:
    with pytest.raises(BundleTampered, match="at most"):
        use(change({"bundle.json": b" " * (reading.MOST_MANIFEST + 1)}))


@pytest.mark.parametrize(
    "name",
    [
        "../outside.onnx",
        "a/../../outside.onnx",
        "/etc/passwd",
        "./motion.onnx",
        "a//motion.onnx",
        "a\\motion.onnx",
        "C:motion.onnx",
        "motion.onnx/",
        "..",
        "motion\0.onnx",
    ],
)
def test_a_path_that_leads_elsewhere(folder: Path, name: str) -> None:
    shutil.copy(folder / "motion.onnx", folder.parent / "outside.onnx")

    def edit(data: dict[str, Any]) -> None:
        data["networks"]["motion"]["file"] = name

    with pytest.raises(BundleTampered, match="plain relative path inside the bundle"):
        use(edited(folder, edit))


def test_a_symbolic_link(folder: Path) -> None:
    os.replace(folder / "motion.onnx", folder.parent / "outside.onnx")
    (folder / "motion.onnx").symlink_to(folder.parent / "outside.onnx")
    with pytest.raises(BundleTampered, match="symbolic link"):
        use(folder)


def test_a_folder_that_is_a_symbolic_link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    os.replace(folder / "motion.onnx", folder.parent / "elsewhere" / "motion.onnx")
    (folder / "networks").symlink_to(folder.parent / "elsewhere")

    def edit(data: dict[str, Any]) -> None:
        data["networks"]["motion"]["file"] = "networks/motion.onnx"

    with pytest.raises(BundleTampered, match="symbolic link"):
        use(edited(folder, edit))


def test_the_bundle_itself_may_lie_behind_a_link(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    use(folder.parent / "link")


def test_a_folder_or_a_pipe_in_a_file_s_place(folder: Path) -> None:
    (folder / "motion.onnx").unlink()
    (folder / "motion.onnx").mkdir()
    with pytest.raises(BundleTampered, match="not a plain file"):
        use(folder)
    (folder / "motion.onnx").rmdir()
    os.mkfifo(folder / "motion.onnx")
    with pytest.raises(BundleTampered, match="not a plain file"):
        use(folder)


def test_a_file_in_a_folder_s_place(folder: Path) -> None:
    def edit(data: dict[str, Any]) -> None:
        data["networks"]["motion"]["file"] = "bundle.json/motion.onnx"

    with pytest.raises(BundleInvalid, match="lacks the file"):
        use(edited(folder, edit))


def test_networks_may_lie_in_folders_of_the_bundle(folder: Path) -> None:
    (folder / "a").mkdir()
    os.replace(folder / "motion.onnx", folder / "a" / "motion.onnx")

    def edit(data: dict[str, Any]) -> None:
        data["networks"]["motion"]["file"] = "a/motion.onnx"

    use(edited(folder, edit))


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_a_zip_with_a_member_that_leads_elsewhere(tmp_path: Path, name: str) -> None:
    tiny.tiny_bundle(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(BundleTampered, match="plain relative path"):
        Bundle.open(tmp_path / "b.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_a_member_twice(tmp_path: Path) -> None:
    tiny.tiny_bundle(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "a") as archive:
        archive.writestr("motion.onnx", b"x")
    with pytest.raises(BundleTampered, match="twice"):
        Bundle.open(tmp_path / "b.zip")


def test_a_zip_with_a_symbolic_link(tmp_path: Path) -> None:
    tiny.tiny_bundle(tmp_path / "good")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "good" / "bundle.json", "bundle.json")
        link = zipfile.ZipInfo("motion.onnx")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BundleTampered, match="not a plain file"):
        use(tmp_path / "b.zip")


def test_a_zip_bomb(tmp_path: Path) -> None:
    size = 1 << 25
    tiny.tiny_bundle(tmp_path / "good")

    def edit(data: dict[str, Any]) -> None:
        data["networks"]["motion"]["bytes"] = size

    edited(tmp_path / "good", edit)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "good" / "bundle.json", "bundle.json")
        archive.writestr("motion.onnx", bytes(size))
    with pytest.raises(BundleTampered, match="expands more than"):
        use(tmp_path / "b.zip")


def test_a_zip_with_too_many_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for index in range(1001):
            archive.writestr(str(index), b"")
    with pytest.raises(BundleInvalid, match="1001 members"):
        Bundle.open(tmp_path / "b.zip")


def test_a_zip_whose_member_lies_about_its_size(tmp_path: Path) -> None:
    tiny.tiny_bundle(tmp_path / "b.zip")
    data = (tmp_path / "b.zip").read_bytes()
    entry = data.rindex(b"PK\1\2", 0, data.rindex(b"motion.onnx"))
    size = struct.unpack_from("<I", data, entry + 24)[0]
    shorter = data[: entry + 24] + struct.pack("<I", size - 5) + data[entry + 28 :]
    (tmp_path / "b.zip").write_bytes(shorter)
    with pytest.raises(BundleError):
        use(tmp_path / "b.zip")


def test_a_zip_that_is_damaged_anywhere_is_an_error_of_ours(tmp_path: Path) -> None:
    tiny.tiny_bundle(tmp_path / "good.zip", {"points": POINTS})
    data = (tmp_path / "good.zip").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.choice(len(data), 60, replace=False):
        broken = bytearray(data)
        broken[place] ^= int(rng.integers(1, 256))
        (tmp_path / "bad.zip").write_bytes(broken)
        try:
            use(tmp_path / "bad.zip")
        except MienError:
            refused += 1
    assert refused > 30  # the rest are dates and the like


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(np.full(3, 2, np.float32).tobytes())
    with pytest.raises(BundleInvalid, match="external data"):
        write_bundle(tmp_path / "b", tiny.tiny_manifest(), {"motion": tiny.external_model()})


@pytest.mark.parametrize(
    "edit",
    [
        lambda network: network["inputs"][0].update(name="picture"),
        lambda network: network["inputs"][0].update(shape=["N", 3, 9, 9]),
        lambda network: network["outputs"][0].update(dtype="float16"),
        lambda network: network["outputs"].append(network["outputs"][0] | {"name": "more"}),
    ],
    ids=["name", "shape", "dtype", "number"],
)
def test_a_network_with_other_tensors_than_promised(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(BundleInvalid, match=r"puts of the network 'motion' are .*, but bundle\.json says"):
        use(edited(folder, lambda data: edit(data["networks"]["motion"])))


def test_a_free_size_may_have_any_name(folder: Path) -> None:
    def edit(data: dict[str, Any]) -> None:
        for tensor in data["networks"]["motion"]["inputs"] + data["networks"]["motion"]["outputs"]:
            tensor["shape"][0] = "batch"

    use(edited(folder, edit))
