"""The one module that talks to PyCUDA, against a stand-in for it."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mien.errors import DeviceError, MissingDependency, SessionError
from mien.sessions.base import TensorSpec
from mien.sessions.cuda import Buffer, Cuda
from mien.sessions.device_tensor import DeviceTensor, check_device_tensors
from tests.sessions.driver import StandIn


def test_a_gpu_tells_what_it_is() -> None:
    cuda = Cuda.open(1, StandIn(gpus=2, capability=(8, 9)))
    assert (cuda.ordinal, cuda.name, cuda.compute_capability) == (1, "Stand-in 1", 89)
    assert cuda.driver.endswith("CUDA 13.0")
    cuda.close()
    cuda.close()
    with pytest.raises(SessionError, match="closed"):
        cuda.free()


@pytest.mark.parametrize(("gpus", "there"), [(0, "there are 0: none"), (2, "there are 2: cuda:0, cuda:1")])
def test_a_gpu_that_is_absent_is_told_with_those_that_are_there(gpus: int, there: str) -> None:
    with pytest.raises(DeviceError, match=f"'cuda:2', but of GPUs {there}"):
        Cuda.open(2, StandIn(gpus))


def test_an_old_driver_is_told_with_what_it_knows() -> None:
    with pytest.raises(DeviceError, match=r"knows CUDA 12\.8; mien needs 13\.0 or newer\. Install"):
        Cuda.open(0, StandIn(version=12080))


def test_a_driver_that_does_not_start_is_a_device_error() -> None:
    driver = StandIn()
    driver.broken = driver.LogicError("cuInit failed: no CUDA-capable device is detected")
    with pytest.raises(DeviceError, match="no CUDA-capable device is detected.*Install NVIDIA's driver"):
        Cuda.open(0, driver)


def test_without_pycuda_the_line_to_type_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(MissingDependency, match=r"pip install 'mien\[cuda\]'"):
        Cuda.open()


def test_without_libcuda_pycuda_is_there_and_the_driver_is_not(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda" / "__init__.py").write_text("")
    (tmp_path / "pycuda" / "driver.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("pycuda", "pycuda.driver"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(DeviceError, match=r"no NVIDIA driver: libcuda\.so\.1.*Install"):
        Cuda.open()


def test_arrays_of_any_strides_go_up_and_come_down_as_they_were() -> None:
    driver = StandIn()
    cuda = Cuda.open(0, driver)
    stream, buffer = cuda.stream(), Buffer(cuda)
    for array in (
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.arange(24, dtype=np.int64)[::2],
        np.array(True),
        np.zeros((0, 3), np.float16),
    ):
        buffer.upload(array, stream)
        back = buffer.download(array.shape, array.dtype.name, stream)
        stream.synchronize()
        assert np.array_equal(back, array) and back.dtype == array.dtype
    assert driver.depth == 0


def test_a_stream_copies_on_the_gpu() -> None:
    cuda = Cuda.open(0, StandIn())
    stream, one, two = cuda.stream(), Buffer(cuda), Buffer(cuda)
    one.upload(np.arange(5, dtype=np.uint8), stream)
    stream.copy(two.reserve(5), one.pointer, 5)
    assert two.download((5,), "uint8", stream).tolist() == [0, 1, 2, 3, 4]


def test_a_buffer_only_grows_and_nothing_is_allocated_for_what_fits() -> None:
    driver = StandIn()
    cuda = Cuda.open(0, driver)
    buffer, stream = Buffer(cuda), cuda.stream()
    first = buffer.upload(np.zeros(100, np.uint8), stream)
    assert buffer.upload(np.zeros(40, np.uint8), stream) == first == buffer.reserve(100)
    assert [call for call in driver.calls if call[0] in ("alloc", "pinned")] == [("alloc", 100), ("pinned", 100)]
    buffer.reserve(101)
    assert len(driver.live) == 1, "the smaller one was not given back"
    buffer.release()
    buffer.release()
    assert not driver.live and buffer.pointer == 0


def test_out_of_memory_tells_the_needed_and_the_free_bytes_and_smaller_ones_still_fit() -> None:
    cuda = Cuda.open(0, StandIn(memory=1000))
    held, buffer = Buffer(cuda), Buffer(cuda)
    held.reserve(300)
    with pytest.raises(DeviceError, match=r"out of memory: 5,000 bytes are needed, 700 of 1,000 are free"):
        buffer.reserve(5000)
    assert buffer.reserve(700)


def test_work_that_failed_shows_where_it_is_waited_for() -> None:
    driver = StandIn()
    stream = Cuda.open(0, driver).stream()
    driver.broken = driver.Error("cuStreamSynchronize failed: an illegal memory access was encountered")
    with pytest.raises(SessionError, match=r"CUDA failed on cuda:0 \(Stand-in 0\): .*illegal memory access"):
        stream.synchronize()
    assert driver.depth == 0


def test_events_order_streams_and_measure() -> None:
    driver = StandIn()
    cuda = Cuda.open(0, driver)
    one, two, start, end = cuda.stream(), cuda.stream(), cuda.event(), cuda.event()
    start.record(one)
    two.wait(start)
    end.record(two)
    assert end.milliseconds_since(start) == 1.5
    assert driver.calls[1:] == [("record", one.handle), ("wait", two.handle), ("record", two.handle), ("event",)]


def test_what_other_packages_hold_is_read_and_told_through_the_array_interface() -> None:
    tensor = DeviceTensor(4096, "float16", (2, 3))
    assert tensor.bytes == 12
    back = DeviceTensor.of(tensor)
    assert (back.pointer, back.dtype, back.shape, back.owner) == (4096, "float16", (2, 3), tensor)
    told = tensor.__cuda_array_interface__ | {"strides": (6, 2)}
    assert DeviceTensor.of(SimpleNamespace(__cuda_array_interface__=told)).shape == (2, 3)
    told["strides"] = (8, 2)
    with pytest.raises(SessionError, match="not contiguous"):
        DeviceTensor.of(SimpleNamespace(__cuda_array_interface__=told))
    with pytest.raises(SessionError, match="on a GPU is needed.*ndarray"):
        DeviceTensor.of(np.zeros(3))


def test_tensors_on_a_device_are_held_against_the_network() -> None:
    specs = (TensorSpec("a", "float32", ("n", 3)), TensorSpec("b", "int64", ("n",)))
    fed = {"a": DeviceTensor(1, "float32", (4, 3)), "b": DeviceTensor(2, "int64", (4,))}
    check_device_tensors(specs, fed, "input")
    for wrong in (DeviceTensor(2, "int32", (4,)), DeviceTensor(2, "int64", (5,)), DeviceTensor(2, "int64", (4, 1))):
        with pytest.raises(SessionError, match="should be"):
            check_device_tensors(specs, fed | {"b": wrong}, "input")
