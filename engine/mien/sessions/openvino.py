"""A network run by OpenVINO, an optional second way on a CPU. The only module that imports it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from mien.errors import DeviceError, MissingDependency, SessionError
from mien.sessions.base import Array, SessionInfo, TensorSpec, check_tensors, choose_threads, closed

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


class OpenVinoSession:
    """An ONNX model, as a file or as its bytes, on the CPU, in float32 wherever the model says so.

    Raises DeviceError for another device, SessionError for a model that OpenVINO cannot read.
    """

    def __init__(self, model: bytes | str | PathLike[str], device: str = "cpu", threads: int | None = None) -> None:
        if device != "cpu":
            raise DeviceError(f"Requested device was: {device!r}, but the OpenVINO session runs on: cpu.")
        count = choose_threads(threads)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": count,
            # Its own default lowers the precision on CPUs that have bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            core = ov.Core()
            loaded = core.read_model(model if isinstance(model, bytes) else _read(Path(model)))
            compiled = core.compile_model(loaded, "CPU", settings)
            # Not the compiled network's: what it drops at the end leaves its name to the output.
            self.inputs = tuple(_spec(port) for port in loaded.inputs)
            self.outputs = tuple(_spec(port) for port in loaded.outputs)
            self._request: ov.InferRequest | None = compiled.create_infer_request()
        except RuntimeError as error:
            raise SessionError(f"OpenVINO cannot read the network: {error}") from error
        self.info = SessionInfo("openvino", device, "CPU", count)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Session.run`."""
        if self._request is None:
            raise closed()
        check_tensors(self.inputs, feeds)
        try:
            results = self._request.infer(dict(feeds))
        except RuntimeError as error:
            raise SessionError(f"OpenVINO failed while running the network: {error}") from error
        # The request writes into the same memory next time.
        return {spec.name: results[index].copy() for index, spec in enumerate(self.outputs)}

    def close(self) -> None:
        """See `Session.close`."""
        self._request = None


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
