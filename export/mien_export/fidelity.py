"""How near a cheaper version of a network comes to the float32 one: PSNR of its outputs on real feeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import MienError
from mien.sessions import OrtSession
from mien.sessions.base import Array

Feeds = Mapping[str, Array]


class PrecisionError(MienError):
    """A network cannot be made, or does not work, in the asked precision."""


@dataclass(frozen=True)
class Fidelity:
    """One output beside float32's, over all feeds. Of labels (whole numbers, truth values) each is right or wrong."""

    name: str
    psnr: float
    """Decibels, the peak being the largest absolute value of the float32 output; infinite for equal outputs."""
    largest: float
    """Largest absolute difference, as a share of that peak."""


def fidelity(reference: bytes, cheaper: bytes, feeds: Iterable[Feeds]) -> tuple[Fidelity, ...]:
    """Run both networks with ONNX Runtime on the CPU and compare every output.

    Raises PrecisionError for outputs that are not finite where float32's are, and when there is no feed.
    """
    known = list(feeds)
    return compared(answers(reference, known), answers(cheaper, known))


def answers(model: bytes, feeds: Iterable[Feeds]) -> list[Feeds]:
    """What a network says with ONNX Runtime on the CPU, feed by feed."""
    session = OrtSession(model)
    said: list[Feeds] = [session.run(feed) for feed in feeds]
    session.close()
    return said


def compared(truth: Sequence[Feeds], found: Sequence[Feeds]) -> tuple[Fidelity, ...]:
    """Every output beside float32's, over all answers. Raises PrecisionError as `fidelity` does."""
    if not truth:
        raise PrecisionError("Nothing was fed to the networks that were to be compared; at least one feed is needed.")
    return tuple(_of_output(name, [(t[name], f[name]) for t, f in zip(truth, found, strict=True)]) for name in truth[0])


def _of_output(name: str, pairs: list[tuple[Array, Array]]) -> Fidelity:
    truth = np.concatenate([pair[0].ravel() for pair in pairs])
    found = np.concatenate([pair[1].ravel() for pair in pairs])
    broken = np.isfinite(truth) & ~np.isfinite(found)
    if broken.any():
        raise PrecisionError(
            f"The output {name!r} has {int(broken.sum())} of {truth.size} values that are not finite, where float32's "
            "are: some layer leaves the range of the precision. Keep it in float32 (`overflowing` finds such layers)."
        )
    labels = truth.dtype.kind != "f"
    distance = (truth != found).astype(np.float64) if labels else np.abs(truth.astype(np.float64) - found)
    error = float(np.mean(distance**2))
    peak = 1.0 if labels else float(np.abs(truth).max()) or 1.0
    psnr = math.inf if error == 0 else 20 * math.log10(peak) - 10 * math.log10(error)
    return Fidelity(name, psnr, float(distance.max()) / peak)
