"""A tensor in a device's memory, as sessions hand it on and other packages read it.

Others read and give it through the CUDA Array Interface or DLPack. Executed: DLPack with memory of the host, against
NumPy and torch. Not executed yet: anything on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from mien.errors import DeviceError, SessionError
from mien.sessions.base import TensorSpec, check_tensors

CUDA_MEMORY = (2, 13)
"""DLPack's numbers for memory of CUDA, plain and managed."""

PLACES = {"cpu": (1,), "cuda": CUDA_MEMORY}
KINDS = {"i": 0, "u": 1, "f": 2, "b": 6}
"""DLPack's numbers for elements, by NumPy's letter."""

NO_ORDER = -1
"""The stream that a reader names who sees to the order itself."""


class Queue(Protocol):
    """A stream: what a reader in another one has to wait for. `mien.sessions.cuda.Stream` is one."""

    @property
    def handle(self) -> int:
        """CUDA's own."""

    def synchronize(self) -> None:
        """Waits for all work in it."""


@dataclass(frozen=True)
class DeviceTensor:
    """A C-contiguous tensor in a device's memory.

    ``pointer`` is the address of its first byte, ``dtype`` NumPy's name, ``shape`` has no free dimensions. ``owner``
    is whatever keeps the memory alive, ``device`` "cuda:N" or "cpu". ``queue`` is the stream whose work fills it, None
    where that is done or where readers see to the order themselves.

    Other packages (CuPy, numba, torch) read it through ``__cuda_array_interface__``, which names the stream, or through
    ``__dlpack__``, as `DeviceTensor.of` reads theirs.
    """

    pointer: int
    dtype: str
    shape: tuple[int, ...]
    owner: object = None
    device: str = field(default="cuda:0", kw_only=True)
    queue: Queue | None = field(default=None, kw_only=True)

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def __getitem__(self, index: int) -> DeviceTensor:
        """One of those along the first axis, in the same memory."""
        if not self.shape or not 0 <= index < self.shape[0]:
            raise IndexError(f"There is no {index} along the first axis of {self.shape}.")
        step = self.bytes // self.shape[0]
        pointer = self.pointer + index * step
        return DeviceTensor(pointer, self.dtype, self.shape[1:], self.owner, device=self.device, queue=self.queue)

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        if self.device == "cpu":
            raise AttributeError("A tensor in the host's memory has no __cuda_array_interface__.")
        return {
            "shape": self.shape,
            "typestr": np.dtype(self.dtype).str,
            "data": (self.pointer, False),
            "strides": None,
            "stream": None if self.queue is None else self.queue.handle,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        kind, _, number = self.device.partition(":")
        return PLACES[kind][0], int(number or 0)

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A capsule by the array API's protocol; its reader shares the memory, which lives for as long as it does.

        ``stream``: the reader's, as a number. Work of the tensor's own `queue` is waited for, on the host, unless the
        reader is in that queue itself or passes -1. Raises BufferError for another device or a copy.
        """
        if self.queue is not None and stream not in (NO_ORDER, self.queue.handle):
            self.queue.synchronize()
        kind = np.dtype(self.dtype)
        asked = self.shape, (KINDS[kind.kind], 8 * kind.itemsize), self.__dlpack_device__()
        array = _dlpack().produce(self.pointer, *asked, self)
        return array.__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)

    @classmethod
    def of(cls, array: Any, device: str = "cuda", queue: Queue | None = None) -> DeviceTensor:
        """What another package holds on a GPU, or with ``device="cpu"`` in the host's memory. Nothing is copied.

        Without ``queue`` the work that fills it must be done, or in order with the reader's. With it, the stream in
        which mien will read, the giver is asked through DLPack to put that work before whatever is queued there later.

        Raises DeviceError where it is on another GPU, SessionError where it is no array on such a device, not
        C-contiguous, or of a type that NumPy does not know.
        """
        kind, _, number = device.partition(":")
        told = getattr(array, "__cuda_array_interface__", None) if kind == "cuda" else None
        place = getattr(array, "__dlpack_device__", lambda: (0, 0))()
        there = place[0] in PLACES.get(kind, ())
        if there and number and place[1] != int(number):
            raise DeviceError(f"An array on {device} is needed; this one is on {kind}:{place[1]}. Copy it there.")
        if there and (queue is not None or told is None):
            return _taken(array, queue)
        if told is None or (place[0] and not there):
            raise SessionError(
                f"An array on a GPU is needed (with __cuda_array_interface__ or __dlpack__); got {_called(array)}."
                if kind == "cuda"
                else f"An array in the host's memory is needed (with __dlpack__); got {_called(array)}."
            )
        dtype, shape = np.dtype(told["typestr"]), tuple(int(size) for size in told["shape"])
        if told.get("strides") is not None:
            _check_dense(shape, [int(step) for step in told["strides"]], dtype.itemsize)
        name = f"cuda:{place[1]}" if there else device if number else "cuda:0"
        return cls(int(told["data"][0]), dtype.name, shape, array, device=name)


def _taken(array: Any, queue: Queue | None) -> DeviceTensor:
    """Through DLPack: the capsule keeps the memory, whatever becomes of the array."""
    try:
        capsule = array.__dlpack__() if queue is None else array.__dlpack__(stream=queue.handle)
        pointer, shape, strides, (code, bits), (place, number), owner = _dlpack().consume(capsule)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise SessionError(f"{_called(array)} cannot be read through DLPack: {error}".splitlines()[0]) from error
    letter = {code: letter for letter, code in KINDS.items()}.get(code)
    if letter is None or bits % 8 or (letter == "b" and bits != 8):
        raise SessionError(
            f"{_called(array)} has elements that NumPy does not know: DLPack's code {code}, {bits} bits."
        )
    _check_dense(tuple(shape), strides, 1)
    device = "cpu" if place in PLACES["cpu"] else f"cuda:{number}"
    return DeviceTensor(pointer, np.dtype(f"{letter}{bits // 8}").name, tuple(shape), owner, device=device)


def _check_dense(shape: tuple[int, ...], strides: Sequence[int], unit: int) -> None:
    """``unit``: an element, in what strides are counted in. Axes of one element, and empty arrays, may have any."""
    dense = [unit * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    off = any(size > 1 and step != want for size, step, want in zip(shape, strides, dense, strict=True))
    if off and 0 not in shape:
        raise SessionError(f"The array {shape} is not contiguous: strides {tuple(strides)}. Copy it first.")


def _called(array: object) -> str:
    return type(array).__name__


def _dlpack() -> Any:
    try:
        return import_module("mien._dlpack")
    except ModuleNotFoundError as error:
        raise SessionError(
            "DLPack is asked for, but mien was built without a compiler (MIEN_PURE=1): install it again without "
            "MIEN_PURE, or hand over arrays with __cuda_array_interface__."
        ) from error


def on_gpu(array: object) -> bool:
    """Whether it is an array in a GPU's memory: by the CUDA Array Interface, or by DLPack."""
    if hasattr(array, "__cuda_array_interface__"):
        return True
    tell = getattr(array, "__dlpack_device__", None)
    return tell is not None and int(tell()[0]) in CUDA_MEMORY


def check_device_tensors(specs: tuple[TensorSpec, ...], tensors: Mapping[str, DeviceTensor], kind: str) -> None:
    """`check_tensors` for tensors on a device."""
    # An array of one element, shown in the wanted shape, takes no memory.
    shown = {name: np.broadcast_to(np.zeros((), tensor.dtype), tensor.shape) for name, tensor in tensors.items()}
    check_tensors(specs, shown, kind)
