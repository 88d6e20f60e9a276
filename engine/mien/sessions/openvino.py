"""A network run by OpenVINO, an optional second way on a CPU. The only module that imports it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

from mien.errors import DeviceError, MissingDependency, SessionError
from mien.sessions.base import Array, NodePlace, SessionInfo, TensorSpec, check_tensors, choose_threads, closed

try:
    import openvino as ov  # type: ignore[import-untyped]
except ImportError as error:
    raise MissingDependency("openvino", "openvino") from error

DTYPES = {
    "f32": "float32",
    "f16": "float16",
    "f64": "float64",
    "i64": "int64",
    "i32": "int32",
    "i8": "int8",
    "u8": "uint8",
    "boolean": "bool",
}


NOT_RUN = ("Input", "Output", "Const")
"""Of what OpenVINO lists, that which is no work."""

Shapes = tuple[tuple[int | str, ...], ...]

MOST_SHAPES = 4
"""Each shape that is kept compiled keeps weights of its own."""


class OpenVinoSession:
    """An ONNX model, as a file or as its bytes, on the CPU, in float32 wherever the model says so.

    A model with free dimensions is compiled for each of the shapes it is fed, which runs up to half as fast again as
    one compiled for any; the last `MOST_SHAPES` are kept. Threads may share a session; they take turns.

    Raises DeviceError for another device, SessionError for a model that OpenVINO cannot read.
    """

    def __init__(self, model: bytes | str | PathLike[str], device: str = "cpu", threads: int | None = None) -> None:
        if device != "cpu":
            raise DeviceError(f"Requested device was: {device!r}, but the OpenVINO session runs on: cpu.")
        count = choose_threads(threads)
        self._settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": count,
            # Its own default lowers the precision on CPUs that have bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            self._core = ov.Core()
            self._model: ov.Model | None = self._core.read_model(
                model if isinstance(model, bytes) else _read(Path(model))
            )
            # Not the compiled network's: what it drops at the end leaves its name to the output.
            self.inputs = tuple(_spec(port) for port in self._model.inputs)
            self.outputs = tuple(_spec(port) for port in self._model.outputs)
            self._requests: dict[Shapes, ov.InferRequest] = {}
            if all(isinstance(size, int) for spec in self.inputs for size in spec.shape):
                self._request(tuple(spec.shape for spec in self.inputs))  # a fault shows now, not in the first run
        except RuntimeError as error:
            raise SessionError(f"OpenVINO cannot read the network: {error}") from error
        self._turn = Lock()
        self.info = SessionInfo("openvino", device, "CPU", count)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Session.run`."""
        if self._model is None:
            raise closed()
        check_tensors(self.inputs, feeds)
        try:
            with self._turn:
                results = self._request(tuple(feeds[spec.name].shape for spec in self.inputs)).infer(dict(feeds))
                # The request writes into the same memory next time.
                return {spec.name: results[index].copy() for index, spec in enumerate(self.outputs)}
        except RuntimeError as error:
            raise SessionError(f"OpenVINO failed while running the network: {error}") from error

    def close(self) -> None:
        """See `Session.close`."""
        self._model = None
        self._requests.clear()

    def _request(self, shapes: Shapes) -> ov.InferRequest:
        """The network compiled for these shapes of its inputs."""
        request = self._requests.pop(shapes, None)
        if request is None:
            assert self._model is not None
            model = self._model.clone()
            model.reshape({spec.name: list(shape) for spec, shape in zip(self.inputs, shapes, strict=True)})
            request = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        while len(self._requests) >= MOST_SHAPES:
            del self._requests[next(iter(self._requests))]
        self._requests[shapes] = request  # the last is the one used latest
        return request


def node_places(model: bytes | str | PathLike[str], device: str = "cpu") -> tuple[NodePlace, ...]:
    """Every node with the operation that OpenVINO made of it and the kernel that runs that, in the order of running.

    Operations of OpenVINO's own, such as changes of layout, stand for themselves. Raises as `OpenVinoSession` does.
    """
    session = OpenVinoSession(model, device, threads=1)
    try:
        running = session._core.compile_model(session._model, "CPU", session._settings).get_runtime_model()
    except RuntimeError as error:
        raise SessionError(f"OpenVINO cannot read the network: {error}") from error
    return tuple(place for operation in running.get_ordered_ops() for place in _places(operation))


def _places(operation: Any) -> list[NodePlace]:
    info = operation.get_rt_info()
    kind, kernel, names = (info[key].astype(str) for key in ("layerType", "primitiveType", "originalLayersNames"))
    if kind in NOT_RUN:
        return []
    return [NodePlace(name, kind, f"CPU, {kernel}") for name in (names or operation.get_friendly_name()).split(",")]


def available_devices() -> tuple[str, ...]:
    """The devices that OpenVINO finds here, for example ("CPU",)."""
    return tuple(ov.Core().available_devices)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SessionError(f"Cannot read the network {path}: {error.strerror or error}.") from error


def _spec(port: Any) -> TensorSpec:
    name = port.get_any_name()
    dtype = DTYPES.get(port.get_element_type().get_type_name())
    if dtype is None:
        raise SessionError(f"The tensor {name!r} is {port.get_element_type()}; mien knows {', '.join(DTYPES)}.")
    shape = tuple(
        int(size.get_length()) if size.is_static else str(size.get_symbol() or f"{name}.{axis}")
        for axis, size in enumerate(port.get_partial_shape())
    )
    return TensorSpec(name, dtype, shape)
