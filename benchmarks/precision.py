"""What a bundle in a lower precision loses and gains: the same rendered pairs and the same clip, beside float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import measure, pairs
from benchmarks.judge import read_clip
from mien.bundle import Bundle
from mien.image import load_image
from mien.reenact import Reenactor
from mien.reenact.studio import Studio


def quality(bundle: str, backend: str, shards: Sequence[Path], most: int) -> dict[str, float]:
    """Mean figures of held-out pairs; see `pairs.summary`."""
    model = Studio(Bundle.open(bundle), backend=backend)
    return pairs.summary(list(pairs.judge_pairs(model, shards, most)))["mean"]


def losses(whole: dict[str, float], lower: dict[str, float]) -> dict[str, float]:
    """By how many dB head, eyes and mouth of the lower precision are worse (negative: better)."""
    return {part: whole[part] - lower[part] for part in ("head", "features")}


def steps(
    bundles: dict[str, tuple[str, str]], portrait: Path, clip: Path, threads: int, most: int = 60
) -> dict[str, dict[str, float]]:
    """Milliseconds of `Reenactor.step`, median, best and 99th percentile, by name of (bundle, backend).

    Interleaved frame by frame, so that a busy machine slows all alike.
    """
    picture = load_image(portrait)
    frames = [frame for frame, _ in zip(read_clip(clip), range(most + 5), strict=False)]
    contenders = {}
    for name, (bundle, backend) in bundles.items():
        reenactor = Reenactor(bundle, backend=backend, threads=threads)
        reenactor.set_source(picture)
        contenders[name] = Stepper(reenactor, frames)
    timings = measure.compare(contenders, next(iter(bundles)), rounds=most, warmup=5)
    return {t.name: {"median ms": t.median_ms, "best ms": t.best_ms, "p99 ms": t.p99_ms} for t in timings}


class Stepper:
    """Called once, it takes the clip's next frame; after the last the first comes again."""

    def __init__(self, reenactor: Reenactor, frames: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> None:
        self._reenactor, self._frames, self._at = reenactor, frames, 0

    def __call__(self) -> None:
        self._reenactor.step(self._frames[self._at % len(self._frames)], self._at / 30)
        self._at += 1
