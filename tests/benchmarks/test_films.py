"""Films and tracks of clips, on discs instead of faces."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import typer
from numpy.typing import NDArray

from benchmarks import films, tracked
from benchmarks.judge import Measures, read_clip
from mien.faces import NetworkDetector, Tracker
from mien.image import load_image, save_image
from tests.faces.blobs import detector, motion, scene

Image = NDArray[np.uint8]

MODEL = SimpleNamespace(tracker=lambda: Tracker(NetworkDetector(detector()), motion()))


def write_clip(path: Path, frames: list[Image]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(24), options={"crf": "10"})
        stream.height, stream.width = frames[0].shape[:2]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def disc(x: float) -> Image:
    return scene((x, 120, 100), width=320, height=240)


def test_track_follows_a_clip_and_marks_where_the_face_is_lost(tmp_path: Path) -> None:
    frames = [disc(100), disc(104), scene(width=320, height=240), disc(112), disc(135), disc(135)]
    found = tracked.track(MODEL, write_clip(tmp_path / "clip.mp4", frames))
    np.testing.assert_allclose(found.landmarks[:, 0, 0], [100, 104, np.nan, 112, 135, 135], atol=3)
    assert np.isfinite(found.poses[:, 0]).tolist() == [True, True, False, True, True, True]
    assert np.isnan(found.expressions[2]).all() and np.isfinite(found.expressions[3]).all()
    assert 0 < found.moved < 1


def test_track_says_when_there_is_no_face(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "empty.mp4", [scene(width=320, height=240)] * 3)
    with pytest.raises(typer.BadParameter, match=r"no face in .*empty\.mp4"):
        tracked.track(MODEL, clip)


def test_driven_passes_results_on_and_draws_them(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [disc(100), disc(120), disc(140), disc(160)])
    save_image(tmp_path / "portrait.png", disc(200))
    given: list[float] = []

    class Copies:
        """Answers the portrait itself, and is not sure of every second frame."""

        family = None  # without a flow that could be looked over

        def set_source(self, image: Image) -> None:
            self.image = image

        def step(self, frame: Image, time: float) -> SimpleNamespace:
            given.append(time)
            return SimpleNamespace(image=self.image, status="tracked" if len(given) % 2 else "held")

    measures = Measures(np.zeros((4, 5)), np.zeros((4, 468, 3)))
    judge = SimpleNamespace(detect=lambda image: None)
    driven = films.Driven(Copies(), judge, tmp_path / "portrait.png", clip, measures, tmp_path / "out")
    assert all((image == disc(200)).all() for image in driven)
    assert given == [i / 24 for i in range(4)]
    assert driven.facts == {"frame 0 (dB)": 99, "driver tracked": 0.5}
    assert len(list(read_clip(tmp_path / "out.mp4"))) == 4
    assert load_image(tmp_path / "out.png").shape[0] == 512


def test_jitter_ignores_steady_movement() -> None:
    assert tracked.jitter(np.linspace(0, 1, 50)) == pytest.approx(0, abs=1e-9)
    assert tracked.jitter(np.radians([0.0, 1, 0, 1, 0])) == pytest.approx(2)
    assert tracked.jitter(np.array([0.0])) == 0
