"""What a bundle for reenactment should reach, what it reached, and the two side by side as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tearing import SEEN

Found = Mapping[str, Any]
"""One benchmark's JSON, without which a row is not measured."""
Parts = Mapping[str, Found]

PARTS = ("motion", "gaze", "synthetic", "video", "steadiness", "identity", "precision")
POSE = ("yaw", "pitch", "roll")
EYES = ("eye_left", "eye_right")


@dataclass(frozen=True)
class Row:
    """One line of the table. ``met`` is None where nothing was measured or nothing moved enough to count."""

    quantity: str
    asked: str
    reached: str
    met: bool | None


def table(parts: Parts, three_quarter: Iterable[str] = ()) -> list[Row]:
    """All rows, from the JSON of each part that was run; three_quarter: names of the portraits that are turned away."""
    motion, video = parts.get("motion", {}), parts.get("video", {})
    turned = set(three_quarter)
    frontal = _films(video, lambda portrait: portrait not in turned)
    away = _films(video, lambda portrait: portrait in turned)
    return [
        follows("motion, real clips: pose", motion, POSE, 0.92, (0.8, 1.2)),
        follows("motion, real clips: mouth", motion, ("mouth",), 0.95),
        follows("motion, real clips: blink", motion, EYES, 0.9),
        follows("motion, real clips: smile width", motion, ("smile",), 0.8),
        follows("motion, real clips: brow", motion, ("brow",), 0.6),
        most("landmark error / eye distance", figures(motion, "all, median"), 0.035),
        *_gaze(parts.get("gaze", {})),
        *_synthetic(parts.get("synthetic", {})),
        follows("paintings, frontal: pose", frontal, POSE, 0.9, (0.8, 1.2)),
        follows("paintings, frontal: mouth", frontal, ("mouth",), 0.9, (0.7, np.inf)),
        follows("paintings, frontal: blink", frontal, EYES, 0.7, (0.5, np.inf)),
        follows("three-quarter: yaw", away, ("yaw",), 0.7),
        most("three-quarter: torn or folded share of the face", _tears(away), SEEN),
        least("frame 0 against the source (dB)", figures(video, "frame 0 (dB)"), 38),
        most("jitter on a still driver, ours / Face Mesh's", figures(parts.get("steadiness", {}), "ours / theirs"), 1),
        least("identity: output / true render", figures(parts.get("identity", {}), "output over true"), 0.9),
        *_precision(parts.get("precision", {})),
    ]


def _gaze(found: Found) -> list[Row]:
    clips = {name: row for name, row in found.get("figures", {}).items() if name != "rendered"}
    angle = figures(_only(found, "rendered"), "angle, median (degrees)")
    return [
        most("gaze, synthetic: median angle (degrees)", angle, 5),
        least("gaze, real clips: right side of the clear glances", figures({"figures": clips}, "right side"), 0.95),
    ]


def _synthetic(found: Found) -> list[Row]:
    mean = _only(found, "mean")
    return [
        least("synthetic pairs over copying: head (dB)", figures(mean, "head, gained"), 8),
        least("synthetic pairs over copying: eyes and mouth (dB)", figures(mean, "features, gained"), 8),
        most("synthetic pairs: flow error (px of 128)", figures(mean, "flow"), 1.2),
    ]


def _precision(found: Found) -> list[Row]:
    lower, whole = _only(found, "lower"), _only(found, "fp32")
    eyes = {f"{name}, eyes": value for name, value in figures(lower, "features, lost (dB)").items()}
    lost = figures(lower, "head, lost (dB)") | eyes
    return [
        most("int8 worse than fp32 by (dB)", lost, 0.5),
        most("whole step, fp32 (ms)", figures(whole, "median ms"), 25),
        most("whole step, int8 (ms)", figures(lower, "median ms"), 16),
    ]


def _only(found: Found, row: str) -> Found:
    """With that row of figures alone, or none."""
    return {"figures": {name: figure for name, figure in found.get("figures", {}).items() if name == row}}


def _films(video: Found, wanted: Callable[[str], bool]) -> Found:
    """Of the films (named portrait-clip) those of some portraits."""
    return {
        kind: {name: row for name, row in rows.items() if wanted(name.rsplit("-", 1)[0])}
        for kind, rows in video.items()
        if kind in ("agreement", "figures")
    }


def _tears(films: Found) -> dict[str, float]:
    torn, folded = figures(films, "torn, worst frame"), figures(films, "folded, worst frame")
    return {name: torn[name] + folded.get(name, 0.0) for name in torn}


def figures(found: Found, name: str) -> dict[str, float]:
    """One figure of every clip or film that has it."""
    return {clip: float(row[name]) for clip, row in found.get("figures", {}).items() if name in row}


def follows(
    quantity: str, found: Found, names: tuple[str, ...], least: float, gain: tuple[float, float] | None = None
) -> Row:
    """Correlation, and gain where one is asked, of all counted quantities of all clips: the range, met by the worst."""
    asked = f"{least:g}" + ("" if gain is None else f" (gain {_gain(*gain)})")
    counted = [
        (float(row["correlation"]), float(row["gain"]), f"{name} of {clip}")
        for clip, rows in found.get("agreement", {}).items()
        for name, row in rows.items()
        if name in names and row["counted"]
    ]
    if not counted:
        return Row(quantity, asked, "–", None)
    worst = min(counted)
    correlations, gains = [c for c, _, _ in counted], [g for _, g, _ in counted]
    reached = f"{_range(correlations)} (gain {_range(gains)})"
    if len(counted) > 1:
        reached += f"; least: {worst[2]}"
    enough = all(c >= least and (gain is None or gain[0] <= g <= gain[1]) for c, g, _ in counted)
    return Row(quantity, asked, reached, enough)


def most(quantity: str, values: Mapping[str, float], limit: float) -> Row:
    """Values that should be small."""
    return _limited(quantity, f"≤ {limit:g}", values, max, lambda value: value <= limit)


def least(quantity: str, values: Mapping[str, float], limit: float) -> Row:
    """Values that should be large."""
    return _limited(quantity, f"≥ {limit:g}", values, min, lambda value: value >= limit)


def _limited(
    quantity: str,
    asked: str,
    values: Mapping[str, float],
    worst: Callable[..., str],
    enough: Callable[[float], bool],
) -> Row:
    known = {name: value for name, value in values.items() if np.isfinite(value)}
    if not known:
        return Row(quantity, asked, "–", None)
    reached = _range(list(known.values()))
    if len(known) > 1:
        reached += f"; worst: {worst(known, key=lambda name: known[name])}"
    return Row(quantity, asked, reached, all(enough(value) for value in known.values()))


def _range(values: list[float]) -> str:
    low, high = (f"{value:.3g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _gain(low: float, high: float) -> str:
    return f"≥ {low:g}" if high == np.inf else f"{low:g} to {high:g}"


MARK = {True: "yes", False: "**no**", None: "–"}


def markdown(rows: Iterable[Row]) -> str:
    """The table as Markdown."""
    lines = ["| | asked | reached | met |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.quantity} | {row.asked} | {row.reached} | {MARK[row.met]} |" for row in rows]
    return "\n".join(lines) + "\n"


def read_parts(folder: Path) -> dict[str, Found]:
    """The parts that were run, by name."""
    found = {part: folder / f"reenact_{part}.json" for part in PARTS}
    return {part: json.loads(path.read_text()) for part, path in found.items() if path.exists()}
