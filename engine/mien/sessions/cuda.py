"""Memory, streams and events of one NVIDIA GPU, through PyCUDA. The only module that imports it.

Written against PyCUDA 2026.1's interface and tested with a stand-in for `pycuda.driver`; not executed on a GPU yet.
The primary context is used, so that memory is shared with TensorRT, ONNX Runtime, torch and CuPy in the same process.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DeviceError, MissingDependency, SessionError
from mien.sessions.base import Array

LEAST_DRIVER = 13000
"""CUDA 13.0, as the driver's interface counts: what TensorRT 11, ONNX Runtime 1.31 and mien's kernels are built for."""

INSTALL_DRIVER = "Install NVIDIA's driver 580 or newer: https://www.nvidia.com/drivers"


class Cuda:
    """One GPU: its primary context, and what is asked of the driver. Not for use by two threads at a time."""

    __slots__ = ("_context", "_driver", "compute_capability", "driver", "name", "ordinal")

    def __init__(self, context: Any, module: Any, ordinal: int, name: str, capability: int, driver: str) -> None:
        self._context, self._driver = context, module
        self.ordinal = ordinal
        self.name = name
        self.compute_capability = capability
        """89 for 8.9."""
        self.driver = driver
        """The driver's own version where the system tells it, and the newest CUDA it knows: "580.65.06, CUDA 13.0"."""

    @classmethod
    def open(cls, ordinal: int = 0, module: Any = None) -> Cuda:
        """Retains the primary context of a GPU. ``module`` stands in for `pycuda.driver`.

        Raises MissingDependency without PyCUDA; DeviceError without a driver, with one older than CUDA 13, and where
        there is no such GPU.
        """
        driver = _pycuda() if module is None else module
        try:
            driver.init()
            known, count = int(driver.get_driver_version()), int(driver.Device.count())
        except driver.Error as error:
            raise DeviceError(f"The NVIDIA driver does not start: {error}. {INSTALL_DRIVER}") from error
        if known < LEAST_DRIVER:
            raise DeviceError(
                f"The NVIDIA driver knows CUDA {cuda_name(known)}; mien needs {cuda_name(LEAST_DRIVER)} or newer. "
                f"{INSTALL_DRIVER}"
            )
        if ordinal not in range(count):
            there = ", ".join(f"cuda:{number}" for number in range(count)) or "none"
            raise DeviceError(f"Requested device was: 'cuda:{ordinal}', but of GPUs there are {count}: {there}.")
        try:
            device = driver.Device(ordinal)
            major, minor = device.compute_capability()
            context = device.retain_primary_context()
        except driver.Error as error:
            raise DeviceError(f"The GPU cuda:{ordinal} cannot be used: {error}.") from error
        version = ", ".join(filter(None, (driver_release(), f"CUDA {cuda_name(known)}")))
        return cls(context, driver, ordinal, device.name(), 10 * major + minor, version)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the context current in this thread, and turns the driver's errors into SessionError."""
        if self._context is None:
            raise SessionError("This GPU was closed; open it again.")
        self._context.push()
        try:
            yield
        except self._driver.Error as error:
            raise SessionError(f"CUDA failed on cuda:{self.ordinal} ({self.name}): {error}") from error
        finally:
            self._driver.Context.pop()

    def free(self) -> int:
        """Bytes of its memory that nobody holds."""
        with self.current():
            return int(self._driver.mem_get_info()[0])

    def stream(self) -> Stream:
        """A new stream."""
        with self.current():
            return Stream(self, self._driver.Stream())

    def event(self) -> Event:
        """A new event."""
        with self.current():
            return Event(self, self._driver.Event())

    def allocate(self, count: int) -> Any:
        """PyCUDA's allocation of that many bytes. Raises DeviceError, with the needed and the free bytes."""
        with self.current():
            try:
                return self._driver.mem_alloc(count)
            except self._driver.MemoryError as error:
                free, total = self._driver.mem_get_info()
                raise DeviceError(
                    f"The GPU cuda:{self.ordinal} ({self.name}) is out of memory: {count:,} bytes are needed, "
                    f"{free:,} of {total:,} are free. Close other programs on it, or use a smaller batch."
                ) from error

    def pinned(self, count: int) -> Array:
        """A host array (count,) uint8 that the GPU can copy from and to while the CPU does something else."""
        with self.current():
            try:
                return np.asarray(self._driver.pagelocked_empty(count, np.uint8))
            except self._driver.MemoryError as error:
                raise DeviceError(f"There is no room for {count:,} bytes of page-locked memory.") from error

    def close(self) -> None:
        """Releases the context; what was allocated in it must be released before. May be called twice."""
        if self._context is not None:
            self._context.detach()
            self._context = None


class Stream:
    """An order in which a GPU does its work."""

    __slots__ = ("_cuda", "_stream", "handle")

    def __init__(self, cuda: Cuda, stream: Any) -> None:
        self._cuda, self._stream = cuda, stream
        self.handle = int(stream.handle)
        """CUDA's own, for TensorRT, ONNX Runtime and mien's kernels."""

    def synchronize(self) -> None:
        """Waits for all work in it. Work that failed shows here: SessionError."""
        with self._cuda.current():
            self._stream.synchronize()

    @property
    def cuda(self) -> Cuda:
        """Its GPU."""
        return self._cuda

    def upload(self, target: int, staged: Array) -> None:
        """Queues a copy of page-locked host memory to an address on the GPU."""
        with self._cuda.current():
            self._cuda._driver.memcpy_htod_async(target, staged, self._stream)

    def download(self, staged: Array, source: int) -> None:
        """Queues a copy from an address on the GPU into page-locked host memory."""
        with self._cuda.current():
            self._cuda._driver.memcpy_dtoh_async(staged, source, self._stream)

    def copy(self, target: int, source: int, count: int) -> None:
        """Queues a copy of that many bytes from one address on the GPU to another."""
        with self._cuda.current():
            self._cuda._driver.memcpy_dtod_async(target, source, count, self._stream)

    def wait(self, event: Event) -> None:
        """Later work in this stream begins once the event has happened."""
        with self._cuda.current():
            self._stream.wait_for_event(event.raw)

    @property
    def raw(self) -> Any:
        """PyCUDA's."""
        return self._stream


class Event:
    """A point in a stream, and when it was reached."""

    __slots__ = ("_cuda", "raw")

    def __init__(self, cuda: Cuda, event: Any) -> None:
        self._cuda = cuda
        self.raw = event
        """PyCUDA's."""

    def record(self, stream: Stream) -> None:
        """Puts it behind all work that is in the stream now."""
        with self._cuda.current():
            self.raw.record(stream.raw)

    def milliseconds_since(self, earlier: Event) -> float:
        """Waits until it has happened; the time on the GPU since the other one."""
        with self._cuda.current():
            self.raw.synchronize()
            return float(self.raw.time_since(earlier.raw))


class Buffer:
    """Device memory that only grows, and page-locked host memory beside it through which arrays pass.

    One array at a time is under way: synchronise the stream before the next `upload`, and before what `download` gave
    is read.
    """

    __slots__ = ("_cuda", "_memory", "_staging", "capacity")

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._memory: Any = None
        self._staging: Array | None = None
        self.capacity = 0

    @property
    def pointer(self) -> int:
        """The address of the first byte, 0 where there is none yet. 256-byte aligned, as CUDA promises."""
        return 0 if self._memory is None else int(self._memory)

    def reserve(self, count: int) -> int:
        """Makes room for that many bytes and gives the address. Growing loses what was in it.

        Raises DeviceError where the GPU has no room: the buffer is then empty, and smaller ones can still be had.
        """
        if self._memory is None or count > self.capacity:
            self.release()
            self._memory = self._cuda.allocate(max(count, 1))
            self.capacity = count
        return self.pointer

    def upload(self, array: Array, stream: Stream) -> int:
        """Starts copying an array, of any strides, to the device, growing where needed; gives the address."""
        pointer = self.reserve(array.nbytes)
        staged = self._staged(array.nbytes)
        np.copyto(staged.view(array.dtype).reshape(array.shape), array)
        with self._cuda.current():
            self._cuda._driver.memcpy_htod_async(pointer, staged, stream.raw)
        return pointer

    def download(self, shape: tuple[int, ...], dtype: str, stream: Stream) -> Array:
        """Starts copying from the device; a view that holds the values once the stream is done, until the next copy."""
        kind = np.dtype(dtype)
        staged = self._staged(math.prod(shape) * kind.itemsize)
        with self._cuda.current():
            self._cuda._driver.memcpy_dtoh_async(staged, self.pointer, stream.raw)
        return staged.view(kind).reshape(shape)

    def release(self) -> None:
        """Gives the device's memory back; may be called twice."""
        memory, self._memory, self.capacity = self._memory, None, 0
        if memory is not None:
            with self._cuda.current():
                memory.free()

    def _staged(self, count: int) -> Array:
        if self._staging is None or count > self._staging.nbytes:
            self._staging = self._cuda.pinned(count)
        return self._staging[:count]


def _pycuda() -> Any:
    try:
        import pycuda.driver
    except ModuleNotFoundError as error:
        raise MissingDependency("pycuda", "cuda") from error
    except ImportError as error:
        raise DeviceError(f"PyCUDA finds no NVIDIA driver: {error}. {INSTALL_DRIVER}") from error
    return pycuda.driver


def cuda_name(version: int) -> str:
    """13.0 of 13000."""
    return f"{version // 1000}.{version % 1000 // 10}"


def driver_release() -> str:
    """The driver's own version, 580.65.06; empty where the system does not tell (Windows, WSL)."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return ""
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", text)
    return found[0] if found else ""
