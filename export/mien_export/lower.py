"""A bundle in float16 or int8 from one in float32: every network converted, compared with what it was, described."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Literal

from mien.bundle import Bundle, NetworkSpec, Parity, write_bundle
from mien.sessions import Session, SessionInfo, TensorSpec
from mien.sessions.base import Array
from mien.sessions.cuda import Stream
from mien_export.fidelity import Feeds, Fidelity, PrecisionError
from mien_export.half_emulation import half_fidelity
from mien_export.precision import overflowing, to_half
from mien_export.quantise import gain, to_int8

Precision = Literal["fp16", "int8"]

LEAST_PSNR: Mapping[Precision, float] = {"fp16": 40.0, "int8": 24.0}
"""Decibels below which a network is not worth having in that precision."""

LEAST_LABELS = 20.0
"""The same for labels: one in a hundred may differ."""

MOST_FEEDS = 8
"""Recorded calls of each network: the first calibrate, the last one or two are what it is compared on."""

Use = Callable[[Bundle], None]
"""Uses a bundle as in real life: edits pictures, reenacts a clip. What its networks are fed then, they are tuned to."""


@dataclass(frozen=True)
class Lowered:
    """One network in the new precision. ``outputs``: beside float32; empty for one that stays float32, and ``why``.

    ``speed``: time of float32 over the new time by backend, where that was measured (int8).
    """

    role: str
    outputs: tuple[Fidelity, ...] = ()
    speed: Mapping[str, float] | None = None
    why: str = ""

    @property
    def slower(self) -> tuple[str, ...]:
        """Backends that run it slower than float32."""
        return tuple(backend for backend, ratio in (self.speed or {}).items() if ratio < 1)


def lower(
    bundle: Bundle, out: str | PathLike[str], precision: Precision, use: Use, overwrite: bool = False
) -> tuple[Bundle, tuple[Lowered, ...]]:
    """Record what ``use`` feeds to the networks, convert them, compare, write.

    A network that ``use`` never runs, or that has nothing to convert, stays float32 and is said so. Raises
    PrecisionError for one that comes out further from float32 than `LEAST_PSNR`, OutputError.
    """
    recording = Recording(bundle)
    use(recording)
    models, specs, rows = {}, {}, []
    for role, spec in bundle.manifest.networks.items():
        model = bundle.model(role)
        models[role], row = _converted(role, model, precision, recording.feeds.get(role, []))
        specs[role] = described(spec, row, precision) if row.outputs else spec
        _check(row, specs[role])
        rows.append(row)
    manifest = replace(bundle.manifest, networks=specs)
    return write_bundle(out, manifest, models, bundle.arrays, overwrite), tuple(rows)


def _converted(role: str, model: bytes, precision: Precision, feeds: Sequence[Feeds]) -> tuple[bytes, Lowered]:
    if not feeds:
        return model, Lowered(role, why="was never run while the feeds were recorded")
    known, unseen = feeds[:-1] or feeds, feeds[-1:]
    if precision == "fp16":
        loud = frozenset[str]().union(*(overflowing(model, feed) for feed in feeds))
        made = to_half(model, loud)
        return made, Lowered(role, half_fidelity(model, made, unseen))
    try:
        made = to_int8(model, known)
    except PrecisionError as error:
        return model, Lowered(role, why=str(error))
    found = gain(model, made, unseen)
    return made, Lowered(role, found.fidelity, found.speed)


def _check(row: Lowered, spec: NetworkSpec) -> None:
    for output in row.outputs:
        least = least_psnr(spec, output.name)
        if not output.psnr >= least:
            raise PrecisionError(
                f"In {spec.precision} the output {output.name!r} of {row.role!r} is {output.psnr:.1f} dB from float32; "
                f"{least:.0f} are needed. Leave the bundle in float32, or calibrate it on pictures that are like those "
                "it is for."
            )


def least_psnr(spec: NetworkSpec, output: str) -> float:
    """What an output of a network in a lower precision has to reach."""
    dtype = next(info.dtype for info in spec.outputs if info.name == output)
    return LEAST_PSNR["fp16" if spec.precision == "fp16" else "int8"] if dtype.startswith("float") else LEAST_LABELS


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
