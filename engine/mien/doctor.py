"""What this machine has and what of it really works: the facts behind `mien doctor`."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mien.bundle import Bundle, embedded_bundles
from mien.errors import DeviceError, MienError
from mien.hub import REGISTRY, cache_folder, stored
from mien.sessions import open_session
from mien.sessions.base import usable_cores
from mien.sessions.cuda import Cuda, cuda_name
from mien.sessions.engine_cache import EngineCache
from mien.sessions.nvidia import LIBRARIES, Driver, find_driver, find_library, provider_library
from mien.sessions.ort import INSTALL_CUDA
from mien.sessions.trt_flavour import TITLES, FlavourName, load_flavour

PACKAGES = ("mien", "numpy", "onnxruntime", "onnxruntime-gpu", "opencv-python", "av", "openvino", "typer", "rich")
CPU_FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "sve")
CPU_KERNELS, CUDA_KERNELS = "mien._cpu", "mien._cuda"
FLAVOURS: tuple[FlavourName, ...] = ("tensorrt", "rtx")
BUILD_KERNELS = "in a clone of mien, with CUDA 13's nvcc on the PATH: MIEN_CUDA=ON pip install ."

# y = Identity(x), float32 (1,), ONNX opset 13: the smallest network that a runtime can be asked to start.
IDENTITY = (
    b'\x08\x07\x12\x00:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01iZ\x0f\n\x01x\x12\n\n\x08\x08\x01'
    b"\x12\x04\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
SESSIONS = (("ort", "cpu"), ("ort", "cuda"), ("openvino", "cpu"), ("tensorrt", "cuda"), ("rtx", "cuda"))
NEEDED = "ort on cpu"


@dataclass(frozen=True)
class Fact:
    """One line of the table. ``works``: True, False, or None for a plain fact."""

    topic: str
    name: str
    value: str
    works: bool | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found out, in the order in which it is shown."""

    facts: tuple[Fact, ...]

    @property
    def healthy(self) -> bool:
        """Whether all works that mien cannot do without: ONNX Runtime on the CPU, and the bundles that it brings."""
        return all(fact.works for fact in self.facts if fact.topic == "bundle" or fact.name == NEEDED)


def diagnose() -> Diagnosis:
    """Looks at the machine; takes a second or two, because runtimes and bundles are really opened."""
    try:
        driver, why = find_driver(), ""
    except DeviceError as error:
        driver, why = None, str(error)
    gpu = (*_driver(driver, why), *_libraries(), *_tensorrt(), *_pycuda())
    facts = (*_machine(), *_packages(), *gpu, *_sessions(), *_kernels(driver), *_bundles(), *_cache())
    return Diagnosis(facts)


def _machine() -> Iterator[Fact]:
    yield Fact("machine", "platform", platform.platform())
    yield Fact("machine", "python", platform.python_version())
    model, flags = _cpu()
    yield Fact("machine", "cpu", f"{model}, {usable_cores()} usable cores")
    yield Fact("machine", "cpu features", ", ".join(name for name in CPU_FEATURES if name in flags) or "unknown")


def _cpu() -> tuple[str, set[str]]:
    """The CPU's name and feature flags, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = values.get("flags") or values.get("Features") or ""
    return values.get("model name") or platform.machine(), set(flags.split())


def _packages() -> Iterator[Fact]:
    for name in PACKAGES:
        try:
            yield Fact("package", name, version(name))
        except PackageNotFoundError:
            yield Fact("package", name, "not installed")


def _sessions() -> Iterator[Fact]:
    for backend, device in SESSIONS:
        name = f"{backend} on {device}"
        try:
            session = open_session(IDENTITY, backend, device)
            session.run({"x": np.ones(1, np.float32)})
        except MienError as error:
            yield Fact("session", name, str(error), works=False)
        else:
            yield Fact("session", name, f"{session.info.provider}, {session.info.threads} threads", works=True)


def _driver(driver: Driver | None, why: str) -> Iterator[Fact]:
    if driver is None:
        yield Fact("gpu", "driver", why, works=False)
        return
    yield Fact("gpu", "driver", str(driver), works=True)
    for number, gpu in enumerate(driver.gpus):
        capability = f"{gpu.compute_capability // 10}.{gpu.compute_capability % 10}"
        told = f"{gpu.name}, compute capability {capability}, {gpu.bytes / 2**30:.1f} GiB"
        yield Fact("gpu", f"cuda:{number}", told, works=True)
    if not driver.gpus:
        yield Fact("gpu", "cuda:0", "the driver finds no GPU", works=False)


def _libraries() -> Iterator[Fact]:
    for library in LIBRARIES:
        found = find_library(library)
        if found is None:
            missing = f"{library.file} is not found: {library.install}"
            yield Fact("gpu", library.title, missing, works=False)
        else:
            yield Fact("gpu", library.title, f"{found[1]}, {found[0]}", works=True)
    provider = provider_library()
    told = f"ONNX Runtime was installed without it: {INSTALL_CUDA}" if provider is None else str(provider)
    yield Fact("gpu", "CUDA provider", told, works=provider is not None)


def _tensorrt() -> Iterator[Fact]:
    for name in FLAVOURS:
        try:
            flavour = load_flavour(name)
        except MienError as error:
            yield Fact("gpu", TITLES[name], str(error), works=False)
        else:
            targets = ", ".join(map(str, flavour.capabilities)) or "the GPU that is there"
            yield Fact("gpu", TITLES[name], f"{flavour.version}, loaded; builds engines for: {targets}", works=True)


def _pycuda() -> Iterator[Fact]:
    try:
        cuda = Cuda.open()
    except MienError as error:
        yield Fact("gpu", "PyCUDA", str(error), works=False)
    else:
        yield Fact("gpu", "PyCUDA", f"{version('pycuda')}, opens {cuda.name}", works=True)
        cuda.close()


def _kernels(driver: Driver | None) -> Iterator[Fact]:
    yield _built("C++ kernels", CPU_KERNELS)
    cuda = _built("CUDA kernels", CUDA_KERNELS)
    if not cuda.works:
        built = find_spec(CUDA_KERNELS) is not None
        yield cuda if built else Fact("kernels", "CUDA kernels", f"not built; {BUILD_KERNELS}", works=False)
        return
    # That they load says nothing: without a GPU no line of theirs has run.
    why = "there is no GPU" if driver is None or not driver.gpus else "only the GPU tests do: scripts/gpu"
    toolkit = cuda_name(import_module(CUDA_KERNELS).CUDART_VERSION)
    yield Fact("kernels", "CUDA kernels", f"built with CUDA {toolkit}, not run: {why}")


def _built(name: str, module: str) -> Fact:
    if find_spec(module) is None:
        return Fact("kernels", name, "not built", works=False)
    try:
        import_module(module)
    except ImportError as error:
        return Fact("kernels", name, f"built, but cannot be loaded: {error}", works=False)
    return Fact("kernels", name, "loaded", works=True)


def _bundles() -> Iterator[Fact]:
    for name in embedded_bundles():
        try:
            bundle = Bundle.open(name)
            bundle.verify()
        except MienError as error:
            yield Fact("bundle", name, str(error), works=False)
        else:
            roles = ", ".join(bundle.manifest.networks)
            yield Fact("bundle", name, f"{bundle.manifest.task}: {roles}", works=True)


def _cache() -> Iterator[Fact]:
    yield Fact("cache", "folder", str(cache_folder()))
    yield _engines()
    there = {file.entry.name for file in stored() if file.whole}
    for name in REGISTRY:
        yield Fact("cache", name, "pulled" if name in there else f"not pulled: mien pull {name}")


def _engines() -> Fact:
    """Counted only: to say which of them still fit, all of them would have to be read."""
    folder = cache_folder() / "engines"
    if not folder.exists():
        return Fact("cache", "engines", "none: mien build makes them where there is a GPU")
    try:
        use = EngineCache(folder).use()
    except MienError as error:
        return Fact("cache", "engines", str(error), works=False)
    told = f"{use.engines}, {use.bytes / 1e6:.1f} MB with what lies beside them"
    return Fact("cache", "engines", f"{told}; which of them still fit: mien cache list")
