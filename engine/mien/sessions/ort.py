"""A network run by ONNX Runtime. The only module that imports it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import onnxruntime as ort  # type: ignore[import-untyped]
from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]

from mien.errors import DeviceError, SessionError
from mien.sessions.base import Array, SessionInfo, TensorSpec, check_tensors, choose_threads, closed

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
INSTALL = {"cuda": "an NVIDIA driver and: pip install onnxruntime-gpu"}

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}

# ONNX Runtime's errors have no base of their own, and their number grows.
ORT_ERRORS: tuple[type[Exception], ...] = (
    *(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    RuntimeError,
    ValueError,
)


class OrtSession:
    """An ONNX model, as a file or as its bytes, on "cpu", "cuda" or "cuda:N".

    Threads wait without spinning, so that two networks, or two programs, do not take each other's cores. Raises
    DeviceError where the device's provider is not there or does not start (nothing falls back), SessionError for a
    model that cannot be read.
    """

    def __init__(self, model: bytes | str | PathLike[str], device: str = "cpu", threads: int | None = None) -> None:
        kind, number = split_device(device)
        provider = PROVIDERS[kind]
        count = choose_threads(threads)
        self._session: ort.InferenceSession | None = _load(
            model if isinstance(model, bytes) else _read(Path(model)), device, provider, number, count
        )
        self.inputs = tuple(_spec(value) for value in self._session.get_inputs())
        self.outputs = tuple(_spec(value) for value in self._session.get_outputs())
        self.info = SessionInfo("onnxruntime", device, provider, count)
        self._names = [spec.name for spec in self.outputs]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Session.run`."""
        if self._session is None:
            raise closed()
        check_tensors(self.inputs, feeds)
        try:
            results = self._session.run(self._names, feeds)
        except ORT_ERRORS as error:
            raise SessionError(f"ONNX Runtime failed while running the network: {error}") from error
        return dict(zip(self._names, results, strict=True))

    def close(self) -> None:
        """See `Session.close`."""
        self._session = None


def available_providers() -> tuple[str, ...]:
    """The providers that this ONNX Runtime was built with; whether one starts is known only by starting it."""
    return tuple(ort.get_available_providers())


def split_device(device: str) -> tuple[str, int]:
    """("cuda", 1) of "cuda:1". Raises DeviceError for a device that mien does not know."""
    kind, _, number = device.partition(":")
    if kind not in PROVIDERS or (number and not number.isdecimal()):
        raise DeviceError(f"Requested device was: {device!r}, but known devices are: cpu, cuda, cuda:N.")
    return kind, int(number or 0)


def _load(model: bytes, device: str, provider: str, number: int, threads: int) -> ort.InferenceSession:
    available = available_providers()
    if provider not in available:
        raise _unavailable(device, provider, f"available providers are: {', '.join(available)}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # warnings about initialisers help nobody who runs a network
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    settings = {"device_id": number} if provider != PROVIDERS["cpu"] else {}
    try:
        session = ort.InferenceSession(model, options, providers=[(provider, settings)])
    except ORT_ERRORS as error:
        raise SessionError(f"ONNX Runtime cannot read the network: {error}") from error
    # ONNX Runtime goes on without a provider that fails to start.
    if provider not in session.get_providers():
        raise _unavailable(device, provider, f"only these started: {', '.join(session.get_providers())}")
    return session


def _unavailable(device: str, provider: str, there: str) -> DeviceError:
    needed = INSTALL.get(device.partition(":")[0], "pip install onnxruntime")
    return DeviceError(f"Requested device was: {device!r} ({provider}), but {there}. It needs {needed}.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SessionError(f"Cannot read the network {path}: {error.strerror or error}.") from error


def _spec(value: ort.NodeArg) -> TensorSpec:
    if value.type not in DTYPES:
        raise SessionError(f"The tensor {value.name!r} is a {value.type}; mien knows {', '.join(DTYPES)}.")
    # An unnamed free dimension comes as None; its name must not be shared with another one.
    shape = tuple(f"{value.name}.{axis}" if size is None else size for axis, size in enumerate(value.shape))
    return TensorSpec(value.name, DTYPES[value.type], shape)
