"""`mien edit` on one photograph: only what the mask says changes, and every wrong word is answered."""

import os
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from mien.commands.options import MethodOption
from mien.editing.editor import Editor
from mien.editing.methods import METHODS
from mien.errors import BundleNotFound, EditError, ImageError, InputError, NoFace, OutputError
from mien.image import Image, load_image, save_image
from mien.provenance import read_mark
from tests.commands.faces import face
from tests.commands.program import Program
from tests.tiny_edit import MOUTH, direction


def test_the_methods_of_the_command_are_those_of_the_editor() -> None:
    assert set(get_args(get_args(MethodOption)[0])) == set(METHODS)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_photograph_is_edited_and_reported(
    mien: Program, bundle: Path, portrait: Image, tmp_path: Path, suffix: str
) -> None:
    photo, out, mask = tmp_path / "photo.png", tmp_path / f"out{suffix}", tmp_path / "mask.png"
    save_image(photo, portrait)
    words = ["--bundle", bundle, "--set", "smile=1.5", "--set", "old=-1", "--no-deghost", "-o", out, "--mask-out", mask]
    outcome = mien("edit", photo, *words, "--method", "gradcam++", "--json")
    assert outcome.code == 0, outcome.err
    report = outcome.report
    height, width = portrait.shape[:2]
    assert (report["output"], report["mask"], report["size"]) == (str(out), str(mask), [width, height])
    assert report["edits"] == {"smile": 1.5, "old": -1.0} and report["method"] == "gradcam++"
    assert report["synthetic"] is True and {"encoder", "difference"} <= set(report["sessions"])
    assert {"align", "invert", "mask", "paste"} <= set(report["timings_ms"])
    assert read_mark(out) is not None and read_mark(mask) is not None
    edited, allowed = load_image(out), load_image(mask)
    assert edited.shape == allowed.shape == portrait.shape
    assert (allowed.max(2) == allowed.min(2)).all()
    if suffix == ".png":
        touched = (edited != portrait).any(2)
        assert report["changed"] == pytest.approx(touched.mean()) and 0.001 < touched.mean() < 0.9
        assert not touched[allowed[..., 0] == 0].any()


def test_the_result_is_that_of_the_editor(mien: Program, bundle: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "face.png", face())
    words = ["--aligned", "--bundle", bundle, "--set", "smile=1", "-o", tmp_path / "out.png"]
    outcome = mien("edit", tmp_path / "face.png", *words)
    assert outcome.code == 0 and outcome.out.endswith(f"{tmp_path / 'out.png'}\n")
    expected = Editor(bundle).apply(face(), {"smile": 1.0}, aligned=True)
    assert np.array_equal(load_image(tmp_path / "out.png"), expected.image)
    assert (expected.image != face()).any()


def test_a_strength_of_nothing_gives_the_photograph(mien: Program, bundle: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "face.png", face())
    words = ["--aligned", "--bundle", bundle, "--set", "smile=0", "-o", tmp_path / "out.png", "--json"]
    assert mien("edit", tmp_path / "face.png", *words).report["changed"] == 0
    assert np.array_equal(load_image(tmp_path / "out.png"), face())


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"--set": "smile"}, 2, "NAME=STRENGTH"),
        ({"--set": "=1"}, 2, "NAME=STRENGTH"),
        ({"--set": "smile=much"}, 2, "'much' is no finite number"),
        ({"--set": "smile=nan"}, 2, "'nan' is no finite number"),
        ({"--set": "smile=-inf"}, 2, "'-inf' is no finite number"),
        ({"--set": "smile="}, 2, "no finite number"),
        ({"--set": None}, 2, "say what to change"),
        ({"--face": "-1"}, 2, "neither"),
        ({"--face": "biggest"}, 2, "neither"),
        ({"--method": "magic"}, 2, "magic"),
        ({"--bundle": None}, 2, "--bundle"),
        ({"--set": "beard=1"}, EditError.exit_code, "smile, old, tan"),
        ({"--bundle": "nothing"}, BundleNotFound.exit_code, "no bundle 'nothing'"),
        ({"--bundle": "studio"}, 7, "'edit'"),
        ({"--directions": "nothing.npz"}, InputError.exit_code, "nothing.npz"),
        ({"photo": "missing.png"}, ImageError.exit_code, "missing.png"),
        ({"photo": "notes.png"}, ImageError.exit_code, "notes.png"),
        ({"photo": "missing.txt"}, InputError.exit_code, "no list missing.txt"),
        ({"photo": "wide.png"}, ImageError.exit_code, "square"),
        ({"--aligned": None}, NoFace.exit_code, "--aligned"),
        ({"-o": "out.webp"}, OutputError.exit_code, ".jpeg or .jpg or .png"),
        ({"-o": "nowhere/out.png"}, OutputError.exit_code, "nowhere does not exist"),
        ({"-o": "face.png"}, OutputError.exit_code, "would replace face.png"),
        ({"--mask-out": "out.png"}, OutputError.exit_code, "would replace out.png"),
        ({"--mask-out": "mask.jpg"}, OutputError.exit_code, "ends in .png"),
    ],
)
def test_wrong_words_give_one_message_and_leave_nothing(
    mien: Program,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    change: dict[str, str | None],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_image("face.png", face())
    save_image("wide.png", np.zeros((64, 96, 3), np.uint8))
    Path("notes.png").write_text("no picture\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    given = {
        "photo": "face.png",
        "--bundle": str(bundle),
        "--set": "smile=1",
        "-o": "out.png",
        "--aligned": "",
    } | change
    photo = given.pop("photo")
    words = [word for name, value in given.items() if value is not None for word in (name, value) if word]
    outcome = mien("edit", photo, *words)
    assert outcome.code == code, outcome.err
    assert message in " ".join(outcome.err.replace("│", " ").split()) and "Traceback" not in outcome.err
    assert outcome.out == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_attribute_given_twice_is_refused(mien: Program, bundle: Path, tmp_path: Path) -> None:
    words = ["--bundle", bundle, "--set", "smile=1", "--set", "smile=2", "-o", tmp_path / "out.png"]
    outcome = mien("edit", tmp_path / "face.png", *words)
    assert outcome.code == 2 and "'smile' is given twice" in outcome.err
    assert os.listdir(tmp_path) == []


def test_directions_of_ones_own_can_be_set(mien: Program, bundle: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "face.png", face())
    np.save(tmp_path / "blush.npy", direction("smile")[-1:])
    words = ["--bundle", bundle, "--aligned", "--method", "parsing", "-o", tmp_path / "out.png", "--json"]
    outcome = mien("edit", tmp_path / "face.png", *words, "--directions", tmp_path / "blush.npy", "--set", "blush=0.3")
    assert outcome.code == 0, outcome.err
    assert outcome.report["edits"] == {"blush": 0.3} and outcome.report["changed"] > 0
    more = load_image(tmp_path / "out.png").astype(int) - face()
    assert more[MOUTH][..., 0].min() > 50
