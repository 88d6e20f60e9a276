"""The command line from end to end but for the networks: a stand-in, defined here, shows the portrait's negative."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer

from mien import cli
from mien.commands import demo as demo_module
from mien.commands import driver as driver_module
from mien.commands import joining
from mien.commands import reenact as reenact_module
from mien.commands.usage import peak_memory, seconds_since_start
from mien.errors import BundleNotFound, DeviceError, ImageError, NoFace, OutputError, VideoError
from mien.image import load_image, save_image
from mien.provenance import read_mark
from mien.reenact import Reenacted, Transfer
from mien.stream.sources import CameraSource
from mien.timing import Stopwatch
from tests.media import INTERRUPTIBLE, Picture, audio_packets, marker, markers, read_video, truncated, write_video
from tests.tiny import tiny_bundle
from tests.tiny_edit import tiny_edit_bundle


class StandIn:
    """Has the reenactor's interface and gives the portrait's negative; a black frame has no face."""

    asked: dict[str, object]
    pause = 0.0

    def __init__(self, bundle: str, **options: object) -> None:
        if bundle != "studio":
            raise BundleNotFound(f"There is no bundle {bundle!r}.")
        if options["device"] != "cpu":
            raise DeviceError("Requested device was: 'cuda', but there is: cpu.")
        type(self).asked = options
        self.timings = Stopwatch()
        self.family = SimpleNamespace(sessions={})

    def set_source(self, image: Picture, face: object) -> None:
        type(self).asked["face"] = face
        if image.std() == 0:
            raise NoFace("No face was found in the picture.")
        self._negative = 255 - image

    def step(self, image: Picture, seconds: float) -> Reenacted:
        time.sleep(self.pause)
        with self.timings("track"):
            status = "tracked" if image.max() > 0 else "held"
        return Reenacted(self._negative.copy(), status, None)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    monkeypatch.setattr(reenact_module, "Reenactor", StandIn)
    monkeypatch.delenv("MIEN_DEBUG", raising=False)
    return StandIn


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "driver.mp4"
    rate = Fraction(30000, 1001)
    return write_video(path, markers(20), rate=rate, audio="aac", container={"movflags": "faststart"})


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portrait") / "portrait.png"
    save_image(path, marker(77, 64, 80))
    return path


def mien(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Runs the program in this process and returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["mien", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
        raise SystemExit(0)
    code = end.value.code
    return code if isinstance(code, int) else 0


def test_reenact_writes_the_video_and_reports_it_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clip: Path, portrait: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    assert mien(monkeypatch, "reenact", portrait, clip, "-o", out, "--json", "--absolute", "--threads", 1) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["frames"], report["size"], report["rate"]) == (20, [64, 80], "30000/1001")
    assert report["output"] == str(out) and report["synthetic"] is True
    assert report["status"] == {"tracked": 20}
    assert report["fps"] == pytest.approx(20 / report["seconds"])
    assert 0 < report["step_ms"]["p50"] <= report["step_ms"]["p99"]
    assert set(report["stage_seconds"]) == {"decode", "process", "encode", "track"}
    assert 0 < report["startup_seconds"] < seconds_since_start()
    assert 10 < report["peak_memory_mb"] <= peak_memory() + 5
    assert StandIn.asked == {
        "device": "cpu",
        "backend": "ort",
        "threads": 1,
        "transfer": Transfer(relative=False),
        "smooth": True,
        "neutral": False,
        "face": "largest",
    }
    video = read_video(out)
    assert len(video.images) == 20 and video.rate == Fraction(30000, 1001)
    assert np.abs(video.images[0].astype(int) - (255 - marker(77, 64, 80))).mean() < 6
    assert audio_packets(out) == audio_packets(clip)
    assert read_mark(out) is not None


def test_reenact_writes_a_folder_from_a_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], portrait: Path, tmp_path: Path
) -> None:
    (tmp_path / "driver").mkdir()
    for index in range(3):
        save_image(tmp_path / f"driver/{index}.png", marker(index))
    assert mien(monkeypatch, "reenact", portrait, tmp_path / "driver", "-o", tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["000000.png", "000001.png", "000002.png"]
    assert np.array_equal(load_image(tmp_path / "out/000001.png"), 255 - marker(77, 64, 80))
    shown = capsys.readouterr().out
    assert "3 frames of 64x80" in shown and shown.endswith(f"{tmp_path / 'out'}\n")


def test_frames_without_a_face_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], portrait: Path, tmp_path: Path
) -> None:
    (tmp_path / "driver").mkdir()
    for index, image in enumerate([marker(0), np.zeros((96, 128, 3), np.uint8), marker(1)]):
        save_image(tmp_path / f"driver/{index}.png", image)
    assert mien(monkeypatch, "reenact", portrait, tmp_path / "driver", "-o", tmp_path / "out.mp4") == 0
    assert "1 frame without a face" in capsys.readouterr().out


def test_a_driver_without_any_face_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], portrait: Path, tmp_path: Path
) -> None:
    dark = write_video(tmp_path / "dark.mkv", [np.zeros((16, 16, 3), np.uint8)] * 3, codec="ffv1", pixels="bgr0")
    assert mien(monkeypatch, "reenact", portrait, dark, "-o", tmp_path / "out.mp4") == NoFace.exit_code
    assert "None of the 3 frames" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"source": "missing.png"}, ImageError.exit_code, "missing.png"),
        ({"source": "flat.png"}, NoFace.exit_code, "No face"),
        ({"driving": "missing.mp4"}, VideoError.exit_code, "missing.mp4 does not exist"),
        ({"driving": "notes.mp4"}, VideoError.exit_code, "cannot be read as a video"),
        ({"output": "nowhere/out.mp4"}, OutputError.exit_code, "does not exist"),
        ({"output": "out.xyz"}, OutputError.exit_code, "'.xyz'"),
        ({"--device": "cuda"}, DeviceError.exit_code, "Requested device"),
        ({"--bundle": "nothing"}, BundleNotFound.exit_code, "no bundle 'nothing'"),
        ({"--backend": "abacus"}, 2, "abacus"),
        ({"--threads": "0"}, 2, "threads"),
    ],
)
def test_wrong_arguments_give_one_message_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clip: Path,
    portrait: Path,
    tmp_path: Path,
    change: dict[str, str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_image("flat.png", np.full((64, 64, 3), 90, np.uint8))
    Path("notes.mp4").write_text("not a video\n" * 50)
    given = {"source": str(portrait), "driving": str(clip), "output": "out.mp4", **change}
    options = [word for name, value in given.items() if name.startswith("--") for word in (name, value)]
    assert mien(monkeypatch, "reenact", given["source"], given["driving"], "-o", given["output"], *options) == code
    shown = capsys.readouterr()
    assert message in shown.err and "Traceback" not in shown.err
    assert shown.out == ""
    if code != 2:
        assert shown.err.startswith("mien: ") and shown.err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["flat.png", "notes.mp4"]


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, clip: Path, portrait: Path, tmp_path: Path, how: str
) -> None:
    monkeypatch.setenv("MIEN_DEBUG", "1") if how == "environment" else monkeypatch.setenv("MIEN_DEBUG", "")
    arguments = ["--debug"] * (how == "option") + ["reenact", str(portrait), "missing.mp4", "-o", "out.mp4"]
    monkeypatch.setattr(sys, "argv", ["mien", *arguments])
    with pytest.raises(VideoError):
        cli.main()


def test_a_truncated_driver_keeps_what_was_made_and_says_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clip: Path, portrait: Path, tmp_path: Path
) -> None:
    cut, out = truncated(clip, tmp_path / "cut.mp4", 0.7), tmp_path / "out.mp4"
    assert mien(monkeypatch, "reenact", portrait, cut, "-o", out) == VideoError.exit_code
    errors = capsys.readouterr().err
    count = len(read_video(out).images)
    assert 3 < count < 20
    assert f"the {count} frames made so far are in {out}" in errors and "truncated" in errors


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_being_stopped_leaves_a_playable_file(
    clip: Path, portrait: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    script = f"""
import sys
from mien import cli
from mien.commands import reenact
from tests.test_cli import StandIn

class Slow(StandIn):
    pause = 0.05
    def step(self, image, seconds):
        if seconds > 0.1:
            print("running", flush=True)
        return super().step(image, seconds)

reenact.Reenactor = Slow
sys.argv = ["mien", "reenact", {str(portrait)!r}, {str(clip)!r}, "-o", {str(tmp_path / "out.mp4")!r}]
cli.main()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert child.stdout is not None and child.stdout.readline() == "running\n"
    child.send_signal(sent)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == code, errors
    assert "Traceback" not in errors and f"are in {tmp_path / 'out.mp4'}" in errors
    assert 3 <= len(read_video(tmp_path / "out.mp4").images) < 20


def test_a_camera_drives_live_until_it_is_unplugged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clip: Path, portrait: Path, tmp_path: Path
) -> None:
    # OpenCV reads a file like a camera; its end is an unplugged camera.
    monkeypatch.setattr(driver_module, "open_source", lambda spec: CameraSource(str(clip)))
    assert mien(monkeypatch, "reenact", portrait, "0", "-o", tmp_path / "out.mp4") == VideoError.exit_code
    errors = capsys.readouterr().err
    count = len(read_video(tmp_path / "out.mp4").images)
    assert 1 <= count <= 20 and f"the {count} frames made so far" in errors and "stopped after 20 frames" in errors


def test_demo_says_where_the_video_lies_and_how_fast_it_ran(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clip: Path, portrait: Path, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_module, "FOLDER", tmp_path / "demo")
    assert mien(monkeypatch, "demo") == BundleNotFound.exit_code
    (tmp_path / "demo").mkdir()
    save_image("demo/source.jpg", load_image(portrait))
    (tmp_path / "demo/driving.mp4").write_bytes(clip.read_bytes())
    capsys.readouterr()
    assert mien(monkeypatch, "demo") == 0
    shown = capsys.readouterr().out
    assert "frames a second" in shown and shown.endswith("mien-demo.mp4\n")
    assert len(read_video(tmp_path / "mien-demo.mp4").images) == 20
    assert mien(monkeypatch, "bench", "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 20
    assert sorted(os.listdir(tmp_path)) == ["demo", "mien-demo.mp4"]


def test_info_shows_a_bundle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiny_bundle(tmp_path / "tiny.zip")
    assert mien(monkeypatch, "info", tmp_path / "tiny.zip") == 0
    shown = capsys.readouterr().out
    assert "tiny: reenact" in shown and "motion.onnx" in shown and "Made by hand for a test." in shown
    tiny_edit_bundle(tmp_path / "edit")
    assert mien(monkeypatch, "info", tmp_path / "edit") == 0
    shown = capsys.readouterr().out
    assert "attributes: smile, old, tan\n" in shown and "split: 6\n" in shown and "difference: " in shown
    assert mien(monkeypatch, "info", tmp_path / "tiny.zip", "--json") == 0
    assert json.loads(capsys.readouterr().out)["networks"]["motion"]["file"] == "motion.onnx"
    assert mien(monkeypatch, "info", tmp_path / "nothing") == BundleNotFound.exit_code


def test_doctor_tells_and_gives_its_verdict_as_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mien(monkeypatch, "doctor", "--json") == 0
    diagnosis = json.loads(capsys.readouterr().out)
    assert diagnosis["healthy"] is True
    assert {"topic": "machine", "name": "python"} in [
        {k: fact[k] for k in ("topic", "name")} for fact in diagnosis["facts"]
    ]
    assert mien(monkeypatch, "doctor") == 0
    assert "ort on cpu" in capsys.readouterr().out


def test_pull_lists_and_fetches_from_a_mirror(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    assert mien(monkeypatch, "pull") == 0
    assert "yunet" in capsys.readouterr().out
    assert mien(monkeypatch, "pull", "--json") == 0
    assert {entry["name"] for entry in json.loads(capsys.readouterr().out)} >= {"yunet", "face-mesh"}
    (tmp_path / "mirror").mkdir()
    assert mien(monkeypatch, "pull", "yunet", "--mirror", tmp_path / "mirror") == 11
    shown = capsys.readouterr().err
    assert "Licence: Apache-2.0" in shown and "mirror" in shown
    assert mien(monkeypatch, "pull", "nothing") == 11


def test_commands_of_other_packages_join(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    entries = [
        EntryPoint("greet", "tests.test_cli:greet", joining.GROUP),
        EntryPoint("tools", "tests.test_cli:tools", joining.GROUP),
        EntryPoint("broken", "tests.no_such_module:app", joining.GROUP),
    ]
    monkeypatch.setattr(joining, "entry_points", lambda group: entries if group == joining.GROUP else [])
    commands, groups = list(cli.app.registered_commands), list(cli.app.registered_groups)
    monkeypatch.setattr(cli.app, "registered_commands", commands)
    monkeypatch.setattr(cli.app, "registered_groups", groups)
    assert mien(monkeypatch, "greet", "you") == 0
    assert capsys.readouterr().out == "hello you\n"
    assert mien(monkeypatch, "tools", "wave") == 0
    assert capsys.readouterr().out == "wave\n"
    assert "'broken'" in caplog.text
    assert mien(monkeypatch, "broken") == 2


def greet(name: str) -> None:
    """A command of another package."""
    print(f"hello {name}")


tools = typer.Typer()


@tools.callback()
def tools_root() -> None:
    """A group of another package."""


@tools.command()
def wave() -> None:
    """One of its commands."""
    print("wave")


def test_own_commands_load_no_other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(group: str) -> list[EntryPoint]:
        raise AssertionError("looked for other packages")

    monkeypatch.setattr(joining, "entry_points", never)
    assert mien(monkeypatch, "pull", "--json") == 0
    for own in ("edit", "animate", "generate", "directions"):
        assert mien(monkeypatch, own, "--help") == 0


def test_help_and_version_are_lean() -> None:
    script = """
import sys
from mien import cli
sys.argv = ["mien", "--help"]
try:
    cli.main()
finally:
    print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert all(command in done.stdout for command in ("reenact", "edit", "animate", "generate", "directions"))
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "mien.cli" in loaded
    assert not loaded & {"numpy", "cv2", "av", "onnxruntime", "torch", "openvino"}


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert mien(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("mien")


def test_time_since_the_start_and_peak_memory_are_those_of_this_process() -> None:
    script = """
import time
from mien.commands.usage import peak_memory, seconds_since_start
before = seconds_since_start()
time.sleep(0.2)
print(before, seconds_since_start(), peak_memory(), end=" ")
block = bytearray(b"x") * 100_000_000
print(peak_memory())
"""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, after, small, large = map(float, done.stdout.split())
    assert 0 <= before < after < time.perf_counter() - start + 0.02
    assert after - before >= 0.18
    assert 5 < small < 60 and 95 < large - small < 110
