"""What the driver and the libraries say, against a stand-in for libcuda; without one, also the real thing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mien.errors import DeviceError
from mien.sessions.nvidia import LIBRARIES, Gpu, find_driver, find_library, memory_info


class LibCuda:
    """The functions of libcuda that are called, with one GPU of compute capability 8.9."""

    def __init__(self, start: int = 0, known: int = 13000, gpus: int = 1) -> None:
        self.start, self.known, self.gpus = start, known, gpus

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.start

    def cuDriverGetVersion(self, value: Any) -> int:  # noqa: N802
        value._obj.value = self.known
        return 0

    def cuDeviceGetCount(self, value: Any) -> int:  # noqa: N802
        value._obj.value = self.gpus
        return 0

    def cuDeviceGet(self, value: Any, number: int) -> int:  # noqa: N802
        value._obj.value = number
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        name.value = f"NVIDIA L4 {device.value}".encode()
        return 0

    def cuDeviceTotalMem_v2(self, value: Any, device: Any) -> int:  # noqa: N802
        value._obj.value = 24 << 30
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        value._obj.value = {75: 8, 76: 9}[attribute]
        return 0


class LibCudaMemory(LibCuda):
    """The same with a context. ``refuses``: the call that fails; ``held``: contexts retained and not released."""

    def __init__(self, refuses: str = "") -> None:
        super().__init__(start=int(refuses == "cuInit"))
        self.refuses, self.held, self.current = refuses, 0, 0

    def cuDevicePrimaryCtxRetain(self, context: Any, device: Any) -> int:  # noqa: N802
        self.held += self.refuses != "retain"
        return int(self.refuses == "retain")

    def cuDevicePrimaryCtxRelease_v2(self, device: Any) -> int:  # noqa: N802
        self.held -= 1
        return 0

    def cuCtxPushCurrent_v2(self, context: Any) -> int:  # noqa: N802
        self.current += self.refuses != "push"
        return int(self.refuses == "push")

    def cuCtxPopCurrent_v2(self, context: Any) -> int:  # noqa: N802
        self.current -= 1
        return 0

    def cuMemGetInfo_v2(self, free: Any, total: Any) -> int:  # noqa: N802
        free._obj.value, total._obj.value = 5 << 30, 24 << 30
        return 2 * (self.refuses == "info")


@pytest.mark.parametrize("refuses", ["", "cuInit", "retain", "push", "info"])
def test_the_free_memory_is_told_and_the_context_let_go(refuses: str) -> None:
    library = LibCudaMemory(refuses)
    assert memory_info(0, lambda name: library) == (None if refuses else (5 << 30, 24 << 30))
    assert (library.held, library.current) == (0, 0)


def test_a_driver_tells_its_cuda_and_its_gpus() -> None:
    driver = find_driver(lambda name: LibCuda(gpus=2))
    assert driver.cuda == 13000 and str(driver).endswith("CUDA 13.0")
    assert driver.gpus == tuple(Gpu(f"NVIDIA L4 {number}", 89, 24 << 30) for number in range(2))


@pytest.mark.parametrize(
    ("library", "said"),
    [
        (LibCuda(start=100), r"does not start \(cuInit gives 100\)"),
        (LibCuda(known=12040), r"knows CUDA 12\.4; mien needs 13\.0"),
    ],
)
def test_a_driver_that_does_not_start_or_is_old_is_a_device_error(library: LibCuda, said: str) -> None:
    with pytest.raises(DeviceError, match=f"{said}.*Install NVIDIA's driver"):
        find_driver(lambda name: library)


def test_no_driver_is_a_device_error_with_the_loader_s_words() -> None:
    def absent(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(DeviceError, match=r"no NVIDIA driver: libcuda\.so\.1: cannot open.*Install"):
        find_driver(absent)
    assert all(find_library(library, absent) is None for library in LIBRARIES)
    assert memory_info(0, absent) is None


def test_a_library_tells_where_it_is_and_its_version() -> None:
    def runtime(value: Any) -> int:
        value._obj.value = 13000
        return 0

    def cudnn() -> int:
        return 91200

    cudnn.restype = None  # type: ignore[attr-defined]
    loaded = SimpleNamespace(cudaRuntimeGetVersion=runtime, cudnnGetVersion=cudnn)
    found = [find_library(library, lambda name: loaded) for library in LIBRARIES]
    assert [told and told[1] for told in found] == ["13.0", "9.12.0"]
    assert all(told and told[0].endswith(library.file) for told, library in zip(found, LIBRARIES, strict=True))
    assert find_library(LIBRARIES[0], lambda name: SimpleNamespace()) is None, "a library of that name without it"
