"""Whether a driven head is still the same person: the appearance network's identity code, on held-out pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.pairs import drawn_pairs
from mien.image import to_tensor
from mien.reenact.studio import Studio

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def identity_of(model: Studio, picture: Image) -> Floats:
    """The identity code, of unit length, of a 256 x 256 RGB picture framed as a source crop."""
    seen = model.look(to_tensor(picture), model.points.points)  # the code does not depend on where the points are
    code = np.asarray(seen["identity"][0], np.float64)
    unit: Floats = code / max(float(np.linalg.norm(code)), 1e-12)
    return unit


def likeness(model: Studio, shards: Sequence[Path], most: int) -> dict[str, float]:
    """Cosine similarities of held-out pairs, and the asked ratio; empty where mien sees no pair.

    A code that were the same for everybody would pass the ratio, so strangers stand beside it: each source against the
    true picture of the next person.
    """
    codes = [
        tuple(identity_of(model, image) for image in (pair.picture, pair.result, pair.answer))
        for pair in drawn_pairs(model, shards, most)
    ]
    if not codes:
        return {}
    sources, results, answers = (np.stack(column) for column in zip(*codes, strict=True))
    return similarity_figures(sources, results, answers)


def similarity_figures(sources: Floats, results: Floats, answers: Floats) -> dict[str, float]:
    """Figures of identity codes (N, D) of unit length: of the sources, mien's pictures and the true ones."""
    ours, true = (sources * results).sum(1), (sources * answers).sum(1)
    strangers = (sources * np.roll(answers, 1, axis=0)).sum(1)
    apart = true.mean() - strangers.mean()
    return {
        "pairs": float(len(ours)),
        "source and output": float(ours.mean()),
        "source and true render": float(true.mean()),
        "strangers": float(strangers.mean()),
        "output over true": float(ours.mean() / true.mean()),
        "output over true, above strangers": float((ours.mean() - strangers.mean()) / apart) if apart else float("nan"),
    }
