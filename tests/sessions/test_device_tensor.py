"""Tensors that other packages read and give through DLPack: in the host's memory, for NumPy and torch, and for real."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError, SessionError
from mien.sessions import device_tensor
from mien.sessions.device_tensor import DeviceTensor
from mien.sessions.ort import OrtSession
from tests import tiny

torch = pytest.importorskip("torch", reason="the wheel is tested without torch; the main run has it")

pytestmark = pytest.mark.usefixtures("native")


class Held:
    """Keeps an array, and can be asked for whether it is still held."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


class Stream:
    """A stream that counts who waits for it."""

    handle = 77

    def __init__(self) -> None:
        self.waits = 0

    def synchronize(self) -> None:
        self.waits += 1


def on_host(array: np.ndarray, owner: object = None, queue: Stream | None = None) -> DeviceTensor:
    """The array's own memory."""
    kept = array if owner is None else owner
    return DeviceTensor(array.ctypes.data, array.dtype.name, array.shape, kept, device="cpu", queue=queue)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int64", "int32", "int8", "uint8", "bool"])
def test_numpy_and_torch_see_the_same_memory(dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    tensor = on_host(array)
    assert tensor.__dlpack_device__() == (1, 0)
    by_numpy, by_torch = np.from_dlpack(tensor), torch.from_dlpack(tensor)
    array[1, 2, 3] = 0
    for seen in (by_numpy, by_torch.numpy()):
        assert seen.dtype == array.dtype and np.array_equal(seen, array)
        assert seen.ctypes.data == array.ctypes.data


def test_the_memory_lives_as_long_as_its_last_reader() -> None:
    owner = Held(np.ones((4, 5), np.float32))
    gone = weakref.ref(owner)
    tensor = on_host(owner.array, owner)
    by_numpy, by_torch = np.from_dlpack(tensor), torch.from_dlpack(tensor)
    del owner, tensor
    for _ in range(2):
        gc.collect()
        assert gone() is not None and by_numpy is not None
        by_numpy = by_numpy[1:] if by_numpy.shape[0] == 4 else by_numpy  # a view holds on to it as well
    del by_numpy
    assert gone() is not None
    del by_torch
    assert gone() is None


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_a_capsule_that_nobody_reads_gives_the_memory_back(version: tuple[int, int] | None) -> None:
    owner = Held(np.ones(3, np.float32))
    gone = weakref.ref(owner)
    capsule = on_host(owner.array, owner).__dlpack__(max_version=version)
    del owner
    assert ("dltensor_versioned" if version else "dltensor") in repr(capsule) and gone() is not None
    del capsule
    assert gone() is None


def test_a_capsule_is_read_once() -> None:
    capsule = on_host(np.ones(3, np.float32)).__dlpack__()

    def giver() -> Any:
        return SimpleNamespace(__dlpack__=lambda: capsule, __dlpack_device__=lambda: (1, 0))

    assert DeviceTensor.of(giver(), "cpu").shape == (3,)
    with pytest.raises(SessionError, match="cannot be read through DLPack"):
        DeviceTensor.of(giver(), "cpu")


def test_another_device_is_refused() -> None:
    with pytest.raises(BufferError):
        on_host(np.ones(3, np.float32)).__dlpack__(dl_device=(2, 0))


@pytest.mark.parametrize(
    "given",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.zeros((), np.uint8),
        np.zeros((0, 3), np.float16),
        np.ones((3, 1, 2), bool)[:, ::-1],  # an axis of one element has whatever stride
        torch.arange(12).reshape(3, 4)[1:],
        torch.ones(2, 3).half(),
    ],
)
def test_what_numpy_and_torch_hold_is_read(given: Any) -> None:
    wanted = np.asarray(given)
    tensor = DeviceTensor.of(given, "cpu")
    assert (tensor.dtype, tensor.shape, tensor.device) == (wanted.dtype.name, wanted.shape, "cpu")
    assert np.array_equal(np.from_dlpack(tensor), wanted)
    if wanted.size:
        assert tensor.pointer == wanted.ctypes.data


def test_what_was_read_lives_on_without_its_giver() -> None:
    array = np.arange(5, dtype=np.int32)
    gone = weakref.ref(array)
    tensor: DeviceTensor | None = DeviceTensor.of(array, "cpu")
    del array
    assert gone() is not None and np.from_dlpack(tensor).sum() == 10
    tensor = None
    assert gone() is None


def test_a_read_only_array_cannot_be_read() -> None:
    array = np.zeros(3, np.float32)
    array.flags.writeable = False
    with pytest.raises(SessionError, match="cannot be read through DLPack"):  # a network could write into it
        DeviceTensor.of(array, "cpu")


@pytest.mark.parametrize(
    "given, device, told",
    [
        (torch.ones(4, 4)[:, ::2], "cpu", r"not contiguous: strides \(4, 2\)"),
        (torch.ones(4, 4).T, "cpu", "not contiguous"),
        (torch.ones(3).bfloat16(), "cpu", "Tensor has elements that NumPy does not know: DLPack's code 4, 16 bits"),
        (np.ones(3), "cuda", "array on a GPU is needed.*got ndarray"),
        (torch.ones(3), "cuda:1", "array on a GPU is needed.*got Tensor"),
        ([1, 2], "cpu", "host's memory is needed.*got list"),
        (SimpleNamespace(__dlpack_device__=lambda: (10, 0)), "cuda:1", "array on a GPU is needed"),
        (torch.ones(3, requires_grad=True), "cpu", "cannot be read through DLPack"),
    ],
)
def test_what_cannot_be_read_is_named(given: Any, device: str, told: str) -> None:
    with pytest.raises(SessionError, match=told):
        DeviceTensor.of(given, device)


def test_the_reader_s_stream_decides_whether_work_is_waited_for() -> None:
    queue = Stream()
    tensor = on_host(np.ones(3, np.float32), queue=queue)
    for stream, waits in ((-1, 0), (Stream.handle, 0), (None, 1), (1, 2), (78, 3)):
        tensor.__dlpack__(stream=stream)
        assert queue.waits == waits
    on_host(np.ones(3, np.float32)).__dlpack__(stream=5)


def test_the_giver_is_told_in_which_stream_mien_reads() -> None:
    array, asked = np.ones(3, np.float32), []

    def give(stream: int | None = None) -> Any:
        asked.append(stream)
        return array.__dlpack__()

    giver = SimpleNamespace(__dlpack__=give, __dlpack_device__=lambda: (2, 0), __cuda_array_interface__=None)
    DeviceTensor.of(giver)
    DeviceTensor.of(giver, queue=Stream())
    assert asked == [None, 77]


def test_dlpack_is_asked_where_both_are_there_and_the_order_matters() -> None:
    array, interface = np.ones(3, np.float32), DeviceTensor(4096, "float32", (3,)).__cuda_array_interface__
    giver = SimpleNamespace(
        __dlpack__=lambda stream=None: array.__dlpack__(),
        __dlpack_device__=lambda: (2, 1),
        __cuda_array_interface__=interface,
    )
    plain = DeviceTensor.of(giver)
    assert (plain.pointer, plain.device) == (4096, "cuda:1")
    assert DeviceTensor.of(giver, queue=Stream()).pointer == array.ctypes.data
    with pytest.raises(DeviceError, match="on cuda:0 is needed; this one is on cuda:1"):
        DeviceTensor.of(giver, "cuda:0")


def test_the_array_interface_names_the_stream_and_is_the_gpu_s_alone() -> None:
    assert DeviceTensor(1, "float32", (3,)).__cuda_array_interface__["stream"] is None
    assert DeviceTensor(1, "float32", (3,), queue=Stream()).__cuda_array_interface__["stream"] == 77
    assert DeviceTensor(1, "float32", (3,), device="cuda:2").__dlpack_device__() == (2, 2)
    assert not hasattr(on_host(np.ones(3, np.float32)), "__cuda_array_interface__")


def test_a_part_stays_where_it_was() -> None:
    array, queue = np.arange(6, dtype=np.int32).reshape(2, 3), Stream()
    part = on_host(array, queue=queue)[1]
    assert (part.device, part.queue) == ("cpu", queue)
    assert np.from_dlpack(part).tolist() == [3, 4, 5]


def test_a_network_reads_torch_and_is_read_by_numpy_without_a_copy() -> None:
    session = OrtSession(tiny.scale_model(3.0))
    fed, room = torch.full((1, 3, 8, 8), 2.0), np.zeros((1, 3, 8, 8), np.float32)
    own = session.run_device({"image": DeviceTensor.of(fed, "cpu")})["scaled"]
    assert (own.device, own.queue) == ("cpu", None)
    assert np.all(np.from_dlpack(own) == 6)
    session.run_device({"image": DeviceTensor.of(fed, "cpu")}, {"scaled": DeviceTensor.of(room, "cpu")})
    assert np.all(room == 6)


def test_a_build_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(device_tensor, "import_module", missing)
    with pytest.raises(SessionError, match="MIEN_PURE"):
        DeviceTensor.of(np.ones(3), "cpu")
    with pytest.raises(SessionError, match="MIEN_PURE"):
        np.from_dlpack(on_host(np.ones(3)))
