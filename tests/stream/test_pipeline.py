"""Every frame of a file comes through once and in order; live, the newest wins; and nothing unprocessed ever leaves."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import OutputError, VideoError
from mien.stream.lane import Lane
from mien.stream.pipeline import Run, run_file, run_live
from mien.stream.sinks import VideoSink
from mien.stream.sources import SourceFrame, open_source
from tests.media import INTERRUPTIBLE, Picture, marker, markers, read_marker, read_video, write_video


@dataclass(frozen=True)
class Negative:
    """What the stand-in process gives back."""

    image: Picture
    synthetic: bool = True


def negative(image: Picture, time: float) -> Negative:
    return Negative(255 - image)


def picture(index: int) -> Picture:
    """A small dark picture with a number in it; its negative is bright."""
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 0, :2] = index % 100, index // 100
    return image


def number(image: Picture) -> int:
    """The number in the negative of such a picture. Raises AssertionError for the picture itself."""
    assert image[2, 2].tolist() == [255, 255, 255], "an unprocessed frame got out"
    low, high = (255 - image[0, 0, :2]).tolist()
    return int(low + 100 * high)


class Pictures:
    """A source of numbered pictures; `before(index)` runs before each is given out, and once at the end."""

    size = (4, 4)
    rate = Fraction(25)
    time_base = Fraction(1, 25)

    def __init__(self, count: int, before: Callable[[int], None] = lambda _: None) -> None:
        self.frame_count: int | None = count
        self.given = 0
        self._before = before

    def __iter__(self) -> Iterator[SourceFrame]:
        for index in range(self.frame_count or 0):
            self._before(index)
            self.given = index + 1
            yield SourceFrame(picture(index), index, 2 * index, self.time_base, index / 25, 2)
        self._before(self.given)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Numbers:
    """A sink that reads the numbers of what it gets; `before(number)` runs before each is taken."""

    result: Path | None = None

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self.frames = 0
        self.seen: list[int] = []
        self.times: list[int | None] = []
        self._before = before

    def write(self, image: Picture, pts: int | None = None, duration: int | None = None) -> None:
        self._before(number(image))
        self.seen.append(number(image))
        self.times.append(pts)
        self.frames += 1

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def slowly(delays: list[int]) -> Callable[[int], None]:
    """Waits as many tenths of a millisecond as the list says, over and over."""
    return lambda index: time.sleep(delays[index % len(delays)] / 10_000)


tenths = st.lists(st.sampled_from([0, 0, 1, 5, 20]), min_size=1, max_size=5)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(0, 30), decode=tenths, process=tenths, encode=tenths)
def test_a_file_comes_through_whole_and_in_order(
    count: int, decode: list[int], process: list[int], encode: list[int]
) -> None:
    sink = Numbers(slowly(encode))
    wait = slowly(process)
    progress: list[tuple[int, int | None]] = []

    def step(image: Picture, time: float) -> Negative:
        wait(int(image[0, 0, 0]))
        return negative(image, time)

    run = run_file(Pictures(count, slowly(decode)), step, sink, lambda done, total: progress.append((done, total)))
    assert sink.seen == list(range(count))
    assert sink.times == [2 * index for index in range(count)]
    assert progress == [(done, count) for done in range(1, count + 1)]
    assert run.frames == count


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 60), camera=tenths, process=tenths, encode=tenths)
def test_live_output_is_processed_and_never_goes_back(
    count: int, camera: list[int], process: list[int], encode: list[int]
) -> None:
    sink = Numbers(slowly(encode))
    wait = slowly(process)

    def step(image: Picture, time: float) -> Negative:
        wait(int(image[0, 0, 0]))
        return negative(image, time)

    run = run_live(Pictures(count, slowly(camera)), step, sink)
    assert sink.seen == sorted(set(sink.seen))
    assert sink.seen[-1] == count - 1, "the newest frame was lost"
    assert run.frames + run.dropped == count
    assert run.age is not None and 0 <= run.age.p50 <= run.age.p99


@settings(max_examples=20, deadline=None)
@given(later=st.lists(st.integers(1, 9), max_size=6))
def test_live_the_newest_frame_wins(later: list[int]) -> None:
    """The camera gives one frame, then later[k] frames during step k: of those only the newest may be processed."""
    firsts = np.cumsum([0, 1, *later]).tolist()
    begun = [threading.Event() for _ in firsts]
    given_out = [threading.Event() for _ in firsts]

    def gate(index: int) -> None:
        if index in firsts[1:]:
            step = firsts.index(index)
            given_out[step - 1].set()
            assert begun[step - 1].wait(10)

    steps = iter(range(len(firsts)))

    def step(image: Picture, time: float) -> Negative:
        now = next(steps)
        begun[now].set()
        assert now == len(later) or given_out[now + 1].wait(10)
        return negative(image, time)

    sink = Numbers()
    run = run_live(Pictures(firsts[-1], gate), step, sink)
    assert sink.seen == [first - 1 for first in firsts[1:]]
    assert run.dropped == sum(later) - len(later)


def test_live_age_is_the_time_since_the_frame_arrived() -> None:
    def step(image: Picture, now: float) -> Negative:
        time.sleep(0.02)
        return negative(image, now)

    run = run_live(Pictures(1), step, Numbers(lambda _: time.sleep(0.01)))
    assert run.age is not None and 30 <= run.age.p50 < 300


@pytest.mark.parametrize("run", [run_file, run_live])
@pytest.mark.parametrize(
    "step",
    [
        lambda image, _: Negative(image),
        lambda image, _: Negative(image[::-1]),
        lambda image, _: Negative(255 - image, synthetic=False),
    ],
    ids=["the frame itself", "a view of it", "not marked as synthetic"],
)
def test_an_unprocessed_frame_never_leaves(run: Callable[..., Run], step: Callable[[Picture, float], Negative]) -> None:
    sink = Numbers()
    with pytest.raises(OutputError, match="unprocessed"):
        run(Pictures(5), step, sink)
    assert sink.seen == []


class Broken(Exception):
    """What goes wrong."""


def break_at(place: int) -> Callable[[int], None]:
    def check(index: int) -> None:
        if index >= place:
            raise Broken(place)

    return check


@pytest.mark.parametrize("run", [run_file, run_live])
def test_errors_of_every_thread_come_out_as_they_are(run: Callable[..., Run]) -> None:
    def step(image: Picture, time: float) -> Negative:
        break_at(3)(int(image[0, 0, 0]))
        return negative(image, time)

    slow = slowly([20])
    with pytest.raises(Broken):
        run(Pictures(10, break_at(3)), negative, Numbers())
    with pytest.raises(Broken):
        run(Pictures(10, slow), step, Numbers())
    with pytest.raises(Broken):
        run(Pictures(10, slow), negative, Numbers(break_at(3)))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mien")]


def test_what_was_processed_before_an_error_is_written() -> None:
    sink = Numbers(slowly([20]))
    with pytest.raises(Broken):
        run_file(Pictures(10, break_at(7)), negative, sink)
    assert sink.seen == list(range(7))


def test_a_full_sink_stops_the_source() -> None:
    source = Pictures(1000)
    with pytest.raises(Broken):
        run_file(source, negative, Numbers(break_at(2)))
    assert source.given < 20


def test_few_frames_are_ever_held() -> None:
    held: list[int] = []
    source = Pictures(100)
    sink = Numbers(lambda index: held.append(source.given - index))
    run_file(source, negative, sink)
    assert max(held) <= 9


def test_a_truncated_video_gives_its_good_frames_and_a_playable_file(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", markers(30), container={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with (
        pytest.raises(VideoError, match="truncated"),
        open_source(cut) as source,
        VideoSink(tmp_path / "b.mp4", source.size, source.rate, source.time_base) as sink,
    ):
        run_file(source, negative, sink)
    images = read_video(tmp_path / "b.mp4").images
    assert [read_marker(255 - image) for image in images] == list(range(len(images)))
    assert 5 < len(images) < 30 and sink.result == tmp_path / "b.mp4"


def test_timings_of_every_stage() -> None:
    before = time.perf_counter()
    run = run_file(Pictures(10, slowly([20])), negative, Numbers())
    assert list(run.stages) == ["decode", "process", "encode"]
    assert run.stages["process"].count == run.stages["encode"].count == 10
    assert run.stages["decode"].p50 >= 2
    assert before < run.first_frame < before + run.seconds <= time.perf_counter()


def test_ctrl_c_stops_cleanly_with_a_playable_file(tmp_path: Path) -> None:
    script = f"""
import sys, time
from tests.stream.test_pipeline import Negative
from tests.media import marker
from mien.stream.pipeline import run_file
from mien.stream.sinks import VideoSink
from mien.stream.sources import SourceFrame
from fractions import Fraction

class Endless:
    rate, time_base, frame_count = Fraction(25), Fraction(1, 25), None
    def __iter__(self):
        for index in range(10**6):
            yield SourceFrame(marker(index % 1000), index, index, self.time_base, index / 25)

def step(image, now):
    time.sleep(0.005)
    return Negative(255 - image)

def progress(done, total):
    if done == 20:
        print("running", flush=True)

with VideoSink({str(tmp_path / "a.mp4")!r}, (128, 96), Fraction(25)) as sink:
    run_file(Endless(), step, sink, progress)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None and child.stdout.readline() == "running\n"
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=120)
    assert "KeyboardInterrupt" in errors and child.returncode != 0
    images = read_video(tmp_path / "a.mp4").images
    assert len(images) >= 20
    assert [read_marker(255 - image) for image in images] == list(range(len(images)))


def test_a_lane_keeps_order_and_room() -> None:
    lane: Lane[int] = Lane(2)
    assert lane.put(1) and lane.put(2)
    blocked = threading.Thread(target=lane.put, args=(3,), daemon=True)
    blocked.start()
    blocked.join(0.05)
    assert blocked.is_alive(), "a third item found room"
    taken = iter(lane)
    assert [next(taken), next(taken), next(taken)] == [1, 2, 3]
    lane.end()
    assert list(taken) == []


def test_a_lane_for_the_newest_never_blocks() -> None:
    lane: Lane[int] = Lane(1, newest=True)
    for item in range(10):
        lane.put(item)
    lane.end()
    assert list(lane) == [9] and lane.dropped == 9


def test_an_abandoned_lane_lets_its_giver_go() -> None:
    lane: Lane[int] = Lane(1)
    lane.put(1)
    answers: list[bool] = []
    blocked = threading.Thread(target=lambda: answers.append(lane.put(2)))
    blocked.start()
    lane.abandon()
    blocked.join(5)
    assert answers == [False] and list(lane) == []


def test_marker_pictures_tell_processed_from_unprocessed() -> None:
    assert number(negative(picture(321), 0.0).image) == 321
    with pytest.raises(AssertionError, match="unprocessed"):
        number(picture(321))
    with pytest.raises(AssertionError):
        read_marker(255 - marker(3))
