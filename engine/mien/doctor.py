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
from mien.errors import MienError
from mien.hub import REGISTRY, cache_folder
from mien.sessions import open_session
from mien.sessions.base import usable_cores

PACKAGES = ("mien", "numpy", "onnxruntime", "opencv-python", "av", "openvino", "typer", "rich")
CPU_FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "sve")
NATIVE = {"C++ kernels": "mien._cpu", "CUDA kernels": "mien._cuda"}

# y = Identity(x), float32 (1,), ONNX opset 13: the smallest network that a runtime can be asked to start.
IDENTITY = (
    b'\x08\x07\x12\x00:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01iZ\x0f\n\x01x\x12\n\n\x08\x08\x01'
    b"\x12\x04\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
SESSIONS = (("ort", "cpu"), ("ort", "cuda"), ("openvino", "cpu"))
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
    return Diagnosis((*_machine(), *_packages(), *_sessions(), *_native(), *_bundles(), *_pulled()))


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


def _native() -> Iterator[Fact]:
    for name, module in NATIVE.items():
        if find_spec(module) is None:
            yield Fact("kernels", name, "not built", works=False)
            continue
        try:
            import_module(module)
        except ImportError as error:
            yield Fact("kernels", name, f"built, but cannot be loaded: {error}", works=False)
        else:
            yield Fact("kernels", name, "loaded", works=True)


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


def _pulled() -> Iterator[Fact]:
    yield Fact("cache", "folder", str(cache_folder()))
    for entry in REGISTRY.values():
        there = (cache_folder() / entry.name / entry.file).is_file()
        yield Fact("cache", entry.name, "pulled" if there else f"not pulled: mien pull {entry.name}")
