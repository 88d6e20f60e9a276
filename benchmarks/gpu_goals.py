"""What a GPU should reach, held against what was measured: reached, missed, or not executed.

The goals are for an H100; on another GPU they are printed all the same, with its name above them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.gpu_timing import Measured, Report

KERNEL_SHARE = 0.8
LIVEPORTRAIT_MS, RESIDENT_MS, EDIT_MS = 5.0, 8.0, 8.0
OVER_EAGER, OVER_COMPILED = 2.0, 1.3
STEADY = 1.3
"""p99 over p50."""

OWN = ("tensorrt", "rtx", "ort")
"""mien's ways of running a network."""

EAGER, COMPILED = "torch eager fp16", "torch.compile fp16"

Verdict = Literal["reached", "missed", "not executed"]


@dataclass(frozen=True)
class Goal:
    """One goal, and what came of it."""

    name: str
    wanted: str
    found: str
    verdict: Verdict


def goals(report: Report) -> tuple[Goal, ...]:
    """All of them, in a fixed order."""
    return (
        *(kernel(report, name) for name in ("blend_faces", "crop")),
        at_most(report, "LivePortrait frame, networks only", "networks of a frame, liveportrait", LIVEPORTRAIT_MS),
        at_most(report, "frame that stays on the GPU", "whole frame on the GPU, liveportrait", RESIDENT_MS),
        at_most(report, "StyleGAN2-1024 edit, networks and blend", "networks of an edit, 1024", EDIT_MS),
        faster(report, EAGER, OVER_EAGER),
        faster(report, COMPILED, OVER_COMPILED),
        nothing_allocated(report),
        steady(report),
    )


def kernel(report: Report, name: str) -> Goal:
    """The worst share of the copy bandwidth over all tasks of a kernel."""
    shares = [m.share for m in report.measured if m.task.startswith(name) and m.contender == "mien" and m.share]
    wanted = f"at least {KERNEL_SHARE:.0%} of the copy bandwidth"
    if not shares:
        return Goal(f"kernel {name}", wanted, "", "not executed")
    worst = min(shares)
    return Goal(f"kernel {name}", wanted, f"{worst:.0%} at worst", decided(worst >= KERNEL_SHARE))


def at_most(report: Report, name: str, task: str, limit: float) -> Goal:
    """The quickest of mien's own ways."""
    found = [m for m in report.measured if m.task == task and m.contender in OWN and (m.batch, m.streams) == (1, 1)]
    wanted = f"p50 at most {limit:g} ms"
    if not found:
        return Goal(name, wanted, "", "not executed")
    best = min(found, key=lambda m: m.p50_ms)
    return Goal(name, wanted, f"{best.p50_ms:.2f} ms ({best.contender})", decided(best.p50_ms <= limit))


def faster(report: Report, rival: str, factor: float) -> Goal:
    """The least factor over all tasks that the rival could do, each against the quickest of mien's ways."""
    name, wanted = f"against {rival}", f"at least {factor:g} times as fast"
    factors = list(factors_over(report, rival))
    if not factors:
        return Goal(name, wanted, "", "not executed")
    worst, task = min(factors)
    return Goal(name, wanted, f"{worst:.2f} times at worst ({task})", decided(worst >= factor))


def factors_over(report: Report, rival: str) -> Iterator[tuple[float, str]]:
    """How many times as fast mien is, for each network at batch 1."""
    for theirs in report.measured:
        if theirs.contender != rival or (theirs.batch, theirs.streams) != (1, 1):
            continue
        ours = [m for name in OWN if (m := report.find(theirs.task, name)) is not None]
        if ours:
            yield theirs.p50_ms / min(m.p50_ms for m in ours), theirs.task


def nothing_allocated(report: Report) -> Goal:
    """Over all of mien's runs of which it is known."""
    found = [m for m in own(report) if m.allocated is not None]
    if not found:
        return Goal("memory per frame", "0 bytes after the warm-up", "", "not executed")
    worst = max(found, key=lambda m: m.allocated or 0)
    told = f"{worst.allocated or 0:,} bytes at worst ({worst.task}, {worst.contender})"
    return Goal("memory per frame", "0 bytes after the warm-up", told, decided((worst.allocated or 0) <= 0))


def steady(report: Report) -> Goal:
    """Over all of mien's runs at batch 1 in one stream."""
    found = [m for m in own(report) if (m.batch, m.streams) == (1, 1) and m.share is None]
    if not found:
        return Goal("p99 over p50", f"at most {STEADY:g}", "", "not executed")
    worst = max(found, key=lambda m: m.p99_ms / m.p50_ms)
    ratio = worst.p99_ms / worst.p50_ms
    told = f"{ratio:.2f} at worst ({worst.task}, {worst.contender})"
    return Goal("p99 over p50", f"at most {STEADY:g}", told, decided(ratio <= STEADY))


def own(report: Report) -> Iterator[Measured]:
    """What mien did."""
    return (m for m in report.measured if m.contender in (*OWN, "mien"))


def decided(good: bool) -> Verdict:
    """Of a goal that was measured."""
    return "reached" if good else "missed"
