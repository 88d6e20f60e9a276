"""The stopwatch counts, measures, forgets the oldest, and costs next to nothing."""

import time

import pytest

from mien.timing import Stopwatch


class Clock:
    """Time that passes only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("mien.timing.time.perf_counter", clock)
    return clock


def spend(watch: Stopwatch, clock: Clock, stage: str, milliseconds: float) -> None:
    with watch(stage):
        clock.now += milliseconds / 1e3


def test_stages_are_timed_apart(clock: Clock) -> None:
    watch = Stopwatch()
    for milliseconds in (1, 2, 3, 10):
        spend(watch, clock, "track", milliseconds)
    spend(watch, clock, "blend", 5)
    summary = watch.summary()
    assert list(summary) == ["track", "blend"]
    track = summary["track"]
    assert track.count == 4
    assert [track.mean, track.p50, track.last] == pytest.approx([4, 2.5, 10])
    assert track.p99 == pytest.approx(9.79, abs=0.01)
    assert watch.last() == {"track": pytest.approx(10), "blend": pytest.approx(5)}


def test_only_the_last_times_are_kept_but_all_are_counted(clock: Clock) -> None:
    watch = Stopwatch(kept=3)
    for milliseconds in (100, 100, 1, 2, 3):
        spend(watch, clock, "a", milliseconds)
    assert watch.summary()["a"].count == 5
    assert watch.summary()["a"].mean == pytest.approx(2)


def test_stages_may_stand_inside_each_other(clock: Clock) -> None:
    watch = Stopwatch()
    with watch("all"):
        spend(watch, clock, "part", 2)
        clock.now += 0.001
    assert watch.last() == {"part": pytest.approx(2), "all": pytest.approx(3)}


def test_a_failed_stage_is_timed_and_its_error_goes_on(clock: Clock) -> None:
    watch = Stopwatch()
    with pytest.raises(KeyError), watch("a"):
        clock.now += 0.004
        raise KeyError
    assert watch.last() == {"a": pytest.approx(4)}


def test_reset_forgets() -> None:
    watch = Stopwatch()
    with watch("a"):
        pass
    watch.reset()
    assert watch.summary() == {} == watch.last()


def test_a_turn_costs_a_few_microseconds_at_most() -> None:
    watch = Stopwatch()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(1000):
            with watch("a"):
                pass
        best = min(best, time.perf_counter() - start)
    assert best / 1000 < 10e-6
