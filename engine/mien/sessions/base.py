"""One network on one device: what every session offers, the check of its tensors, a session around a function."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.errors import SessionError

Array = NDArray[Any]

MOST_THREADS = 8
"""Unless told otherwise a session takes no more: small networks gain nothing beyond."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output. ``dtype`` is NumPy's name; a dimension is a number, or a name where any size will do."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True)
class SessionInfo:
    """What really runs: for example ("onnxruntime", "cpu", "CPUExecutionProvider", 2)."""

    backend: str
    device: str
    provider: str
    threads: int


@dataclass(frozen=True)
class NodePlace:
    """Where a node of a network runs: the runtime's provider or device. ``operator`` is what that makes of it."""

    name: str
    operator: str
    provider: str


class Session(Protocol):
    """A network, loaded and ready. Tensors are bound by name. Every failure is a SessionError."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `run` must be fed, all of it."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives."""

    @property
    def info(self) -> SessionInfo:
        """Where it runs."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name, as arrays of the caller's own."""

    def close(self) -> None:
        """Gives the memory back; after that `run` raises SessionError. May be called twice."""


Function = Callable[[Mapping[str, Array]], Mapping[str, Array]]


class FunctionSession:
    """A session that calls a Python function, for tests and demonstrations without weights.

    ``function`` gets the checked feeds and gives all outputs by name; both are held against the specs.
    """

    def __init__(self, function: Function, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.info = SessionInfo("function", "cpu", "python", 1)
        self._function: Function | None = function

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Session.run`."""
        if self._function is None:
            raise closed()
        check_tensors(self.inputs, feeds, "input")
        results = dict(self._function(feeds))
        check_tensors(self.outputs, results, "output")
        return results

    def close(self) -> None:
        """See `Session.close`."""
        self._function = None


def check_tensors(specs: tuple[TensorSpec, ...], tensors: Mapping[str, Array], kind: str = "input") -> None:
    """Raises SessionError unless exactly the named tensors are there, each with its dtype and shape.

    A named dimension must have the same size wherever the name stands.
    """
    sizes: dict[str, int] = {}
    for spec in specs:
        tensor = tensors.get(spec.name)
        if not isinstance(tensor, np.ndarray):
            raise _unfit(specs, tensors, kind)
        if tensor.dtype.name != spec.dtype or tensor.ndim != len(spec.shape):
            raise _wrong(spec, tensor, kind)
        for wanted, size in zip(spec.shape, tensor.shape, strict=True):
            if size != (wanted if isinstance(wanted, int) else sizes.setdefault(wanted, size)):
                raise _wrong(spec, tensor, kind)
    if len(tensors) != len(specs):
        raise _unfit(specs, tensors, kind)


def _wrong(spec: TensorSpec, tensor: Array, kind: str) -> SessionError:
    got = f"{tensor.dtype.name} {tensor.shape}"
    return SessionError(f"The {kind} {spec.name!r} should be {spec.dtype} {_shape(spec)}; got {got}.")


def _shape(spec: TensorSpec) -> str:
    return "(" + ", ".join(map(str, spec.shape)) + ")"


def _unfit(specs: tuple[TensorSpec, ...], tensors: Mapping[str, Array], kind: str) -> SessionError:
    wanted = ", ".join(spec.name for spec in specs)
    got = ", ".join(f"{name} ({type(t).__name__})" for name, t in tensors.items()) or "nothing"
    return SessionError(f"The {kind}s should be the arrays {wanted}; got {got}.")


def closed() -> SessionError:
    """The error for running a closed session."""
    return SessionError("This session is closed; open a new one.")


def choose_threads(asked: int | None) -> int:
    """Threads for one network: as many as asked, never more than usable cores. Raises SessionError below 1."""
    if asked is not None and asked < 1:
        raise SessionError(f"A session needs at least 1 thread; {asked} were asked for.")
    return min(asked or MOST_THREADS, usable_cores())


def usable_cores() -> int:
    """Cores that this process may use: its CPU affinity, cut to the quota of its control group."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))
