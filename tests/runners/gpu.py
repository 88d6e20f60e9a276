"""A GPU whose memory is the host's: nothing that is queued happens before somebody waits for it.

PyCUDA's driver, mien._cuda and ONNX Runtime's CUDA provider are stood in for; the kernels compute what the CUDA kernels
compute, through mien._emulator, and the networks run on their addresses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from mien.kernels import device
from mien.sessions.device_tensor import DeviceTensor
from tests.sessions.driver import StandIn

REAL = onnxruntime.InferenceSession
DEVICE = "cuda:1"
CPU = "CPUExecutionProvider"


class Gpu(StandIn):
    """Two of them, of which the second is used.

    ``calls``: all that it was asked for, as in `StandIn`. ``bound``: names and addresses that each network was given.
    """

    def __init__(self) -> None:
        super().__init__(gpus=2, memory=1 << 32)
        self.queue: list[Callable[[], None]] = []
        self.bound: dict[object, list[tuple[str, object]]] = {}
        gpu, wait = self, self.Stream.synchronize

        def synchronize(stream: Any) -> None:
            gpu.run()
            wait(stream)

        self.Stream.synchronize = synchronize  # type: ignore[method-assign]

    def run(self) -> None:
        """All that was queued, in its order."""
        self.depth += 1
        while self.queue:
            self.queue.pop(0)()
        self.depth -= 1

    def memcpy_htod_async(self, target: int, source: np.ndarray, stream: Any) -> None:
        copy = super().memcpy_htod_async
        self.later(lambda: copy(target, source, stream))

    def memcpy_dtoh_async(self, target: np.ndarray, source: int, stream: Any) -> None:
        copy = super().memcpy_dtoh_async
        self.later(lambda: copy(target, source, stream))

    def memcpy_dtod_async(self, target: int, source: int, count: int, stream: Any) -> None:
        copy = super().memcpy_dtod_async
        self.later(lambda: copy(target, source, count, stream))

    def later(self, work: Callable[[], None]) -> None:
        """Queues a copy."""
        self.need_context()
        self.queue.append(work)

    def since(self, start: int, kind: str) -> list[int]:
        """The sizes of what was asked for from then on."""
        return [int(call[1]) for call in self.calls[start:] if call[0] == kind]  # type: ignore[call-overload]


def install(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """Makes it this machine's GPU."""
    gpu = Gpu()
    monkeypatch.setattr("mien.sessions.cuda._pycuda", lambda: gpu)
    monkeypatch.setattr(device, "_cuda", lambda: Kernels(gpu))
    monkeypatch.setattr(device, "built", lambda: True)
    monkeypatch.setattr("mien.sessions.ort.available_providers", lambda: ("CUDAExecutionProvider", CPU))

    def opened(model: bytes, options: Any, providers: list[Any]) -> Any:
        if providers[0][0] == CPU:
            return REAL(model, options, providers=providers)
        return Network(gpu, model, options, providers)

    monkeypatch.setattr("mien.sessions.ort.ort.InferenceSession", opened)
    return gpu


def on_device(array: NDArray[Any]) -> Any:
    """Somebody else's array on the GPU; ``array`` is its memory."""
    return DeviceTensor(array.ctypes.data, array.dtype.name, array.shape, array, device=DEVICE)


def read(tensor: DeviceTensor) -> NDArray[Any]:
    """A copy of what is there now."""
    return at(tensor.pointer, tensor.dtype, tensor.shape).copy()


def at(address: int, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The memory there as an array."""
    dtype = np.dtype(kind)
    count = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer((ctypes.c_char * count).from_address(address), dtype).reshape(shape)


class Kernels:
    """mien._cuda's names over mien._emulator."""

    def __init__(self, gpu: Gpu) -> None:
        import mien._emulator

        self.gpu, self.emulator = gpu, mien._emulator

    def crop(
        self, out: int, kind: str, sides: Any, frame: int, layout: int, size: Any, yuv: Any, to_frame: Any, black: bool,
        stream: int,
    ) -> None:  # fmt: skip
        planes, shown = at(out, kind, (len(to_frame), 3, *sides)), at(frame, "|u1", (*size, 3))
        self.gpu.queue.append(lambda: self.emulator.crop(planes, shown, layout, yuv, to_frame, black))

    def fit(self, out: int, out_size: Any, planes: int, size: Any, fitted: Any, count: int, stream: int) -> None:
        result, given = (at(a, "<f4", (count // 3, 3, *sides)) for a, sides in ((out, out_size), (planes, size)))
        self.gpu.queue.append(lambda: self.emulator.fit(result, given, *fitted))

    def blend_faces(
        self, out: int, frame: int, layout: int, size: Any, yuv: Any, patches: int, patch_type: str, masks: int,
        mask_type: str, one: bool, sides: Any, to_patch: Any, feather: float, stream: int,
    ) -> None:  # fmt: skip
        count, planar = len(to_patch), patch_type != "|u1"
        shown, result = at(frame, "|u1", (*size, 3)), at(out, "|u1", (*size, 3))
        patch = at(patches, patch_type, (count, 3, *sides) if planar else (count, *sides, 3))
        mask = at(masks, mask_type, (1 if one else count, *sides))
        self.gpu.queue.append(
            lambda: self.emulator.blend_faces(result, shown, layout, yuv, patch, mask, to_patch, feather)
        )

    def warp_blend(
        self, out: int, source: int, size: Any, flow: int, flow_size: Any, visible: int, paint: int, mask: int,
        sides: Any, to_crop: Any, to_source: Any, stream: int, shade: int | None = None, shade_size: Any = None,
    ) -> None:  # fmt: skip
        pictures = [at(address, "|u1", (*size, 3)) for address in (out, source)]
        maps = [at(flow, "<f4", (2, *flow_size)), at(visible, "<f4", sides), at(paint, "<f4", (3, *sides))]
        gains = [] if shade is None else [at(shade, "<f4", (3, *shade_size))]
        self.gpu.queue.append(
            lambda: self.emulator.warp_blend(
                *pictures, *maps, at(mask, "<f4", sides), to_crop, to_source, *gains
            )
        )  # fmt: skip


class Network:
    """ONNX Runtime's session as if CUDA were there: it computes on the CPU, when somebody waits."""

    def __init__(self, gpu: Gpu, model: bytes, options: Any, providers: list[Any]) -> None:
        self.gpu = gpu
        self.settings: Mapping[str, str] = dict(providers[0][1])
        self.real = REAL(model, options, providers=[CPU])
        self.get_inputs, self.get_outputs = self.real.get_inputs, self.real.get_outputs

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", CPU]

    def run(self, *given: Any) -> Any:
        raise AssertionError("a network of a chain on the GPU was fed from the host")

    def io_binding(self) -> Binding:
        return Binding(self.real.io_binding(), self.gpu.bound.setdefault(self, []))

    def run_with_iobinding(self, binding: Binding, options: Any) -> None:
        assert self.settings["device_id"] == "1"
        assert int(self.settings["user_compute_stream"]) == 0x1000 + self.gpu.streams, "not the chain's stream"
        assert options.get_run_config_entry("disable_synchronize_execution_providers") == "1", "it waits"
        self.gpu.queue.append(lambda: self.real.run_with_iobinding(binding.real))
        if not binding.placed:  # the size of its outputs is known when it has run
            self.gpu.run()


class Binding:
    """An IO binding whose addresses are the host's."""

    def __init__(self, real: Any, bound: list[tuple[str, object]]) -> None:
        self.real, self.get_outputs, self.placed, self.bound = real, real.get_outputs, True, bound

    def bind_input(self, name: str, kind: str, number: int, *rest: Any) -> None:
        assert (kind, number) == ("cuda", 1)
        self.bound.append((name, rest[-1]))
        self.real.bind_input(name, "cpu", 0, *rest)

    def bind_output(self, name: str, kind: str, number: int, *rest: Any) -> None:
        assert (kind, number) == ("cuda", 1)
        self.bound.append((name, rest[-1] if rest else None))
        self.real.bind_output(name, "cpu", 0, *rest)
        self.placed = self.placed and bool(rest)
