"""A network run by TensorRT 11 or TensorRT for RTX, on addresses in a GPU's memory.

Not executed yet: nothing here has run on a GPU. The order of calls is tested with stand-ins that have no method which
the real packages lack.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Protocol

from mien.errors import DeviceError, MienError, SessionError
from mien.sessions.base import Array, SessionInfo, TensorSpec, check_tensors, closed
from mien.sessions.cuda import Buffer, Cuda, Stream
from mien.sessions.device_tensor import DeviceTensor, check_device_tensors
from mien.sessions.trt_build import DTYPES
from mien.sessions.trt_flavour import Flavour

MOST_SHAPES = 4
"""A context and a graph are kept for each of the last shapes."""

_log = logging.getLogger(__name__)


class Graph(Protocol):
    """Work that was captured from a stream."""

    def launch(self, stream: int) -> None:
        """Queues all of it."""


class Graphs(Protocol):
    """How CUDA graphs are captured; `mien._cuda` is one. Failures are RuntimeErrors."""

    def begin_capture(self, stream: int) -> None:
        """What this thread queues on the stream from now on is recorded instead."""

    def discard_capture(self, stream: int) -> None:
        """Forgets what was recorded."""

    def end_capture(self, stream: int) -> Graph:
        """What was recorded, ready to be launched."""


@dataclass
class _Prepared:
    """A context for one set of input shapes, with what was told to it and what was captured from it."""

    context: Any
    outputs: dict[str, tuple[int, ...]]
    addresses: dict[str, int] = field(default_factory=dict)
    warm: bool = False
    graph: Graph | None = None
    capturable: bool = True


@dataclass(frozen=True)
class Compiled:
    """What TensorRT-RTX compiled of an engine in earlier processes, and who keeps what it compiles in this one."""

    before: bytes
    keep: Callable[[bytes], None]


class TrtSession:
    """A plan on a GPU. See `trt_open` for a session from an ONNX model.

    ``inputs`` and ``outputs`` are the network's, and are held against the plan's. Networks that share a ``stream`` can
    hand tensors on without waiting. Without ``graphs`` every run queues the kernels one by one. TensorRT-RTX compiles
    kernels when a shape first runs; with ``compiled`` once, not in every process. Threads may share a session; they
    take turns. Raises SessionError where the plan is not for this GPU and version, DeviceError where the
    GPU has no room.
    """

    def __init__(
        self,
        plan: bytes,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        flavour: Flavour,
        cuda: Cuda,
        stream: Stream | None = None,
        graphs: Graphs | None = None,
        compiled: Compiled | None = None,
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.info = SessionInfo(flavour.name, f"cuda:{cuda.ordinal}", flavour.title, 1)
        self.stream = stream or cuda.stream()
        self._flavour, self._cuda, self._graphs = flavour, cuda, graphs
        self._lock = Lock()
        self._prepared: dict[tuple[tuple[int, ...], ...], _Prepared] = {}
        self._buffers = {spec.name: Buffer(cuda) for spec in (*inputs, *outputs)}
        self._scratch = Buffer(cuda)
        self._engine: Any = self._loaded(plan)
        self._compiled = compiled if flavour.name == "rtx" else None
        self._runtime_cache: Any = None
        self._contexts_by: Any = flavour.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        try:
            if self._compiled:
                self._contexts_by = self._remembering(self._compiled.before)
            self._check_borders()
            self._scratch.reserve(int(self._engine.device_memory_size_v2))
        except (DeviceError, SessionError):
            self.close()
            raise

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Session.run`. One copy to the GPU for each input and one back for each output."""
        with self._lock:
            self._open()
            check_tensors(self.inputs, feeds)
            given = {
                name: DeviceTensor(self._buffers[name].upload(array, self.stream), array.dtype.name, array.shape)
                for name, array in feeds.items()
            }
            results = self._queue(given, {})
            arrays = {
                name: self._buffers[name].download(result.shape, result.dtype, self.stream)
                for name, result in results.items()
            }
            self.stream.synchronize()
            return {name: array.copy() for name, array in arrays.items()}

    def run_device(
        self, feeds: Mapping[str, DeviceTensor], out: Mapping[str, DeviceTensor] | None = None
    ) -> dict[str, DeviceTensor]:
        """Queues the network on `stream` and waits for nothing. All outputs by name.

        The feeds are read in the stream's order, and have to stay where they are until then. Outputs not named in
        ``out`` lie in the session's own memory, until its next run.
        """
        with self._lock:
            self._open()
            check_device_tensors(self.inputs, feeds, "input")
            return self._queue(feeds, out or {})

    def inspect(self) -> str:
        """What TensorRT's inspector tells of the layers, as JSON. Raises SessionError where it tells nothing."""
        with self._lock:
            self._open()
            with self._cuda.current(), self._flavour.complaints() as complaints:
                inspector = self._engine.create_engine_inspector()
                told = inspector and inspector.get_engine_information(self._flavour.trt.LayerInformationFormat.JSON)
            if not told:
                raise SessionError(f"{self._flavour.title} tells nothing of its engine's layers. {_joined(complaints)}")
            return str(told)

    def close(self) -> None:
        """See `Session.close`."""
        with self._lock:
            if self._engine is None:
                return
            with suppress(SessionError):  # work that failed was told to whoever waited for it
                self.stream.synchronize()
            with self._cuda.current():
                self._prepared.clear()
                self._runtime_cache = self._contexts_by = None
                self._engine = None
            for buffer in (*self._buffers.values(), self._scratch):
                buffer.release()

    def _open(self) -> None:
        if self._engine is None:
            raise closed()

    def _loaded(self, plan: bytes) -> Any:
        with self._cuda.current(), self._flavour.complaints() as complaints:
            self._runtime = self._flavour.trt.Runtime(self._flavour.logger)  # has to outlive the engine
            engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise SessionError(
                f"{self._flavour.title} cannot load the engine on {self._cuda.name}: {_joined(complaints)} An engine "
                "runs only where it was built: on the same kind of GPU, with the same version of TensorRT."
            )
        return engine

    def _remembering(self, before: bytes) -> Any:
        """A way to make contexts that begin with what was compiled before, and remember what they compile."""
        with self._cuda.current(), self._flavour.complaints() as complaints:
            runtime_config = self._engine.create_runtime_config()
            runtime_config.set_execution_context_allocation_strategy(self._contexts_by)
            self._runtime_cache = runtime_cache = runtime_config.create_runtime_cache()
            if before and not runtime_cache.deserialize(before):
                _log.warning("%s compiles anew, what it kept is of no use: %s", self.info.provider, _joined(complaints))
            if not runtime_config.set_runtime_cache(runtime_cache):
                raise SessionError(f"{self._flavour.title} takes no cache of kernels. {_joined(complaints)}")
        return runtime_config

    def _keep_compiled(self) -> None:
        """After the first run of a shape. A full disk is no reason to stop: the kernels are compiled again then."""
        if self._compiled is None:
            return
        written = self._runtime_cache.serialize()
        data = b"" if written is None else bytes(written)
        if not data or data == self._compiled.before:
            return
        try:
            self._compiled.keep(data)
            self._compiled = replace(self._compiled, before=data)
        except MienError as error:
            _log.warning("What %s compiled is not kept: %s", self._flavour.title, error)

    def _check_borders(self) -> None:
        """Raises SessionError unless the plan's inputs and outputs are the network's."""
        engine = self._engine
        found: dict[bool, set[tuple[str, str, tuple[int | None, ...]]]] = {True: set(), False: set()}
        for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
            if engine.is_shape_inference_io(name):
                raise SessionError(f"The tensor {name!r} decides on shapes; mien runs engines without such tensors.")
            kind = engine.get_tensor_dtype(name).name
            free = tuple(None if size < 0 else int(size) for size in engine.get_tensor_shape(name))
            is_input = engine.get_tensor_mode(name) == self._flavour.trt.TensorIOMode.INPUT
            found[is_input].add((name, DTYPES.get(kind, kind), free))
        for specs, is_input in ((self.inputs, True), (self.outputs, False)):
            wanted = {(s.name, s.dtype, tuple(n if isinstance(n, int) else None for n in s.shape)) for s in specs}
            if wanted != found[is_input]:
                raise SessionError(
                    f"The engine's {'inputs' if is_input else 'outputs'} are {sorted(found[is_input])}; they should be "
                    f"{', '.join(map(str, specs))}. Build it from this network."
                )

    def _queue(self, feeds: Mapping[str, DeviceTensor], out: Mapping[str, DeviceTensor]) -> dict[str, DeviceTensor]:
        with self._cuda.current(), self._flavour.complaints() as complaints:
            try:
                prepared = self._shaped(feeds)
                results = self._results(prepared, out)
                self._address(prepared, {**feeds, **results})
                self._launch(prepared)
            except _Refused as refused:
                raise SessionError(f"{self._flavour.title} failed: {refused}. {_joined(complaints)}") from None
        return results

    def _shaped(self, feeds: Mapping[str, DeviceTensor]) -> _Prepared:
        """The context for these shapes; the one that was longest unused goes when there are too many."""
        shapes = tuple(feeds[spec.name].shape for spec in self.inputs)
        prepared = self._prepared.pop(shapes, None)
        if prepared is None:
            while len(self._prepared) >= MOST_SHAPES:
                self.stream.synchronize()  # what goes may still be running
                self._prepared.pop(next(iter(self._prepared)))
            prepared = self._prepare(shapes)
        self._prepared[shapes] = prepared
        return prepared

    def _prepare(self, shapes: tuple[tuple[int, ...], ...]) -> _Prepared:
        # One context for each shape, because a captured graph holds on to its context's state. They share the scratch
        # memory: they run on one stream, one after the other.
        context = self._engine.create_execution_context(self._contexts_by)
        if context is None:
            raise _Refused("it gives no execution context")
        if self._scratch.capacity:
            context.set_device_memory(self._scratch.pointer, self._scratch.capacity)
        for spec, shape in zip(self.inputs, shapes, strict=True):
            if not context.set_input_shape(spec.name, shape):
                least, _, most = (tuple(dims) for dims in self._engine.get_tensor_profile_shape(spec.name, 0))
                raise _Refused(f"the input {spec.name!r} may be {least} to {most}, and is {shape}")
        if missing := context.infer_shapes():
            raise _Refused(f"the shapes of {', '.join(missing)} are not known")
        outputs = {spec.name: tuple(map(int, context.get_tensor_shape(spec.name))) for spec in self.outputs}
        for name, shape in outputs.items():
            if min(shape, default=0) < 0:
                raise _Refused(f"the shape of the output {name!r} is known only after the run: {shape}")
        return _Prepared(context, outputs)

    def _results(self, prepared: _Prepared, out: Mapping[str, DeviceTensor]) -> dict[str, DeviceTensor]:
        if unknown := set(out) - set(prepared.outputs):
            raise SessionError(f"There are no outputs {sorted(unknown)}; there are: {', '.join(prepared.outputs)}.")
        results = {}
        for spec in self.outputs:
            shape = prepared.outputs[spec.name]
            given = out.get(spec.name)
            if given is None:
                count = DeviceTensor(0, spec.dtype, shape).bytes
                pointer = self._buffers[spec.name].reserve(count)
                given = DeviceTensor(pointer, spec.dtype, shape, self, device=self.info.device, queue=self.stream)
            elif (given.dtype, given.shape) != (spec.dtype, shape):
                raise SessionError(
                    f"The output {spec.name!r} is {spec.dtype} {shape}; there is room for {given.dtype} {given.shape}."
                )
            results[spec.name] = given
        return results

    def _address(self, prepared: _Prepared, tensors: Mapping[str, DeviceTensor]) -> None:
        """Tells the context the addresses that are not those of the last run; a graph with others is worthless."""
        for name, tensor in tensors.items():
            if prepared.addresses.get(name) == tensor.pointer:
                continue
            prepared.addresses.pop(name, None)  # not known while the call may fail
            prepared.graph = None
            if not prepared.context.set_tensor_address(name, tensor.pointer):
                raise _Refused(f"it takes no address for {name!r} ({tensor.pointer:#x})")
            prepared.addresses[name] = tensor.pointer

    def _launch(self, prepared: _Prepared) -> None:
        """The first run of a shape queues its kernels, the second captures them; later ones launch the graph."""
        stream = self.stream.handle
        if prepared.graph is None and prepared.warm and prepared.capturable and self._graphs is not None:
            prepared.graph = self._captured(prepared, self._graphs)
        if prepared.graph is not None:
            try:
                prepared.graph.launch(stream)
            except RuntimeError as error:
                prepared.graph = None
                raise _Refused(f"the CUDA graph does not start: {error}") from error
            return
        if not prepared.context.execute_async_v3(stream):
            raise _Refused("the network does not start")
        if not prepared.warm:
            prepared.warm = True
            self._keep_compiled()

    def _captured(self, prepared: _Prepared, graphs: Graphs) -> Graph | None:
        """The graph of a run, or None, and a line in the log, where this network cannot be captured."""
        stream = self.stream.handle
        try:
            graphs.begin_capture(stream)
            if prepared.context.execute_async_v3(stream):
                return graphs.end_capture(stream)
            why = "TensorRT does not run it while a stream is captured"
        except RuntimeError as error:
            why = str(error)
        graphs.discard_capture(stream)
        prepared.capturable = False
        _log.warning("%s: no CUDA graph, so each run queues its kernels one by one: %s", self._flavour.title, why)
        return None


class _Refused(Exception):
    """TensorRT said no."""


def _joined(complaints: list[str]) -> str:
    return " ".join(dict.fromkeys(complaints)) or "It does not say why."
