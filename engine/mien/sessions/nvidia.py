"""What NVIDIA's driver and libraries on this machine say of themselves. Needs no Python package.

Executed: on machines without a driver. Not executed yet: with one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mien.errors import DeviceError
from mien.sessions.cuda import INSTALL_DRIVER, LEAST_DRIVER, cuda_name, driver_release

Load = Callable[[str], Any]

NAME_BYTES = 128
CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


@dataclass(frozen=True)
class Gpu:
    """``compute_capability`` is 89 for 8.9; ``bytes`` its memory."""

    name: str
    compute_capability: int
    bytes: int


@dataclass(frozen=True)
class Driver:
    """``release`` is empty where the system does not tell; ``cuda`` is the newest that it knows, 13000 for 13.0."""

    release: str
    cuda: int
    gpus: tuple[Gpu, ...]

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.release, f"CUDA {cuda_name(self.cuda)}")))


@dataclass(frozen=True)
class Library:
    """A library that something on the GPU needs, the line that installs it, and how it tells its version."""

    title: str
    file: str
    install: str
    version: Callable[[Any], str]


def _runtime_version(library: Any) -> str:
    number = ctypes.c_int()
    library.cudaRuntimeGetVersion(ctypes.byref(number))
    return cuda_name(number.value)


def _cudnn_version(library: Any) -> str:
    library.cudnnGetVersion.restype = ctypes.c_size_t
    number = int(library.cudnnGetVersion())
    return f"{number // 10000}.{number % 10000 // 100}.{number % 100}"


LIBRARIES = (
    Library("CUDA runtime", "libcudart.so.13", "pip install 'nvidia-cuda-runtime>=13'", _runtime_version),
    Library("cuDNN", "libcudnn.so.9", "pip install nvidia-cudnn-cu13", _cudnn_version),
)

PROVIDER = "libonnxruntime_providers_cuda.so"
"""ONNX Runtime's CUDA provider, a file in its package."""


def find_driver(load: Load = ctypes.CDLL) -> Driver:
    """The driver and its GPUs. Raises DeviceError without one, or with one that does not start or is too old."""
    try:
        library = load("libcuda.so.1")
    except OSError as error:
        raise DeviceError(f"There is no NVIDIA driver: {error}. {INSTALL_DRIVER}") from error
    if code := library.cuInit(0):
        raise DeviceError(f"The NVIDIA driver does not start (cuInit gives {code}). {INSTALL_DRIVER}")
    known, count = ctypes.c_int(), ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(known))
    library.cuDeviceGetCount(ctypes.byref(count))
    if known.value < LEAST_DRIVER:
        raise DeviceError(
            f"The NVIDIA driver knows CUDA {cuda_name(known.value)}; mien needs {cuda_name(LEAST_DRIVER)} or newer. "
            f"{INSTALL_DRIVER}"
        )
    return Driver(driver_release(), known.value, tuple(_gpu(library, number) for number in range(count.value)))


def memory_info(number: int, load: Load = ctypes.CDLL) -> tuple[int, int] | None:
    """The free bytes of a GPU's memory and all of them; None where the driver does not tell."""
    try:
        library = load("libcuda.so.1")
    except OSError:
        return None
    device, context, free, total = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    if library.cuInit(0) or library.cuDeviceGet(ctypes.byref(device), number):
        return None
    if library.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
        return None
    try:
        if library.cuCtxPushCurrent_v2(context):
            return None
        failed = library.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        library.cuCtxPopCurrent_v2(ctypes.byref(context))
    finally:
        library.cuDevicePrimaryCtxRelease_v2(device)
    return None if failed else (free.value, total.value)


def find_library(library: Library, load: Load = ctypes.CDLL) -> tuple[str, str] | None:
    """Where a library is (among NVIDIA's Python packages, or just its name) and its version; None without it."""
    for place in (*_packaged(library.file), library.file):
        try:
            return place, library.version(load(place))
        except (OSError, AttributeError):
            continue
    return None


def provider_library() -> Path | None:
    """ONNX Runtime's CUDA provider, None where the package for the CPU is installed."""
    try:
        found = [file for file in files("onnxruntime-gpu") or () if file.name == PROVIDER]
    except PackageNotFoundError:
        return None
    return Path(str(found[0].locate())) if found else None


def _packaged(file: str) -> list[str]:
    """That library in NVIDIA's Python packages, nvidia/*/lib; no loader looks there."""
    spec = find_spec("nvidia")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return [str(path) for folder in folders for path in sorted(Path(folder).glob(f"*/lib/{file}"))]


def _gpu(library: Any, number: int) -> Gpu:
    device, name, total = ctypes.c_int(), ctypes.create_string_buffer(NAME_BYTES), ctypes.c_size_t()
    library.cuDeviceGet(ctypes.byref(device), number)
    library.cuDeviceGetName(name, NAME_BYTES, device)
    library.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    numbers = [ctypes.c_int(), ctypes.c_int()]
    for value, attribute in zip(numbers, CAPABILITY, strict=True):
        library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    major, minor = numbers
    return Gpu(name.value.decode(errors="replace"), 10 * major.value + minor.value, total.value)
