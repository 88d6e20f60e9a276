"""Sessions on a real GPU: the answers of the CPU, nothing allocated per run, usable after running out of memory.

Not executed yet: there was no GPU when this was written.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import numpy as np
import pytest

from benchmarks.networks import feeds_for
from mien.bundle import Bundle
from mien.errors import DeviceError, MissingDependency
from mien.sessions import open_session
from mien.sessions.cuda import Buffer, Cuda
from mien.sessions.device_tensor import DeviceTensor
from mien.sessions.ort import OrtSession, node_places
from mien.sessions.trt import TrtSession
from mien.sessions.trt_open import cuda_graphs, open_trt
from tests import tiny

pytestmark = pytest.mark.gpu

BACKENDS = ("ort", "tensorrt", "rtx")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    try:
        open_session(tiny.scale_model(), request.param, "cuda").close()
    except MissingDependency as error:
        pytest.skip(f"not executed: {error}")
    return request.param


def test_arrays_go_up_and_come_down(cuda: Cuda) -> None:
    stream, buffer = cuda.stream(), Buffer(cuda)
    array = np.random.default_rng(0).random((3, 5, 7), np.float32).T
    buffer.upload(array, stream)
    back = buffer.download(array.shape, "float32", stream)
    stream.synchronize()
    assert np.array_equal(back, array)


def test_more_memory_than_there_is_is_a_device_error_and_less_can_be_had(cuda: Cuda) -> None:
    buffer = Buffer(cuda)
    with pytest.raises(DeviceError, match="out of memory"):
        buffer.reserve(1 << 50)
    assert buffer.reserve(1 << 20)
    buffer.release()


def test_a_gpu_that_is_absent_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="'cuda:99'"):
        Cuda.open(99)


@pytest.mark.parametrize("role", Bundle.open("studio").manifest.networks)
def test_every_network_gives_what_it_gives_on_the_cpu(backend: str, role: str) -> None:
    bundle = Bundle.open("studio")
    feeds = feeds_for(bundle.network(role))
    wanted = bundle.session(role).run(feeds)
    session = bundle.session(role, device="cuda", backend=backend)
    for _ in range(3):  # queued, captured, launched
        given = session.run(feeds)
        for name, values in wanted.items():
            scale = max(float(np.abs(values).max()), 1e-6)
            assert float(np.abs(given[name] - values).max()) <= 2e-2 * scale, name


@pytest.mark.parametrize("batch", [1, 3, 1, 8])
def test_batches_follow_each_other(backend: str, batch: int) -> None:
    session = open_session(tiny.scale_model(3.0), backend, "cuda")
    fed = np.random.default_rng(batch).random((batch, 3, 8, 8), np.float32)
    assert session.run({"image": fed})["scaled"] == pytest.approx(fed * 3, rel=1e-3)


@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
def test_runs_on_addresses_allocate_nothing_and_launch_a_graph(flavour: Any) -> None:
    try:
        session: TrtSession = open_trt(tiny.scale_model(3.0), flavour)
    except MissingDependency as error:
        pytest.skip(f"not executed: {error}")
    cuda = session._cuda
    buffer = Buffer(cuda)
    fed = np.full((2, 3, 8, 8), 2, np.float32)
    x = DeviceTensor(buffer.upload(fed, session.stream), "float32", fed.shape)
    y = session.run_device({"image": x})["scaled"]
    session.run_device({"image": x})
    session.stream.synchronize()
    before = cuda.free()
    for _ in range(100):
        assert session.run_device({"image": x})["scaled"].pointer == y.pointer
    session.stream.synchronize()
    assert cuda.free() == before
    if cuda_graphs() is not None:
        assert all(prepared.graph for prepared in session._prepared.values()), "no graph was captured"


def test_onnx_runtime_runs_on_addresses_in_a_given_stream_with_a_graph(cuda: Cuda) -> None:
    stream, one, two = cuda.stream(), Buffer(cuda), Buffer(cuda)
    session = OrtSession(tiny.scale_model(3.0), "cuda", stream=stream.handle, graphs=True)
    fed = np.full((1, 3, 8, 8), 2, np.float32)
    x = DeviceTensor(one.upload(fed, stream), "float32", fed.shape)
    y = DeviceTensor(two.reserve(fed.nbytes), "float32", fed.shape)
    for _ in range(4):
        session.run_device({"image": x}, {"scaled": y})
    result = two.download(fed.shape, "float32", stream)
    stream.synchronize()
    assert np.all(result == 6)


def test_no_node_of_a_convolution_leaves_the_gpu() -> None:
    places = node_places(tiny.conv_model(), "cuda")
    assert {place.provider for place in places} == {"CUDAExecutionProvider"}


def test_other_packages_share_what_is_on_the_gpu(cuda: Cuda) -> None:
    stream, buffer = cuda.stream(), Buffer(cuda)
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    pointer = buffer.upload(array, stream)
    tensor = DeviceTensor(pointer, "float32", array.shape, buffer, device="cuda:0", queue=stream)
    told = []
    for name in ("torch", "cupy"):
        try:
            library: Any = import_module(name)
            assert library.cuda.is_available(), f"{name} has no CUDA"
        except (ImportError, AssertionError) as error:
            told.append(str(error))
            continue
        seen = library.from_dlpack(tensor)
        host = seen.cpu().numpy() if name == "torch" else seen.get()
        assert np.array_equal(host, array)
        back = DeviceTensor.of(seen, queue=stream)
        assert (back.pointer, back.device, back.shape) == (pointer, "cuda:0", array.shape)
        assert DeviceTensor.of(seen).pointer == pointer
    if len(told) == 2:
        pytest.skip(f"not executed: {'; '.join(told)}")


def test_what_another_package_queued_is_done_before_mien_reads(cuda: Cuda) -> None:
    torch: Any = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("not executed: torch has no CUDA")
    stream, room = cuda.stream(), Buffer(cuda)
    with torch.cuda.stream(torch.cuda.Stream()):
        busy = torch.randn(8192, 8192, device="cuda")
        for _ in range(20):
            busy = torch.tanh(busy @ busy)
        late = torch.full((1024,), 7.0, device="cuda") + 0 * busy[0, :1024]
        there = DeviceTensor.of(late, queue=stream)
    stream.copy(room.reserve(there.bytes), there.pointer, there.bytes)
    result = room.download(there.shape, there.dtype, stream)
    stream.synchronize()
    assert np.all(result == 7)


@pytest.mark.parametrize("several", [False, True])
def test_networks_hand_tensors_on_without_waiting(backend: str, cuda: Cuda, several: bool) -> None:
    """On one stream in order; on two streams with an event between them."""
    one = cuda.stream()
    two = cuda.stream() if several else one
    first = cast(OrtSession, open_session(tiny.scale_model(3.0), backend, "cuda", stream=one))
    second = cast(OrtSession, open_session(tiny.scale_model(5.0), backend, "cuda", stream=two))
    source, room, last, done = Buffer(cuda), Buffer(cuda), Buffer(cuda), cuda.event()
    fed = np.full((1, 3, 8, 8), 2, np.float32)
    x = DeviceTensor(source.upload(fed, one), "float32", fed.shape)
    y, z = (DeviceTensor(buffer.reserve(fed.nbytes), "float32", fed.shape) for buffer in (room, last))
    for _ in range(4):
        first.run_device({"image": x}, {"scaled": y})
        done.record(one)
        two.wait(done)
        second.run_device({"image": y}, {"scaled": z})
    result = last.download(fed.shape, "float32", two)
    two.synchronize()
    assert np.all(result == 30)
    first.close()
    second.close()
