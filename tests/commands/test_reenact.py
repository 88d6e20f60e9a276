"""`mien reenact` and `mien template` from end to end, with the networks that ship, on a few frames."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mien as package
from mien.bundle import Bundle
from mien.commands import driver as driver_module
from mien.errors import InputError, MotionError, NoFace, OutputError
from mien.image import load_image, save_image
from mien.provenance import read_mark
from mien.reenact.template_files import read_template, write_template
from mien.reenact.templates import Template
from mien.stream.sources import CameraSource, open_source
from tests import tiny_fomm, tiny_tpsmm
from tests.commands.program import Program
from tests.tiny_lia import colour_bundle
from tests.tiny_liveportrait import tiny_liveportrait_bundle

DEMO = Path(package.__file__).parent / "bundles" / "studio" / "demo"
Image = NDArray[np.uint8]
COUNT = 5

FAMILIES: dict[str, Callable[[Path], Bundle]] = {
    "liveportrait": tiny_liveportrait_bundle,
    "fomm": tiny_fomm.blob_bundle,
    "lia": colour_bundle,
    "tpsmm": tiny_tpsmm.blob_bundle,
}


@pytest.fixture(scope="session")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smaller than what the networks see, which makes a frame cheap."""
    path = tmp_path_factory.mktemp("portrait") / "portrait.png"
    save_image(path, np.ascontiguousarray(load_image(DEMO / "source.jpg")[::2, ::2]))
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some frames of the clip that ships, losslessly."""
    folder = tmp_path_factory.mktemp("clip")
    with open_source(str(DEMO / "driving.mp4")) as frames:
        for frame in frames:
            if frame.index % 8 == 0:
                save_image(folder / f"{frame.index}.png", frame.image)
            if len(list(folder.iterdir())) == COUNT:
                break
    return folder


def pictures(folder: Path) -> list[Image]:
    return [load_image(path) for path in sorted(folder.iterdir())]


def test_a_template_drives_as_its_clip_does(mien: Program, portrait: Path, clip: Path, tmp_path: Path) -> None:
    done = mien("template", clip, "-o", tmp_path / "t.npz", "--json")
    assert done.code == 0, done.err
    assert (done.report["frames"], done.report["seen"], done.report["rate"]) == (COUNT, COUNT, "25")
    assert done.report["family"] == "studio"
    for driving, output in ((clip, "clip"), (tmp_path / "t.npz", "template")):
        done = mien("reenact", portrait, driving, "-o", tmp_path / output, "--json")
        assert done.code == 0, done.err
        assert done.report["frames"] == COUNT and done.report["rate"] == "25"
    for one, other in zip(pictures(tmp_path / "clip"), pictures(tmp_path / "template"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_clip_is_smoothed_as_a_whole_like_its_template(
    mien: Program, portrait: Path, clip: Path, tmp_path: Path
) -> None:
    mien("template", clip, "-o", tmp_path / "t.npz")
    for driving, smooth, output in ((clip, "file", "a"), (tmp_path / "t.npz", "file", "b"), (clip, "none", "c")):
        done = mien("reenact", portrait, driving, "-o", tmp_path / output, "--smooth", smooth)
        assert done.code == 0, done.err
    smoothed, replayed, raw = (np.array(pictures(tmp_path / name)) for name in "abc")
    np.testing.assert_array_equal(smoothed, replayed)
    assert len(smoothed) == COUNT and (smoothed != raw).any()


def test_one_picture_drives_one_picture(mien: Program, portrait: Path, clip: Path, tmp_path: Path) -> None:
    driving = sorted(clip.iterdir())[-1]
    done = mien("reenact", portrait, driving, "-o", tmp_path / "out.png", "--json")
    assert done.code == 0 and done.report["frames"] == 1, done.err
    mild = mien("reenact", portrait, driving, "-o", tmp_path / "mild.png", "--multiplier", 0.3)
    assert mild.code == 0 and mild.out.endswith(f"{tmp_path / 'mild.png'}\n")
    source, full, less = (load_image(path) for path in (portrait, tmp_path / "out.png", tmp_path / "mild.png"))
    assert read_mark(tmp_path / "out.png") is not None
    assert 0 < np.abs(less.astype(int) - source).mean() < np.abs(full.astype(int) - source).mean()


def test_a_film_as_the_source_keeps_its_own_motion(mien: Program, clip: Path, tmp_path: Path) -> None:
    still = sorted(clip.iterdir())[0]
    done = mien("reenact", clip, still, "-o", tmp_path / "one.png", "--json")
    assert done.code == 0 and done.report["frames"] == 1, done.err
    (tmp_path / "still").mkdir()
    for index in range(COUNT + 2):  # longer than the film, whose last picture then stays
        (tmp_path / "still" / f"{index}.png").write_bytes(still.read_bytes())
    assert mien("reenact", clip, tmp_path / "still", "-o", tmp_path / "out").code == 0
    results, own = pictures(tmp_path / "out"), [load_image(clip / f"{index * 8}.png") for index in range(COUNT)]
    assert len(results) == COUNT + 2
    for result, picture in zip(results, [*own, own[-1], own[-1]], strict=True):
        assert np.abs(result.astype(int) - picture).mean() < 2


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_makes_a_frame_of_each_and_holds_where_there_is_no_face(
    mien: Program, portrait: Path, clip: Path, tmp_path: Path, family: str
) -> None:
    FAMILIES[family](tmp_path / "faces")
    driving = tmp_path / "driving"
    driving.mkdir()
    for index, path in enumerate(sorted(clip.iterdir())):
        picture = load_image(path)
        save_image(driving / f"{index}.png", np.full_like(picture, 90) if index == 2 else picture)
    strong = ("--multiplier", 20)  # LIA's tiny network sees a mean colour, which hardly changes
    done = mien("reenact", portrait, driving, "-o", tmp_path / "out", "--bundle", tmp_path / "faces", *strong, "--json")
    assert done.code == 0, done.err
    assert done.report["frames"] == COUNT and done.report["status"] == {"tracked": COUNT - 1, "held": 1}
    made, own = pictures(tmp_path / "out"), load_image(portrait)
    assert len(made) == COUNT and all(picture.shape == own.shape for picture in made)
    np.testing.assert_array_equal(made[2], made[1])
    assert (made[-1] != made[0]).any()


def test_several_faces_at_once(mien: Program, portrait: Path, clip: Path, tmp_path: Path) -> None:
    one = load_image(portrait)
    save_image(tmp_path / "two.png", np.concatenate([one, one], 1))
    for face, moving in (("0", 1), ("1", 1), ("all", 2)):
        done = mien("reenact", tmp_path / "two.png", clip, "-o", tmp_path / f"out{face}", "--face", face)
        assert done.code == 0, done.err
        last = pictures(tmp_path / f"out{face}")[-1]
        halves = [(half != one).any() for half in np.split(last, 2, axis=1)]
        assert sum(halves) == moving


def other_family(path: Path, template: Path) -> Path:
    read = read_template(template)
    write_template(path, Template("lia", read.size, read.rate, read.time_base, read.pts, read.seen, read.parts))
    return path


def test_what_does_not_fit_is_said_and_nothing_is_written(
    mien: Program, portrait: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mien("template", clip, "-o", tmp_path / "t.npz").code == 0
    other_family(tmp_path / "lia.npz", tmp_path / "t.npz")
    (tmp_path / "notes.npz").write_text("not a template")
    (tmp_path / "d0.pkl").write_bytes(b"\x80\x04.")
    np.savez(tmp_path / "other.npz", np.zeros(3))
    cut = (tmp_path / "t.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(cut[: len(cut) // 2])
    before = sorted(tmp_path.iterdir())
    cases: list[tuple[list[Any], type[InputError] | int, str]] = [
        ([tmp_path / "lia.npz"], MotionError, "of the family 'lia', and this bundle is of 'studio'"),
        ([tmp_path / "notes.npz"], InputError, "neither an .npy nor an .npz"),
        ([tmp_path / "other.npz"], InputError, "no text 'about'"),
        ([tmp_path / "cut.npz"], InputError, "damaged or cut-off"),
        ([tmp_path / "missing.npz"], InputError, "no file"),
        ([tmp_path / "d0.pkl"], MotionError, "mien convert-template"),
        ([clip, "--region", "lips"], MotionError, "Asked for: regions. The family 'studio' cannot"),
        ([clip, "--retarget-eyes"], MotionError, "Asked for: retargeting"),
        ([clip, "--eyes", "0.2", "--normalise-lips"], MotionError, "lip normalisation and retargeting"),
        ([clip, "--multiplier", "nan"], MotionError, "finite number"),
        ([clip, "--face", "1"], InputError, "the picture has 1"),
        ([clip, "--eyes", "1.5"], 2, "--eyes"),
        ([clip, "--face", "ten"], 2, "--face"),
        ([clip, "--region", "ears"], 2, "--region"),
        ([clip, "--smooth", "sometimes"], 2, "--smooth"),
    ]
    for words, error, said in cases:
        done = mien("reenact", portrait, *words, "-o", tmp_path / "out.mp4")
        assert done.code == (error if isinstance(error, int) else error.exit_code), (words, done.err)
        assert said in " ".join(done.err.split()), words
        assert "Traceback" not in done.err and sorted(tmp_path.iterdir()) == before


def test_a_film_has_one_face_to_move(mien: Program, clip: Path, tmp_path: Path) -> None:
    done = mien("reenact", clip, clip, "-o", tmp_path / "out.mp4", "--face", "all")
    assert done.code == InputError.exit_code and "only the largest face of a film" in done.err


def test_several_frames_do_not_go_into_one_picture(mien: Program, portrait: Path, clip: Path, tmp_path: Path) -> None:
    done = mien("reenact", portrait, clip, "-o", tmp_path / "out.png")
    assert done.code == OutputError.exit_code and "is one picture, and there are more frames" in done.err


def test_a_camera_has_no_whole(mien: Program, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "open_source", lambda spec: CameraSource(str(DEMO / "driving.mp4")))
    done = mien("reenact", portrait, "0", "-o", tmp_path / "out.mp4", "--smooth", "file")
    assert done.code == MotionError.exit_code and "A camera has no end" in done.err


def test_a_template_needs_a_face_and_a_name(mien: Program, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "dark").mkdir()
    save_image(tmp_path / "dark" / "0.png", np.zeros((48, 64, 3), np.uint8))
    done = mien("template", tmp_path / "dark", "-o", tmp_path / "t.npz")
    assert done.code == NoFace.exit_code and "None of the 1 frames" in done.err
    done = mien("template", clip, "-o", tmp_path / "t.pkl")
    assert done.code == OutputError.exit_code and "written as .npz" in done.err
    assert not list(tmp_path.glob("t.*"))


def test_a_clip_without_a_face_has_nothing_to_smooth(mien: Program, portrait: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "dark.png", np.zeros((48, 64, 3), np.uint8))
    done = mien("reenact", portrait, tmp_path / "dark.png", "-o", tmp_path / "out.mp4", "--smooth", "file")
    assert done.code == NoFace.exit_code and "None of the 1 frames" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["dark.png"]
