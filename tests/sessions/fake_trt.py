"""A stand-in for TensorRT that runs y = 2 x on host memory. It has no method that the real packages lack."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from mien.sessions.trt_flavour import Flavour

PLAN = b"plan"
LAYER = {"Name": "fused", "LayerType": "pointwise", "Metadata": "[ONNX Layer: a]\x1f[ONNX Layer: b]"}
REPORT = json.dumps({"Layers": [LAYER]})


class Machine:
    """What all stand-ins share. ``calls``: all that was asked, in order; ``refuses``: the calls that say no."""

    def __init__(self, batch: int = -1, most: int = 4) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.refuses: set[str] = set()
        self.batch, self.most = batch, most
        self.scratch = 256
        self.recording: list[Callable[[], None]] | None = None
        self.listeners: list[list[str]] = []

    def asked(self, name: str, *what: object) -> bool:
        """Writes the call down; whether it succeeds."""
        self.calls.append((name, *what))
        if name not in self.refuses:
            return True
        for heard in self.listeners:
            heard.append(f"[{name}] no.")
        return False

    def work(self, job: Callable[[], None]) -> None:
        """Does the job, or records it while a stream is captured."""
        if self.recording is None:
            job()
        else:
            self.recording.append(job)

    def names(self) -> list[object]:
        """The calls' names."""
        return [call[0] for call in self.calls]


def flavour(machine: Machine) -> Flavour:
    """What `load_flavour` would give."""

    class Runtime:
        def __init__(self, logger: object) -> None:
            pass

        def deserialize_cuda_engine(self, plan: bytes) -> Any:
            return ICudaEngine(machine) if machine.asked("deserialize", plan) and plan == PLAN else None

    package = SimpleNamespace(
        Runtime=Runtime,
        TensorIOMode=SimpleNamespace(INPUT="in", OUTPUT="out"),
        LayerInformationFormat=SimpleNamespace(JSON="json"),
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user"),
    )
    return Flavour("rtx", package, "0.0", SimpleNamespace(listeners=machine.listeners))


class ICudaEngine:
    """x (batch, 3) float32 -> y (batch, 3) float32."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.num_io_tensors = 2
        self.device_memory_size_v2 = machine.scratch

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "x" else "out"

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name="FLOAT")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._machine.batch, 3

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [(1, 3), (1, 3), (self._machine.most, 3)]

    def is_shape_inference_io(self, name: str) -> bool:
        return "shape tensor" in self._machine.refuses

    def create_engine_inspector(self) -> Any:
        return EngineInspector(self._machine) if self._machine.asked("inspector") else None

    def create_runtime_config(self) -> Any:
        return IRuntimeConfig(self._machine)

    def create_execution_context(self, how: Any) -> Any:
        strategy, kernels = (how, None) if isinstance(how, str) else (how.strategy, how.kernels)
        return IExecutionContext(self._machine, kernels) if self._machine.asked("context", strategy) else None


class IRuntimeCache:
    """The kernels that were compiled: one for each batch."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self.batches = machine, set[int]()

    def deserialize(self, blob: bytes) -> bool:
        if not self._machine.asked("deserialize kernels"):
            return False
        self.batches.update(json.loads(blob))
        return True

    def serialize(self) -> bytes:
        return json.dumps(sorted(self.batches)).encode()


class IRuntimeConfig:
    """How contexts are made."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self.strategy, self.kernels = machine, "static", IRuntimeCache(machine)

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> Any:
        return IRuntimeCache(self._machine)

    def set_runtime_cache(self, cache: Any) -> bool:
        self.kernels = cache
        return self._machine.asked("kernels")


class EngineInspector:
    """Tells of one layer, made of two nodes."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def get_engine_information(self, format: str) -> str:
        assert format == "json"
        return REPORT if self._machine.asked("information") else ""


class IExecutionContext:
    """Runs on the addresses it was told, as TensorRT does."""

    def __init__(self, machine: Machine, kernels: IRuntimeCache | None = None) -> None:
        self._machine, self._shape, self._memory = machine, (0, 3), False
        self._kernels = kernels
        self._addresses: dict[str, int] = {}

    def set_device_memory(self, memory: int, size: int) -> None:
        self._memory = memory != 0 and size >= self._machine.scratch
        self._machine.calls.append(("memory",))

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shape = shape
        return self._machine.asked("shape", name, shape) and shape[0] <= self._machine.most

    def infer_shapes(self) -> list[str]:
        return [] if self._machine.asked("infer") else ["y"]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, 3) if "known shape" in self._machine.refuses else self._shape

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return self._machine.asked("address", name, memory)

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self._memory or not self._machine.scratch
        x, y, count = self._addresses["x"], self._addresses["y"], self._shape[0] * 3

        def job() -> None:
            source, target = ((ctypes.c_float * count).from_address(place) for place in (x, y))
            np.ctypeslib.as_array(target)[:] = 2 * np.ctypeslib.as_array(source)

        if not self._machine.asked("execute", stream_handle):
            return False
        if self._kernels is not None and self._shape[0] not in self._kernels.batches:
            self._machine.calls.append(("compile", self._shape[0]))
            self._kernels.batches.add(self._shape[0])
        self._machine.work(job)
        return True


class FakeGraphs:
    """What mien._cuda offers for graphs."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def begin_capture(self, stream: int) -> None:
        self._check("begin")
        self._machine.recording = []

    def discard_capture(self, stream: int) -> None:
        self._machine.calls.append(("discard",))
        self._machine.recording = None

    def end_capture(self, stream: int) -> Any:
        self._check("end")
        recorded, self._machine.recording = self._machine.recording, None
        assert recorded is not None

        def launch(stream: int) -> None:
            self._check("launch")
            for job in recorded:
                job()

        return SimpleNamespace(launch=launch)

    def _check(self, name: str) -> None:
        if not self._machine.asked(name):
            raise RuntimeError(f"{name}: not permitted")
