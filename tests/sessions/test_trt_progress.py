"""The count of a build's steps, with the phases played by hand: no TensorRT is needed."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from mien.sessions.trt_progress import LONGEST, BuildStep, Watch, signals_stop


def clock(*times: float) -> Iterator[float]:
    yield from times


def test_a_phase_within_a_phase_counts_as_part_of_one_step() -> None:
    steps: list[BuildStep] = []
    times = clock(0.0, 1.0, 4.0, 5.0, 8.0, 9.0)
    watch = Watch(steps.append, clock=lambda: next(times))
    watch.begin("whole", None, 2)
    watch.begin(LONGEST, "whole", 2)
    watch.begin("part", LONGEST, 2)
    assert watch.advance("part", 0) and watch.advance("part", 1)
    watch.end("part")
    assert watch.advance(LONGEST, 0) and watch.advance(LONGEST, 1)
    watch.end(LONGEST)
    assert watch.advance("whole", 1)
    assert [step.share for step in steps] == pytest.approx([0.25, 0.5, 0.5, 0.95, 1.0], abs=0.04)
    assert [step.remaining for step in steps] == pytest.approx(
        [passed * (1 / step.share - 1) for passed, step in zip((1, 4, 5, 8, 9), steps, strict=True)]
    )
    assert [(step.phase, step.step, step.steps) for step in steps[1:3]] == [("part", 2, 2), (LONGEST, 1, 2)]


def test_the_share_never_goes_back_and_never_beyond_the_whole() -> None:
    shares: list[float] = []
    watch = Watch(lambda step: shares.append(step.share))
    watch.begin("whole", None, 1)
    for name in ("first", LONGEST, "third", LONGEST):
        watch.begin(name, "whole", 3)
        for step in range(5):  # more steps than were announced
            watch.advance(name, step)
        watch.end(name)
    watch.advance("unheard of", 7)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0) and max(shares) <= 1.0


def test_what_the_listener_raises_stops_the_build_and_is_kept() -> None:
    def listener(step: BuildStep) -> None:
        raise ValueError(step.phase)

    watch = Watch(listener)
    watch.begin("whole", None, 3)
    assert not watch.advance("whole", 0)
    assert not watch.advance("whole", 1)
    assert isinstance(watch.error, ValueError)


def test_a_signal_stops_first_and_then_takes_its_usual_effect() -> None:
    watch = Watch()
    usual = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), signals_stop(watch):
        os.kill(os.getpid(), signal.SIGINT)
        assert not watch.advance("whole", 0)  # still here: nothing was thrown into TensorRT
    assert signal.getsignal(signal.SIGINT) is usual


def test_other_threads_leave_signals_alone() -> None:
    seen = []

    def work() -> None:
        with signals_stop(Watch()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
