"""What a chain on a GPU is made of: memory that is used again, copies in order, and the same answers as the host's."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.errors import DeviceError, MissingDependency, SessionError
from mien.geometry import Similarity
from mien.runners import HOST, HostRunner, open_runner
from mien.runners.cuda import MOST_CONSTANTS, CudaRunner
from mien.runners.memory import DeviceMemory
from mien.sessions import FunctionSession, open_session
from mien.sessions.base import TensorSpec
from mien.sessions.cuda import Cuda
from mien.sessions.device_tensor import DeviceTensor
from tests import tiny
from tests.runners.gpu import DEVICE, Gpu, install, on_device, read

pytestmark = pytest.mark.usefixtures("native")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return install(monkeypatch)


@pytest.fixture
def runner(gpu: Gpu) -> CudaRunner:
    opened = open_runner(DEVICE, threads=1)
    assert isinstance(opened, CudaRunner)
    return opened


def memory(gpu: Gpu) -> DeviceMemory:
    cuda = Cuda.open(1)
    return DeviceMemory(cuda, cuda.stream())


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def scaling(runner: CudaRunner, factor: float = 3.0) -> Any:
    return open_session(tiny.scale_model(factor), "ort", DEVICE, 1, runner.stream)


def test_arrays_of_all_kinds_go_up_in_one_copy_and_come_down_in_one(gpu: Gpu) -> None:
    place = memory(gpu)
    arrays = {
        "turned": np.arange(12, dtype=np.float32).reshape(3, 4).T,
        "flag": np.array([True]),
        "number": np.array(5, np.int64),
        "bytes": noise(300),
    }
    start = len(gpu.calls)
    rooms = place.send("fed", arrays)
    assert all(tensor.pointer % 16 == 0 and tensor.device == DEVICE for tensor in rooms.values())
    back = place.receive("read", rooms)
    assert len(gpu.since(start, "up")) == len(gpu.since(start, "down")) == 1
    for name, array in arrays.items():
        assert np.array_equal(back[name], array) and back[name].dtype == array.dtype


def test_what_is_under_way_is_not_written_over(gpu: Gpu) -> None:
    place = memory(gpu)
    rooms = [place.send("fed", {"": np.full(1000, number, np.uint8)})[""] for number in range(5)]
    gc.collect()
    assert gpu.queue, "nothing has been copied yet"
    place.finish()
    assert [int(read(room)[0]) for room in rooms] == list(range(5))
    start = len(gpu.calls)
    place.send("fed", {"": np.zeros(1000, np.uint8)})
    assert not gpu.since(start, "pinned"), "what arrived left its page-locked memory"


def test_a_room_is_free_again_when_nobody_holds_it_and_not_before(gpu: Gpu) -> None:
    place = memory(gpu)
    first = place.room("crop", "float32", (3, 8, 8))
    part = first[1]
    assert part.shape == (8, 8) and part.pointer == first.pointer + 256
    held = first.pointer
    del first
    assert place.room("crop", "float32", (3, 8, 8)).pointer != held, "a part of it is still held"
    del part
    assert held in {place.room("crop", "float32", (3, 8, 8)).pointer for _ in range(2)}


def test_where_memory_ends_what_nobody_holds_is_given_back(gpu: Gpu) -> None:
    place = memory(gpu)
    gpu.total = 10_000
    for use in range(5):
        place.room(use, "uint8", (4000,))
    held = [place.room("held", "uint8", (4000,)) for _ in range(2)]
    with pytest.raises(DeviceError, match="out of memory"):
        place.room("held", "uint8", (4000,))
    del held
    assert place.room("more", "uint8", (9000,)).pointer


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.floats(-40, 140), st.floats(-40, 140), st.floats(8, 300), st.floats(-3, 3), st.sampled_from(["edge", "black"])
)
def test_crops_are_the_hosts(runner: CudaRunner, x: float, y: float, side: float, angle: float, outside: Any) -> None:
    picture = noise(90, 110, 3)
    place = Similarity.from_crop((x, y), side, 32, angle).matrix
    wanted = HOST.crop(picture, place, 32, outside)
    seen = runner.crop(runner.take(picture), place, 32, outside)
    runner.finish()
    assert np.abs(read(seen) - wanted).max() <= 1.01 / 255


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(38, 2, 1.0, 0.0)
@given(st.integers(1, 40), st.integers(0, 2), st.floats(0.6, 3), st.floats(-3, 3))
def test_blends_are_the_hosts(runner: CudaRunner, side: int, rim: int, scale: float, angle: float) -> None:
    picture, patch = noise(60, 80, 3), noise(1, 3, 40, 40).astype(np.float32) / 255
    mask = noise(side + rim, side + rim, seed=1)
    place = Similarity.from_crop((35.137, 30.259), side * scale, side, angle)  # no pixel exactly on the edge
    wanted = HOST.blend(picture, patch, mask, place, side)
    made = runner.blend(runner.take(picture), runner.keep(patch), mask, place, side)
    assert np.abs(runner.host(made).astype(int) - wanted).max() <= 2  # the host rounds the patch before it averages it
    if side == 40:
        assert np.abs(runner.host(made).astype(int) - wanted).max() <= 1


def test_a_network_takes_what_is_there_and_what_is_not_and_gives_what_is_asked_for(runner: CudaRunner) -> None:
    session = scaling(runner)
    fed = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    for given_ in (fed, runner.keep(fed)):
        stays = runner.run(session, {"image": given_})["scaled"]
        assert isinstance(stays, DeviceTensor) and stays.device == DEVICE
        runner.finish()
        assert read(stays) == pytest.approx(fed * 3)
        assert runner.run(session, {"image": given_}, {"scaled"})["scaled"] == pytest.approx(fed * 3)
        assert runner.answer(session, {"image": given_})["scaled"] == pytest.approx(fed * 3)
    with pytest.raises(SessionError, match="inputs should be"):
        runner.run(session, {})


def test_what_a_network_gave_is_not_written_over_while_it_is_held(runner: CudaRunner) -> None:
    session = scaling(runner)
    held = [runner.run(session, {"image": np.full((1, 3, 8, 8), n, np.float32)})["scaled"] for n in range(4)]
    runner.finish()
    assert [float(read(one).max()) for one in held] == [0, 3, 6, 9]


def test_a_size_that_only_the_run_tells_is_found_out(runner: CudaRunner) -> None:
    session = open_session(tiny.failing_model(), "ort", DEVICE, 1, runner.stream)
    values = np.arange(4, dtype=np.float32)
    for asked in (frozenset[str](), frozenset(["out"])):
        out = runner.run(session, {"values": values, "shape": np.array([4])}, asked)["out"]
        runner.finish()
        assert np.array_equal(out if asked else read(out), values)


def test_masks_that_never_change_go_up_once(gpu: Gpu, runner: CudaRunner) -> None:
    picture, patch = runner.take(noise(40, 40, 3)), runner.keep(np.ones((1, 3, 16, 16), np.float32))
    mask = np.full((16, 16), 255, np.uint8)
    mask.flags.writeable = False
    place = Similarity.from_crop((20, 20), 16, 16)
    runner.blend(picture, patch, mask, place)
    runner.finish()
    start = len(gpu.calls)
    runner.blend(picture, patch, mask, place)
    runner.finish()
    assert not gpu.since(start, "up")
    for _ in range(2 * MOST_CONSTANTS):
        other = mask.copy()
        other.flags.writeable = False
        runner.blend(picture, patch, other, place)
    assert len(runner._constants) <= MOST_CONSTANTS


def test_a_picture_of_somebody_elses_is_copied_to_be_owned(runner: CudaRunner) -> None:
    picture = noise(20, 30, 3)
    theirs, ours = runner.take(on_device(picture)), runner.own(on_device(picture))
    assert theirs.pointer == picture.ctypes.data != ours.pointer
    before, _ = picture.copy(), runner.finish()
    picture[:] = 0
    assert np.array_equal(runner.host(ours), before)
    assert not runner.host(theirs).any()


def test_what_the_host_has_is_not_fetched(gpu: Gpu, runner: CudaRunner) -> None:
    picture = noise(20, 30, 3)
    assert runner.host(runner.take(picture)) is picture
    fetched = runner.host(runner.own(picture))
    assert np.array_equal(fetched, picture) and fetched is not picture
    assert gpu.since(0, "down") == [picture.nbytes]


def test_a_picture_on_another_gpu_is_refused(runner: CudaRunner) -> None:
    picture = noise(20, 30, 3)
    with pytest.raises(DeviceError, match="on cuda:0 was given, but this chain runs on cuda:1"):
        runner.take(DeviceTensor(picture.ctypes.data, "uint8", picture.shape, picture))
    theirs = SimpleNamespace(__dlpack_device__=lambda: (2, 0), __dlpack__=None)
    with pytest.raises(DeviceError, match="on cuda:1 is needed; this one is on cuda:0"):
        runner.take(theirs)


def test_a_picture_of_another_chain_is_waited_for(gpu: Gpu, runner: CudaRunner) -> None:
    picture = noise(20, 30, 3)
    other = open_runner(DEVICE).own(picture)
    assert gpu.queue, "it is under way"
    there = runner.take(other)
    assert not gpu.queue and np.array_equal(read(there), picture)
    runner.take(runner.own(picture))
    assert gpu.queue, "its own order is enough"


def test_networks_that_take_no_addresses_have_no_place_in_the_chain(runner: CudaRunner) -> None:
    spec = TensorSpec("x", "float32", (1,))
    with pytest.raises(DeviceError, match="run by function on cpu has no place in a chain on cuda:1"):
        runner.run(FunctionSession(dict, (spec,), (spec,)), {"x": np.zeros(1, np.float32)})


def test_where_a_chain_runs_is_chosen_by_its_device(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_runner("cpu").device == "cpu"
    there = open_runner(DEVICE)
    assert open_runner(there) is there
    with pytest.raises(DeviceError, match="'cuda:7'"):
        open_runner("cuda:7")
    with pytest.raises(DeviceError, match="'gpu'"):
        open_runner("gpu")
    monkeypatch.setattr("mien.kernels.device.built", lambda: False)
    assert isinstance(open_runner(DEVICE), HostRunner), "its networks alone run on the GPU"


def test_without_pycuda_the_line_to_type_is_given(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingDependency("pycuda", "tensorrt")

    monkeypatch.setattr("mien.sessions.cuda._pycuda", missing)
    with pytest.raises(MissingDependency, match=r"pip install 'mien\[tensorrt\]'"):
        open_runner(DEVICE)


def test_the_hosts_runner_copies_nothing() -> None:
    picture = noise(20, 30, 3)
    assert HOST.take(picture) is picture is HOST.host(picture)
    assert HOST.own(picture) is not picture and np.array_equal(HOST.own(picture), picture)
    assert HOST.keep(picture) is picture
    assert HOST.open(Bundle.open("studio"), "detector").info.device == "cpu"
    HOST.finish()
