"""A network run by ONNX Runtime, on the CPU or on a GPU through CUDA. The only module that imports it.

Not executed yet: the CUDA provider. Runs on addresses (`OrtSession.run_device`) were executed in the CPU's memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from os import PathLike
from pathlib import Path
from threading import Lock

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]

from mien.errors import DeviceError, SessionError
from mien.sessions.base import Array, NodePlace, SessionInfo, TensorSpec, check_tensors, choose_threads, closed
from mien.sessions.cuda import INSTALL_DRIVER
from mien.sessions.device_tensor import DeviceTensor, Queue, check_device_tensors
from mien.sessions.nvidia import memory_info
from mien.sessions.onnx_border import stated_border

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

# Both packages are `import onnxruntime`: the one for the CPU has to go first. Older ones were built for older CUDAs.
INSTALL_CUDA = "pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]>=1.31'"

OUT_OF_MEMORY = re.compile(
    r"Failed to allocate memory for requested buffer of size (\d+)|out of memory|(?:CUBLAS|CUDNN)_STATUS_ALLOC_FAILED"
)
"""How ONNX Runtime tells that a GPU has no room, with the bytes where it knows them."""

NO_KERNEL = (
    "ONNX Runtime cannot run the network here: it has no kernel for one of its nodes in the types of the network. Of a "
    "network in bf16 its CPU provider has hardly any. OpenVINO runs that on the CPU (backend openvino), TensorRT-RTX "
    "and TensorRT on GPUs of compute capability 8.0 and newer (backend rtx or tensorrt, device cuda). Or use the "
    "bundle in fp32, or in fp16."
)

MOST_GRAPHS = 4
"""CUDA graphs that a session captures; runs with further shapes or addresses queue their kernels one by one."""

# ONNX Runtime's names.
GRAPH, NO_GRAPH = "gpu_graph_id", "-1"
NO_WAITING = "disable_synchronize_execution_providers"

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

    Threads wait without spinning, so that two networks, or two programs, do not take each other's cores. On a GPU:
    ``stream`` is a stream, or a CUDA stream's handle, to queue all work on: sessions that share one can hand tensors on
    without waiting. With ``graphs``, `run_device` captures a CUDA graph for each set of shapes and addresses.

    Raises DeviceError where the device's provider is not there or does not start (nothing falls back) or has no kernel
    for a node, SessionError for a model that cannot be read.
    """

    def __init__(
        self,
        model: bytes | str | PathLike[str],
        device: str = "cpu",
        threads: int | None = None,
        *,
        stream: Queue | int | None = None,
        graphs: bool = False,
    ) -> None:
        kind, number = split_device(device)
        if kind != "cuda" and (graphs or stream is not None):
            raise DeviceError(f"Requested device was: {device!r}, but streams and CUDA graphs are for: cuda, cuda:N.")
        provider = PROVIDERS[kind]
        count = choose_threads(threads)
        self._queue: Queue | None = None if isinstance(stream, int) else stream
        handle = stream if stream is None or isinstance(stream, int) else stream.handle
        settings = cuda_settings(number, handle, graphs) if kind == "cuda" else {}
        self._session: ort.InferenceSession | None = _load(read_model(model), device, provider, settings, count)
        self.inputs = tuple(_spec(value) for value in self._session.get_inputs())
        self.outputs = tuple(_spec(value) for value in self._session.get_outputs())
        self.info = SessionInfo("onnxruntime", device, provider, count)
        self._names = [spec.name for spec in self.outputs]
        self._place = (kind, number)
        self._streamed = stream is not None
        self._captured: dict[object, str] | None = {} if graphs else None
        self._lock = Lock()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Session.run`."""
        if self._session is None:
            raise closed()
        check_tensors(self.inputs, feeds)
        # Arrays of the caller's have another address each time.
        options = None if self._captured is None else _run_options({GRAPH: NO_GRAPH})
        try:
            results = self._session.run(self._names, feeds, options)
        except ORT_ERRORS as error:
            raise _failure("failed while running the network", error, self._place) from error
        return dict(zip(self._names, results, strict=True))

    def run_device(
        self, feeds: Mapping[str, DeviceTensor], out: Mapping[str, DeviceTensor] | None = None
    ) -> dict[str, DeviceTensor]:
        """Runs on tensors in the memory of the session's own device. All outputs by name.

        Outputs not named in ``out`` lie in memory of ONNX Runtime's, for as long as the result is kept. With a stream
        of the caller's, the work is queued there and not waited for.
        """
        if self._session is None:
            raise closed()
        check_device_tensors(self.inputs, feeds, "input")
        given = out or {}
        check_device_tensors(tuple(spec for spec in self.outputs if spec.name in given), given, "output")
        kind, number = self._place
        try:
            binding = self._session.io_binding()
            for name, tensor in feeds.items():
                binding.bind_input(name, kind, number, np.dtype(tensor.dtype), tensor.shape, tensor.pointer)
            for name in self._names:
                room = given.get(name)
                if room is None:
                    binding.bind_output(name, kind, number)
                else:
                    binding.bind_output(name, kind, number, np.dtype(room.dtype), room.shape, room.pointer)
            settings = self._graph_setting(feeds, given)
            if self._streamed:
                settings = settings | {NO_WAITING: "1"}
            self._session.run_with_iobinding(binding, _run_options(settings) if settings else None)
            values = dict(zip(self._names, binding.get_outputs(), strict=True))
        except ORT_ERRORS as error:
            raise _failure("failed while running the network", error, self._place) from error
        return {name: given.get(name) or self._tensor(value) for name, value in values.items()}

    def close(self) -> None:
        """See `Session.close`."""
        self._session = None

    def _tensor(self, value: ort.OrtValue) -> DeviceTensor:
        dtype, shape = DTYPES[value.data_type()], tuple(value.shape())
        kind, number = self._place
        device = f"cuda:{number}" if kind == "cuda" else kind
        return DeviceTensor(value.data_ptr(), dtype, shape, value, device=device, queue=self._queue)

    def _graph_setting(self, feeds: Mapping[str, DeviceTensor], given: Mapping[str, DeviceTensor]) -> dict[str, str]:
        """Which graph this run captures or launches: one for each set of shapes and addresses."""
        if self._captured is None:
            return {}
        # Only memory of the caller's stays where it is.
        if set(given) != set(self._names):
            return {GRAPH: NO_GRAPH}
        bound = frozenset((name, tensor.pointer, tensor.shape) for name, tensor in (*feeds.items(), *given.items()))
        with self._lock:
            if bound not in self._captured and len(self._captured) < MOST_GRAPHS:
                self._captured[bound] = str(len(self._captured) + 1)
            return {GRAPH: self._captured.get(bound, NO_GRAPH)}


def cuda_settings(number: int, stream: int | None, graphs: bool) -> dict[str, str]:
    """The CUDA provider's options."""
    settings = {
        "device_id": str(number),
        "arena_extend_strategy": "kSameAsRequested",  # the default doubles what it takes
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "use_tf32": "0",  # what is float32 in a graph is so for its precision; half is in the graph where it will do
        "enable_cuda_graph": str(int(graphs)),
    }
    return settings if stream is None else settings | {"user_compute_stream": str(stream)}


def read_model(model: bytes | str | PathLike[str]) -> bytes:
    """An ONNX model's bytes. Raises SessionError."""
    return model if isinstance(model, bytes) else _read(Path(model))


def model_specs(model: bytes) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The inputs and the outputs of a network, also of one that does not run on the CPU. Raises SessionError."""
    options = _options(threads=1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = _created(model, options, PROVIDERS["cpu"], {})
    except DeviceError:  # it is read, but for one of its nodes there is no kernel
        return stated_border(model)
    return tuple(map(_spec, session.get_inputs())), tuple(map(_spec, session.get_outputs()))


def node_places(model: bytes | str | PathLike[str], device: str = "cpu") -> tuple[NodePlace, ...]:
    """Which provider takes which node, in no order. Loads the network for that; raises as `OrtSession` does."""
    kind, number = split_device(device)
    options = _options(threads=1)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    settings = cuda_settings(number, None, False) if kind == "cuda" else {}
    session = _started(read_model(model), options, device, PROVIDERS[kind], settings)
    return tuple(
        NodePlace(node.name, f"{node.domain}.{node.op_type}" if node.domain else node.op_type, part.ep_name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    )


def available_providers() -> tuple[str, ...]:
    """The providers that this ONNX Runtime was built with; whether one starts is known only by starting it."""
    return tuple(ort.get_available_providers())


def split_device(device: str) -> tuple[str, int]:
    """("cuda", 1) of "cuda:1". Raises DeviceError for a device that mien does not know."""
    kind, _, number = device.partition(":")
    if kind not in PROVIDERS or (number and not number.isdecimal()):
        raise DeviceError(f"Requested device was: {device!r}, but known devices are: cpu, cuda, cuda:N.")
    return kind, int(number or 0)


def _load(model: bytes, device: str, provider: str, settings: Mapping[str, str], threads: int) -> ort.InferenceSession:
    options = _options(threads)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return _started(model, options, device, provider, settings)


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # warnings about initialisers help nobody who runs a network
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _started(
    model: bytes, options: ort.SessionOptions, device: str, provider: str, settings: Mapping[str, str]
) -> ort.InferenceSession:
    """Raises DeviceError where the provider does not start."""
    available = available_providers()
    if provider not in available:
        raise _unavailable(device, provider, f"available providers are: {', '.join(available)}")
    if provider == PROVIDERS["cuda"]:
        with redirect_stdout(StringIO()):  # it prints what it misses; whether the provider starts is seen below
            ort.preload_dlls()  # the libraries of NVIDIA's Python packages are on no search path
    session = _created(model, options, provider, settings)
    # ONNX Runtime goes on without a provider that fails to start.
    if provider not in session.get_providers():
        raise _unavailable(device, provider, f"only these started: {', '.join(session.get_providers())}")
    return session


def _created(
    model: bytes, options: ort.SessionOptions, provider: str, settings: Mapping[str, str]
) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(model, options, providers=[(provider, dict(settings))])
    except state.NotImplemented as error:
        raise DeviceError(f"{NO_KERNEL} ONNX Runtime says: {error}") from error
    except ORT_ERRORS as error:
        place = ("cuda", int(settings["device_id"])) if "device_id" in settings else ("cpu", 0)
        raise _failure("cannot read the network", error, place) from error


def _failure(what: str, error: Exception, place: tuple[str, int]) -> SessionError | DeviceError:
    """DeviceError where a GPU had no room; the session can be used on."""
    kind, number = place
    short = OUT_OF_MEMORY.search(str(error)) if kind == "cuda" else None
    if short is None:
        return SessionError(f"ONNX Runtime {what}: {error}")
    needed = f"{int(short[1]):,} bytes are needed, " if short[1] else ""
    room = memory_info(number)
    free = f"{room[0]:,} of {room[1]:,} are free" if room else "and the driver does not tell how many are free"
    return DeviceError(
        f"The GPU cuda:{number} is out of memory: {needed}{free}. Close other programs on it, or use a smaller batch. "
        f"ONNX Runtime {what}: {error}"
    )


def _run_options(settings: Mapping[str, str]) -> ort.RunOptions:
    options = ort.RunOptions()
    for name, value in settings.items():
        options.add_run_config_entry(name, value)
    return options


def _unavailable(device: str, provider: str, there: str) -> DeviceError:
    needed = "pip install onnxruntime" if device == "cpu" else f"{INSTALL_CUDA}. {INSTALL_DRIVER}"
    return DeviceError(f"Requested device was: {device!r} ({provider}), but {there}. It needs: {needed}")


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
