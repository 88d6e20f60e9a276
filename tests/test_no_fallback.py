"""Where CUDA was asked for and cannot run, every door is shut with a typed error: nothing runs on the CPU instead."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mien import Editor, Reenactor
from mien.bundle import Bundle
from mien.commands.demo import FOLDER
from mien.errors import DeviceError, MissingDependency
from mien.image import load_image, save_image
from mien.reenact.family import open_family
from tests.commands.program import Program
from tests.tiny_edit import tiny_edit_bundle

Door = Callable[[], object]

WAYS = ("not built in", "does not start", "tensorrt", "rtx")
"""In which CUDA is missing: two for ONNX Runtime, one for each TensorRT. PyCUDA is missing in all."""


@pytest.fixture(params=WAYS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The backend to ask for, on a machine where it has no CUDA."""
    way: str = request.param
    runtime = "mien.sessions.ort.ort"
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    if way in ("tensorrt", "rtx"):
        return way
    providers = ["CPUExecutionProvider"] if way == "not built in" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
    real = pytest.importorskip("onnxruntime").InferenceSession
    monkeypatch.setattr(f"{runtime}.get_available_providers", lambda: providers)
    # What ONNX Runtime makes of CUDA where its libraries are missing: a session on the CPU, and a line in the log.
    monkeypatch.setattr(f"{runtime}.InferenceSession", lambda model, options, providers: real(model, options))
    return "ort"


@pytest.fixture(scope="module")
def edit_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "tiny"
    tiny_edit_bundle(path)
    return path


def shut(door: Door) -> None:
    with pytest.raises((DeviceError, MissingDependency)):
        door()


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_reenactor_and_its_family(backend: str, device: str) -> None:
    shut(lambda: Reenactor("studio", device=device, backend=backend))
    shut(lambda: open_family(Bundle.open("studio"), device, None, backend))


def test_an_editor(backend: str, edit_bundle: Path) -> None:
    shut(lambda: Editor(edit_bundle, device="cuda", backend=backend))


@pytest.mark.parametrize(
    "words",
    [
        "demo -o OUT.mp4",
        "reenact PORTRAIT CLIP -o OUT.mp4",
        "template CLIP -o OUT.npz",
        "bench",
        "edit PHOTO --bundle EDIT -o OUT.png --set smile=1 --aligned",
        "edit PHOTOS --bundle EDIT -o OUT --set smile=1 --aligned",
        "animate PHOTO --bundle EDIT -o OUT.mp4 --set smile=1 --aligned",
        "generate --bundle EDIT -o OUT.png --seed 1",
        "directions encode PHOTOS --bundle EDIT -o OUT.npz --aligned",
        "info --nodes",
    ],
)
def test_a_command(
    words: str, backend: str, edit_bundle: Path, mien: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    save_image("photos/photo.png", load_image(FOLDER / "source.jpg")[:64, :64])
    files = {"PORTRAIT": FOLDER / "source.jpg", "CLIP": FOLDER / "driving.mp4", "EDIT": edit_bundle}
    files |= {"PHOTO": Path("photos/photo.png"), "PHOTOS": Path("photos")}
    shown = mien(*(files.get(word, word) for word in words.split()), "--device", "cuda", "--backend", backend)
    assert shown.code in (DeviceError.exit_code, MissingDependency.exit_code), shown
    assert shown.err.startswith("mien: ") and not shown.out
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["photo.png"], "something was written"


@pytest.fixture
def mien(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)
