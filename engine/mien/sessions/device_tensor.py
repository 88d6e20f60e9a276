"""A tensor in a device's memory, as sessions hand it on and other packages read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import SessionError
from mien.sessions.base import TensorSpec, check_tensors

CUDA_MEMORY = (2, 13)
"""DLPack's numbers for memory of CUDA, plain and managed."""


@dataclass(frozen=True)
class DeviceTensor:
    """A C-contiguous tensor in a device's memory.

    ``pointer`` is the address of its first byte, ``dtype`` NumPy's name, ``shape`` has no free dimensions. ``owner``
    is whatever keeps the memory alive. Other packages (CuPy, numba, torch) read it through
    ``__cuda_array_interface__``, as `DeviceTensor.of` reads theirs.
    """

    pointer: int
    dtype: str
    shape: tuple[int, ...]
    owner: object = None

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def __getitem__(self, index: int) -> DeviceTensor:
        """One of those along the first axis, in the same memory."""
        if not self.shape or not 0 <= index < self.shape[0]:
            raise IndexError(f"There is no {index} along the first axis of {self.shape}.")
        step = self.bytes // self.shape[0]
        return DeviceTensor(self.pointer + index * step, self.dtype, self.shape[1:], self.owner)

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {
            "shape": self.shape,
            "typestr": np.dtype(self.dtype).str,
            "data": (self.pointer, False),
            "strides": None,
            "version": 3,
        }

    @classmethod
    def of(cls, array: Any) -> DeviceTensor:
        """What another package holds on a GPU. The work that fills it must be done, or in order with the reader's.

        Raises SessionError where it is no array on a GPU, or not C-contiguous.
        """
        try:
            told = array.__cuda_array_interface__
        except AttributeError:
            raise SessionError(
                f"An array on a GPU is needed (with __cuda_array_interface__); got {type(array).__name__}."
            ) from None
        dtype, shape = np.dtype(told["typestr"]), tuple(int(size) for size in told["shape"])
        dense = np.cumprod((dtype.itemsize, *shape[:0:-1]))[::-1].tolist()
        if told.get("strides") is not None and list(told["strides"]) != dense[: len(shape)]:
            raise SessionError(f"The array {shape} on the GPU is not contiguous: strides {told['strides']}.")
        return cls(int(told["data"][0]), dtype.name, shape, array)


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
