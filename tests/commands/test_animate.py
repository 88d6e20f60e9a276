"""`mien animate`: the film starts and ends with the photograph itself, comes by the edit, and flickers nowhere."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mien.commands import animate as animate_module
from mien.commands.animate import FilmJob, animate
from mien.commands.edit import Wanted
from mien.editing.editor import Editor
from mien.editing.networks import Array, Networks
from mien.errors import EditError, ImageError, InputError, OutputError
from mien.image import Image, load_image, save_image
from mien.provenance import read_mark
from tests.commands.faces import face
from tests.commands.program import Program
from tests.media import INTERRUPTIBLE, read_video

ODD = 65


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """An aligned face of odd sides, with noise, so that the inversion loses something."""
    noise = np.random.default_rng(3).integers(-9, 10, (ODD, ODD, 3))
    save_image(tmp_path / "face.png", (face(side=ODD) + noise).astype(np.uint8))
    return tmp_path / "face.png"


def frames(folder: Path) -> list[Image]:
    return [load_image(path) for path in sorted(folder.iterdir())]


def test_there_and_back_in_pictures(mien: Program, bundle: Path, photo: Path, tmp_path: Path) -> None:
    words = ["--bundle", bundle, "--set", "smile=1", "--aligned", "--no-deghost", "--seconds", 1, "--rate", 21]
    outcome = mien("animate", photo, *words, "-o", tmp_path / "film", "--json")
    assert outcome.code == 0, outcome.err
    report, film, original = outcome.report, frames(tmp_path / "film"), load_image(photo)
    assert (report["frames"], report["size"], report["rate"]) == (21, [ODD, ODD], "21")
    assert report["rendered"] == 10 and report["edits"] == {"smile": 1.0} and report["synthetic"] is True
    assert len(film) == 21
    assert np.array_equal(film[0], original) and np.array_equal(film[-1], original)
    for before, after in zip(film, film[::-1], strict=True):
        assert np.array_equal(before, after)
    result = Editor(bundle).apply(original, {"smile": 1.0}, aligned=True, deghost=False)
    assert np.abs(film[10].astype(int) - result.image).max() <= 1
    for frame in film:
        assert not (frame != original).any(2)[result.mask == 0].any()
    assert read_mark(tmp_path / "film/000003.png") is not None


def test_the_strengths_grow_steadily_and_no_frame_jumps(bundle: Path, photo: Path, tmp_path: Path) -> None:
    wanted = Wanted(str(bundle), {"smile": 1.0, "old": -1.0}, deghost=False, aligned=True)
    animate(FilmJob(photo, tmp_path / "film", wanted, "there", 2.0))
    film = [frame.astype(float) for frame in frames(tmp_path / "film")]
    away = [np.abs(frame - film[0]).mean() for frame in film]
    assert len(film) == 50 and away[0] == 0 and away == sorted(away) and away[-1] > 1
    steps = [np.abs(b - a).mean() for a, b in zip(film, film[1:], strict=False)]
    assert max(steps) < 0.08 * away[-1]
    assert steps[0] < max(steps) / 5 and steps[-1] < max(steps) / 5


def test_even_counts_pass_the_whole_edit_too(bundle: Path, photo: Path, tmp_path: Path) -> None:
    wanted = Wanted(str(bundle), {"smile": 1.0}, aligned=True, deghost=False)
    report = animate(FilmJob(photo, tmp_path / "film", wanted, seconds=0.4))
    film = frames(tmp_path / "film")
    assert report.frames == 10 and report.rendered == 4
    assert np.array_equal(film[4], film[5]) and not np.array_equal(film[3], film[4])
    result = Editor(bundle).apply(photo, {"smile": 1.0}, aligned=True, deghost=False)
    assert np.abs(film[4].astype(int) - result.image).max() <= 1


def test_frames_beyond_the_memory_are_made_again(
    bundle: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted(str(bundle), {"smile": 1.0}, aligned=True)
    animate(FilmJob(photo, tmp_path / "kept", wanted, seconds=0.4))
    monkeypatch.setattr(animate_module, "KEPT_BYTES", 2 * ODD * ODD * 3)
    report = animate(FilmJob(photo, tmp_path / "again", wanted, seconds=0.4))
    assert report.rendered == 6
    for one, other in zip(frames(tmp_path / "kept"), frames(tmp_path / "again"), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_film_in_one_file(mien: Program, bundle: Path, photo: Path, tmp_path: Path, name: str) -> None:
    words = ["--bundle", bundle, "--set", "tan=-0.4", "--aligned", "--method", "none", "--rate", "25/2"]
    outcome = mien("animate", photo, *words, "-o", tmp_path / name)
    assert outcome.code == 0, outcome.err
    assert f"50 frames of {ODD}x{ODD}, 24 of them rendered" in outcome.out
    film, original = read_video(tmp_path / name), load_image(photo)
    assert len(film.images) == 50 and film.times[1] == Fraction(2, 25)
    size = ODD if name.endswith(".gif") else ODD + 1
    assert film.images[0].shape == (size, size, 3)
    assert np.abs(film.images[0][:ODD, :ODD].mean((0, 1)) - original.mean((0, 1))).max() < 4
    blue = [image[16:48, 16:48, 2].mean() for image in film.images]
    assert blue[0] - blue[25] > 40 and abs(blue[0] - blue[-1]) < 3
    assert sorted(os.listdir(tmp_path)) == ["face.png", name]


def test_a_curve_of_ones_own(mien: Program, bundle: Path, photo: Path, tmp_path: Path) -> None:
    curve = tmp_path / "curve.csv"
    curve.write_text("\ufefftime, smile, tan\n0.2,0,0\n\n0.4,1,-0.1\n0.6,1,-0.1\n1,0,0\n", "utf-8")
    words = ["--bundle", bundle, "--aligned", "--method", "none", "--rate", 10, "--curve", curve]
    outcome = mien("animate", photo, *words, "-o", tmp_path / "film", "--json")
    assert outcome.code == 0, outcome.err
    film, report = frames(tmp_path / "film"), outcome.report
    assert report["frames"] == len(film) == 11 and report["edits"] == {"smile": 1.0, "tan": -0.1}
    for still in (0, 1, 2, 10):
        assert np.array_equal(film[still], load_image(photo))
    assert np.array_equal(film[4], film[5]) and np.array_equal(film[4], film[6])
    assert not np.array_equal(film[3], film[4]) and not np.array_equal(film[7], film[8])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "should start with a line like"),
        ("smile,time\n0,0\n1,1\n", "should start with a line like"),
        ("time\n0\n1\n", "should start with a line like"),
        ("time,smile,smile\n0,0,0\n1,1,1\n", "should start with a line like"),
        ("time,smile\n0,0\n", "has 1 rows"),
        ("time,smile\n0,0\n1\n", "line 3"),
        ("time,smile\n0,0\n1,nan\n", "line 3"),
        ("time,smile\n0,0\n1,big\n", "line 3"),
        ("time,smile\n1,0\n1,1\n", "line 3: the time 1 does not come after 1"),
        ("time,smile\n-1,0\n1,1\n", "before 0"),
        ("time,smile\n0,0\n0.001,1\n", "it needs 3 to"),
        ("time,smile\n0,0\n1e9,1\n", "it needs 3 to"),
        ("time,smile\n0,0\n1,0\n", "All strengths are 0"),
        ("time,beard\n0,0\n1,1\n", "'beard'"),
    ],
)
def test_a_curve_that_is_none(
    mien: Program, bundle: Path, photo: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "curve.csv").write_text(text)
    words = ["--bundle", bundle, "--aligned", "--curve", tmp_path / "curve.csv", "-o", tmp_path / "film.mp4"]
    outcome = mien("animate", photo, *words)
    assert outcome.code == InputError.exit_code and message in outcome.err, outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"--set": "smile=nan"}, 2, "no finite number"),
        ({"--set": None}, 2, "say what to change"),
        ({"--rate": "fast"}, 2, "'fast'"),
        ({"--rate": "0"}, 2, "'0'"),
        ({"--rate": "25/0"}, 2, "'25/0'"),
        ({"--seconds": "nan"}, InputError.exit_code, "it needs 3 to"),
        ({"--seconds": "0.05"}, InputError.exit_code, "it needs 3 to"),
        ({"--set": "smile=0"}, EditError.exit_code, "there is no edit"),
        ({"--curve": "zigzag"}, EditError.exit_code, "there-and-back, there"),
        ({"--curve": "curve.csv"}, EditError.exit_code, "leave out --set"),
        ({"photo": "missing.png"}, ImageError.exit_code, "missing.png"),
        ({"-o": "film.xyz"}, OutputError.exit_code, ".gif"),
        ({"-o": "nowhere/film.mp4"}, OutputError.exit_code, "does not exist"),
        ({"-o": "film.gif", "--rate": "60"}, OutputError.exit_code, "at most 50"),
    ],
)
def test_wrong_words_give_one_message_and_leave_nothing(
    mien: Program,
    bundle: Path,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str | None],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(photo.parent)
    given = {"photo": photo.name, "--bundle": str(bundle), "--set": "smile=1", "-o": "film.mp4"} | change
    source = given.pop("photo")
    words = [word for name, value in given.items() if value is not None for word in (name, value)]
    outcome = mien("animate", source, "--aligned", *words)
    assert outcome.code == code, outcome.err
    assert message in " ".join(outcome.err.replace("│", " ").split()) and "Traceback" not in outcome.err
    assert os.listdir(photo.parent) == ["face.png"]


def test_ctrl_c_leaves_a_playable_film(bundle: Path, photo: Path, tmp_path: Path) -> None:
    script = f"""
import sys
from mien import cli
from mien.commands.animate import Film

def slow(self, strengths, real=Film.frame):
    import time
    time.sleep(0.02)
    if strengths[0] > 0.3:
        print("running", flush=True)
    return real(self, strengths)

Film.frame = slow
sys.argv = ["mien", "animate", {str(photo)!r}, "--bundle", {str(bundle)!r}, "--set", "smile=1", "--aligned",
            "-o", {str(tmp_path / "film.gif")!r}]
cli.main()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None and child.stdout.readline() == "running\n", child.communicate()[1]

    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert "Traceback" not in errors and f"are in {tmp_path / 'film.gif'}" in errors
    assert 3 <= len(read_video(tmp_path / "film.gif").images) < 100


def test_only_the_late_half_runs_for_each_frame_of_a_late_edit(
    mien: Program, bundle: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Counter[str]()

    def counted(real: Callable[..., dict[str, Array]]) -> Callable[..., dict[str, Array]]:
        def running(self: Networks, role: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
            runs[role] += 1
            return real(self, role, feeds)

        return running

    for name in ("run", "answer"):
        monkeypatch.setattr(Networks, name, counted(getattr(Networks, name)))
    for name, early in (("smile", 1), ("old", 12)):  # old also once for the mask
        runs.clear()
        words = ["--bundle", bundle, "--set", f"{name}=1", "--aligned", "--seconds", 0.84, "--no-deghost"]
        outcome = mien("animate", photo, *words, "-o", tmp_path / name, "--json")
        assert outcome.report["rendered"] == 10
        assert (runs["encoder"], runs["difference"], runs["heat"]) == (1, 1, 1)
        assert runs["synthesis_early"] == early and runs["synthesis_late"] == 12
