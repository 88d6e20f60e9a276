"""Outputs beside the reference's: how far off, where, and in which inner output the error begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

TOLERANCE = 1e-4
"""Largest error as a share of the golden's largest value, for a case that suggests none of its own."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One output beside its golden."""

    name: str
    inner: bool
    error: float
    """Largest difference, of the stored samples or of the whole output's mean or deviation, over the golden's largest
    value; infinite where an output is missing, misshapen or not finite."""
    story: tuple[str, ...]
    """The lines to print when it is off."""


def compared(case: Mapping[str, Any], golden: Mapping[str, Any], outputs: Mapping[str, Tensor]) -> tuple[Row, ...]:
    """A row for each output of the case, in its order; inner ones that ``outputs`` lacks are left out."""
    return tuple(
        _row(name, info, np.asarray(golden[name], np.float64), outputs.get(name))
        for name, info in case["outputs"].items()
        if name in outputs or not info.get("intermediate")
    )


def _row(name: str, info: Mapping[str, Any], want: Floats, output: Tensor | None) -> Row:
    inner = bool(info.get("intermediate"))
    if output is None:
        return Row(name, inner, np.inf, ("not among the outputs",))
    if list(output.shape) != list(info["shape"]):
        return Row(name, inner, np.inf, (f"shape {list(output.shape)}, golden {list(info['shape'])}",))
    full = output.detach().numpy().astype(np.float64)
    ours = full[tuple(slice(*part) for part in info["slice"] or ())]
    distance = np.abs(ours - want)
    errors = distance.max(), abs(full.mean() - info["mean"]), abs(full.std() - info["std"])
    error = max(errors) / max(float(np.abs(want).max()), 1e-12) if np.isfinite(errors).all() else np.inf
    place = np.unravel_index(int(distance.argmax()), distance.shape)
    story = (
        f"ours    {_first(ours)}   mean {full.mean():.6g}, deviation {full.std():.6g}",
        f"golden  {_first(want)}   mean {info['mean']:.6g}, deviation {info['std']:.6g}",
        f"largest difference {distance[place]:.3e} at {[int(i) for i in place]} of the stored samples:"
        f" {ours[place]:.6g}, golden {want[place]:.6g}",
    )
    return Row(name, inner, float(error), story)


def _first(values: Floats) -> str:
    return " ".join(f"{value:11.6f}" for value in values.ravel()[:5])


def complaint(rows: Sequence[Row], tolerance: float) -> str:
    """What is off and where it begins; nothing when every row is within the tolerance."""
    off = [row for row in rows if row.error > tolerance]
    if not off:
        return ""
    lines = [f"{len(off)} of {len(rows)} outputs are off by more than {tolerance:.0e} of their largest value."]
    for row in off:
        lines += [f"{row.name}: {row.error:.2e}", *(f"    {line}" for line in row.story)]
    inner = [row for row in rows if row.inner]
    begins = next((row.name for row in inner if row in off), None)
    good = [row.name for row in inner if row not in off]
    lines.append(f"The first inner output that is off: {begins or 'none'}; in agreement: {', '.join(good) or 'none'}.")
    return "\n".join(lines)
