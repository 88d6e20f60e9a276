"""Tensors in a GPU's memory and their ways there and back, over memory that is used again."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np

from mien.errors import DeviceError
from mien.runners.pool import Pool
from mien.sessions.base import Array
from mien.sessions.cuda import Cuda, Stream
from mien.sessions.device_tensor import DeviceTensor

ALIGNMENT = 256
"""Bytes: where a tensor may begin in memory that several share."""


class DeviceMemory:
    """Rooms for tensors, and copies in the order of one stream. Not for two threads at a time.

    A room is free again when nobody holds its tensor; work that was queued on it comes before any that is queued later.
    """

    def __init__(self, cuda: Cuda, stream: Stream) -> None:
        self._cuda, self._stream = cuda, stream
        self._name = f"cuda:{cuda.ordinal}"
        self._device = Pool(partial(self._allocated, cuda.allocate))
        self._pinned = Pool(partial(self._allocated, cuda.pinned))
        self._under_way: list[object] = []  # what queued copies read or write on the host

    def room(self, use: Hashable, dtype: str, shape: tuple[int, ...]) -> DeviceTensor:
        """Room for one tensor."""
        return self.rooms(use, {"": (dtype, shape)})[""]

    def rooms(self, use: Hashable, wanted: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, DeviceTensor]:
        """Rooms for tensors (dtype, shape) by name, one behind the other so that one copy takes them all."""
        starts, count = _laid_out({name: _bytes(*each) for name, each in wanted.items()})
        block = self._device.lease(use, count)
        first = int(block.memory)
        here = partial(DeviceTensor, owner=block, device=self._name, queue=self._stream)
        return {name: here(first + starts[name], *each) for name, each in wanted.items()}

    def send(self, use: Hashable, arrays: Mapping[str, Array]) -> dict[str, DeviceTensor]:
        """Queues one copy of host arrays, of any strides, to the GPU. They are read before this returns."""
        rooms = self.rooms(use, {name: (array.dtype.name, array.shape) for name, array in arrays.items()})
        starts, count = _laid_out({name: array.nbytes for name, array in arrays.items()})
        staged = self._pinned.lease(("send", use), count)
        for name, array in arrays.items():
            part = staged.memory[starts[name] : starts[name] + array.nbytes]
            np.copyto(part.view(array.dtype).reshape(array.shape), array)
        self._stream.upload(next(iter(rooms.values())).pointer, staged.memory[:count])
        self._under_way.append(staged)
        return rooms

    def receive(self, use: Hashable, rooms: Mapping[str, DeviceTensor]) -> dict[str, Array]:
        """What lies in rooms that were made together: one copy, waited for; arrays of the caller's own."""
        starts, count = _laid_out({name: tensor.bytes for name, tensor in rooms.items()})
        staged = self._pinned.lease(("receive", use), count)
        self._stream.download(staged.memory[:count], next(iter(rooms.values())).pointer)
        self.finish()
        return {
            name: staged.memory[starts[name] : starts[name] + tensor.bytes]
            .view(tensor.dtype)
            .reshape(tensor.shape)
            .copy()
            for name, tensor in rooms.items()
        }

    def copied(self, use: Hashable, tensor: DeviceTensor) -> DeviceTensor:
        """The same in a room of its own."""
        room = self.room(use, tensor.dtype, tensor.shape)
        self._stream.copy(room.pointer, tensor.pointer, tensor.bytes)
        self._under_way.append(tensor)
        return room

    def finish(self) -> None:
        """Waits for all that was queued. Raises SessionError for what failed."""
        over, self._under_way = self._under_way, []
        self._stream.synchronize()
        over.clear()

    def _allocated(self, allocate: Callable[[int], Any], count: int) -> Any:
        """New memory; where there is none, what nobody holds is given back first."""
        try:
            return allocate(count)
        except DeviceError:
            self.finish()
            with self._cuda.current():
                for memory in self._device.clear():
                    memory.free()
            self._pinned.clear()
            return allocate(count)


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _laid_out(sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Where each begins, and where the last one ends."""
    starts, end = {}, 0
    for name, size in sizes.items():
        starts[name] = -(-end // ALIGNMENT) * ALIGNMENT
        end = starts[name] + size
    return starts, end
