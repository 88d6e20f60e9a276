"""A stand-in for `pycuda.driver`: its names, with a GPU whose memory is the host's. No more than cuda.py asks of it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np


class StandIn:
    """What would be the module. ``calls`` is everything it was asked that touches the GPU, in order."""

    class Error(Exception):
        """As in PyCUDA, the base of the others."""

    class MemoryError(Error):
        """Out of memory."""

    class LogicError(Error):
        """What cuInit raises."""

    def __init__(
        self, gpus: int = 1, version: int = 13000, memory: int = 1 << 20, capability: tuple[int, int] = (9, 0)
    ) -> None:
        self.gpus, self.version, self.total, self.capability = gpus, version, memory, capability
        self.live: dict[int, Any] = {}
        self.calls: list[tuple[object, ...]] = []
        self.depth = 0
        self.broken: Exception | None = None
        self.streams = 0
        driver = self

        class Device:
            def __init__(self, ordinal: int) -> None:
                self.ordinal = ordinal

            @staticmethod
            def count() -> int:
                return driver.gpus

            def name(self) -> str:
                return f"Stand-in {self.ordinal}"

            def compute_capability(self) -> tuple[int, int]:
                return driver.capability

            def retain_primary_context(self) -> Any:
                driver.calls.append(("retain", self.ordinal))
                return Context()

        class Context:
            def push(self) -> None:
                driver.depth += 1

            @staticmethod
            def pop() -> None:
                driver.depth -= 1

            def detach(self) -> None:
                driver.calls.append(("detach",))

        class Allocation:
            def __init__(self, count: int) -> None:
                self.host = (ctypes.c_char * count)()
                driver.live[int(self)] = self

            def __int__(self) -> int:
                return ctypes.addressof(self.host)

            def free(self) -> None:
                driver.need_context()
                del driver.live[int(self)]

        class Stream:
            def __init__(self) -> None:
                driver.need_context()
                driver.streams += 1
                self.handle = 0x1000 + driver.streams

            def synchronize(self) -> None:
                driver.calls.append(("synchronize", self.handle))
                if driver.broken is not None:
                    raise driver.broken

            def wait_for_event(self, event: Any) -> None:
                driver.calls.append(("wait", self.handle))

        class Event:
            def record(self, stream: Any) -> None:
                driver.calls.append(("record", stream.handle))

            def synchronize(self) -> None:
                driver.calls.append(("event",))

            def time_since(self, earlier: Any) -> float:
                return 1.5

        self.Device, self.Context, self.Stream, self.Event, self._allocation = (
            Device,
            Context,
            Stream,
            Event,
            Allocation,
        )

    def need_context(self) -> None:
        """As the driver, which knows no GPU without one."""
        if self.depth < 1:
            raise self.LogicError("invalid device context")

    def init(self) -> None:
        if self.broken is not None:
            raise self.broken

    def get_driver_version(self) -> int:
        return self.version

    def mem_get_info(self) -> tuple[int, int]:
        self.need_context()
        return self.total - sum(ctypes.sizeof(memory.host) for memory in self.live.values()), self.total

    def mem_alloc(self, count: int) -> Any:
        if count > self.mem_get_info()[0]:
            raise self.MemoryError("cuMemAlloc failed: out of memory")
        self.calls.append(("alloc", count))
        return self._allocation(count)

    def pagelocked_empty(self, shape: int, dtype: Any) -> np.ndarray:
        self.need_context()
        self.calls.append(("pinned", shape))
        return np.empty(shape, dtype)

    def memcpy_htod_async(self, target: int, source: np.ndarray, stream: Any) -> None:
        self.need_context()
        self.calls.append(("up", source.nbytes, stream.handle))
        ctypes.memmove(target, source.ctypes.data, source.nbytes)

    def memcpy_dtoh_async(self, target: np.ndarray, source: int, stream: Any) -> None:
        self.need_context()
        self.calls.append(("down", target.nbytes, stream.handle))
        ctypes.memmove(target.ctypes.data, source, target.nbytes)

    def memcpy_dtod_async(self, target: int, source: int, count: int, stream: Any) -> None:
        self.need_context()
        self.calls.append(("copy", count, stream.handle))
        ctypes.memmove(target, source, count)
