"""A bundle in float16, bfloat16 or int8 from one in float32: every network converted, compared, described."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Literal

from mien.bundle import Bundle, NetworkSpec, Parity, write_bundle
from mien.sessions import Session, SessionInfo, TensorSpec
from mien.sessions.base import Array
from mien.sessions.cuda import Stream
from mien_export.fidelity import Feeds, Fidelity, PrecisionError, fidelity
from mien_export.float32_rules import BFLOAT16, FLOAT16
from mien_export.half_emulation import half_fidelity
from mien_export.mixed import mixed
from mien_export.precision import overflowing, to_half
from mien_export.quantise import gain, to_int8

Precision = Literal["fp16", "bf16", "int8"]

HALVES = {"fp16": FLOAT16, "bf16": BFLOAT16}

LEAST_PSNR: Mapping[str, float] = {"fp16": 40.0, "bf16": 24.0, "int8": 24.0}
"""Decibels below which a network is not worth having in that precision.

bfloat16 has three bits less than float16, which is 18 decibels. Measured: 17 to 23 on the studio family but for one
output that float16 hardly touches, 14 to 26 on small networks of the others, 20 on StyleGAN2's pictures; the worst
output of all comes to 39. int8 is half as large, so bfloat16 may not be further off than that.
"""

LEAST_LABELS = 20.0
"""The same for labels: one in a hundred may differ."""

LEAST_FLOW = 40.0
"""The same for an int8 network's output ``flow``, where pixels come from: at 30 dB, which is 0.6 px of the studio
family's 128, its heads are 0.9 dB worse."""

SHARES = (1.0, 0.9999, 0.998)
"""Of an activation's values that int8's ranges hold; whichever comes nearest is taken. The flow of the studio family's
generator comes to 23 dB with the first and to 41 with the last: in a dark picture a few features are seventy times as
large as the rest."""

MOST_FEEDS = 18
"""Recorded calls of each network: every other one calibrates, those between are what it is compared on."""

Use = Callable[[Bundle], None]
"""Uses a bundle as in real life: edits pictures, reenacts a clip. What its networks are fed then, they are tuned to."""


@dataclass(frozen=True)
class Lowered:
    """One network in the new precision. ``outputs``: beside float32; empty for one that stays float32, and ``why``.

    ``speed``: time of float32 over the new time by backend, where that was measured (int8). ``restored``: share of the
    multiply-adds that went back to float32 so that the rest is near enough (int8).
    """

    role: str
    outputs: tuple[Fidelity, ...] = ()
    speed: Mapping[str, float] | None = None
    why: str = ""
    restored: float = 0.0

    @property
    def slower(self) -> tuple[str, ...]:
        """Backends that run it slower than float32."""
        return tuple(backend for backend, ratio in (self.speed or {}).items() if ratio < 1)


def lower(
    bundle: Bundle, out: str | PathLike[str], precision: Precision, use: Use, overwrite: bool = False
) -> tuple[Bundle, tuple[Lowered, ...]]:
    """Record what ``use`` feeds to the networks, convert them, compare, write.

    A network stays float32, and its row says why, if ``use`` never runs it, if it has nothing to convert, or if it
    comes out further from float32 than `LEAST_PSNR` (int8: even as `mixed.mixed`). That holds for 16 bits, too:
    networks meet in float32 in every precision, so one that stays does not spoil what the others gain. Raises
    PrecisionError where every network would have to stay, OutputError.
    """
    recording = Recording(bundle)
    use(recording)
    models, specs, rows = {}, {}, []
    for role, spec in bundle.manifest.networks.items():
        model = bundle.model(role)
        models[role], row = _converted(role, spec, model, precision, recording.feeds.get(role, []))
        specs[role] = described(spec, row, precision) if row.outputs else spec
        rows.append(row)
    if not any(row.outputs for row in rows):
        reasons = "; ".join(f"{row.role}: {row.why.rstrip('.')}" for row in rows)
        raise PrecisionError(f"No network can be had in {precision}. Leave the bundle in float32. {reasons}.")
    manifest = replace(bundle.manifest, networks=specs)
    return write_bundle(out, manifest, models, bundle.arrays, overwrite), tuple(rows)


def _converted(
    role: str, spec: NetworkSpec, model: bytes, precision: Precision, feeds: Sequence[Feeds]
) -> tuple[bytes, Lowered]:
    """Calibrated on every other feed and compared on those between: both see all of what was recorded."""
    if not feeds:
        return model, Lowered(role, why="it was never run while the feeds were recorded")
    known, unseen = feeds[::2], feeds[1::2] or feeds
    lowered = _half if precision in HALVES else _int8
    try:
        return lowered(role, replace(spec, precision=precision), model, known, unseen)
    except PrecisionError as error:
        return model, Lowered(role, why=str(error))


def _half(
    role: str, spec: NetworkSpec, model: bytes, known: Sequence[Feeds], unseen: Sequence[Feeds]
) -> tuple[bytes, Lowered]:
    half = HALVES[spec.precision]
    risky = (*known, *unseen) if half.narrow else ()
    made = to_half(model, frozenset[str]().union(*(overflowing(model, feed) for feed in risky)), half)
    found = half_fidelity(model, made, unseen)
    if missing(spec, found) > 0:
        raise PrecisionError(_too_far(spec, found))
    return made, Lowered(role, found)


def _int8(
    role: str, spec: NetworkSpec, model: bytes, known: Sequence[Feeds], unseen: Sequence[Feeds]
) -> tuple[bytes, Lowered]:
    tried = [(fidelity(model, made, unseen), made) for made in (to_int8(model, known, share) for share in SHARES)]
    whole, made = min(tried, key=lambda one: missing(spec, one[0]))
    restored = 0.0
    if missing(spec, whole) > 0:
        try:
            made, restored = mixed(model, made, unseen, partial(missing, spec))
        except PrecisionError as error:
            raise PrecisionError(f"{_too_far(spec, whole)}, {error}") from error
    found = gain(model, made, unseen)
    return made, Lowered(role, found.fidelity, found.speed, restored=restored)


def missing(spec: NetworkSpec, found: Sequence[Fidelity]) -> float:
    """Decibels that the worst output of a network lacks in the precision of ``spec``; 0 or less is near enough."""
    return max(least_psnr(spec, output.name) - output.psnr for output in found)


def _too_far(spec: NetworkSpec, found: Sequence[Fidelity]) -> str:
    worst = max(found, key=lambda output: least_psnr(spec, output.name) - output.psnr)
    least = least_psnr(spec, worst.name)
    return f"its {worst.name!r} would be {worst.psnr:.1f} dB from float32 in {spec.precision}, {least:.0f} are needed"


def least_psnr(spec: NetworkSpec, output: str) -> float:
    """What an output of a network in a lower precision has to reach."""
    if (output, spec.precision) == ("flow", "int8"):
        return LEAST_FLOW
    dtype = next(info.dtype for info in spec.outputs if info.name == output)
    return LEAST_PSNR[spec.precision] if dtype.startswith("float") else LEAST_LABELS


def described(spec: NetworkSpec, row: Lowered, precision: Precision) -> NetworkSpec:
    """What the manifest says: the root mean square difference of the worst output, as a share of its largest value."""
    made = replace(spec, precision=precision)
    worst = min(row.outputs, key=lambda output: output.psnr - least_psnr(made, output.name))
    error, limit = (10 ** (-psnr / 20) for psnr in (worst.psnr, least_psnr(made, worst.name)))
    return replace(made, parity=Parity(f"its float32 form ({spec.parity.reference})", error, limit))


class Recording(Bundle):
    """A bundle whose sessions keep what they are fed: ``feeds``, by role."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.manifest, bundle.members, bundle.place)
        self.feeds: dict[str, list[Feeds]] = {}

    def session(
        self,
        role: str,
        device: str = "cpu",
        threads: int | None = None,
        backend: str = "ort",
        stream: Stream | None = None,
    ) -> Session:
        """See `Bundle.session`."""
        return _Recorder(super().session(role, device, threads, backend, stream), self.feeds.setdefault(role, []))


class _Recorder:
    """A session that copies its feeds into a list."""

    def __init__(self, session: Session, feeds: list[Feeds]) -> None:
        self._session, self._feeds = session, feeds

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._session.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._session.outputs

    @property
    def info(self) -> SessionInfo:
        return self._session.info

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        if len(self._feeds) < MOST_FEEDS:
            self._feeds.append({name: array.copy() for name, array in feeds.items()})
        return self._session.run(feeds)

    def close(self) -> None:
        self._session.close()
