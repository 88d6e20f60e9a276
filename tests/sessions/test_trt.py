"""TensorRT sessions against stand-ins: the order of calls, what is told again, what is captured, every refusal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.errors import DeviceError, SessionError
from mien.sessions import open_session
from mien.sessions.base import TensorSpec
from mien.sessions.cuda import Cuda
from mien.sessions.device_tensor import DeviceTensor
from mien.sessions.trt import MOST_SHAPES, TrtSession
from tests import tiny
from tests.sessions import fake_trt
from tests.sessions.driver import StandIn
from tests.sessions.fake_trt import PLAN, FakeGraphs, Machine

X = TensorSpec("x", "float32", ("batch", 3))
Y = TensorSpec("y", "float32", ("batch", 3))


def opened(machine: Machine, driver: StandIn | None = None, graphs: bool = True) -> TrtSession:
    cuda = Cuda.open(0, driver or StandIn())
    return TrtSession(PLAN, (X,), (Y,), fake_trt.flavour(machine), cuda, graphs=FakeGraphs(machine) if graphs else None)


def ones(batch: int, value: float = 1.0) -> dict[str, np.ndarray]:
    return {"x": np.full((batch, 3), value, np.float32)}


def test_a_network_runs_by_name_and_its_results_are_the_caller_s() -> None:
    session = opened(Machine())
    first = session.run(ones(2, 3.0))["y"]
    second = session.run(ones(2, 4.0))["y"]
    third = session.run(ones(2, 5.0))["y"]
    assert (
        [float(a.min()) for a in (first, second, third)]
        == [6, 8, 10]
        == [float(a.max()) for a in (first, second, third)]
    )
    assert (session.info.backend, session.info.device, session.info.provider) == ("rtx", "cuda:0", "TensorRT-RTX 0.0")


def test_shapes_come_before_addresses_and_both_before_the_run() -> None:
    machine = Machine()
    opened(machine).run(ones(2))
    assert machine.names() == [
        "deserialize", "context", "memory", "shape", "infer", "address", "address", "execute"
    ]  # fmt: skip
    assert machine.calls[1] == ("context", "user")


def test_what_has_not_changed_is_not_told_again_and_the_graph_is_all_that_runs() -> None:
    machine, driver = Machine(), StandIn()
    session = opened(machine, driver)
    session.run(ones(2))
    machine.calls.clear()
    session.run(ones(2))
    assert machine.names() == ["begin", "execute", "end", "launch"]
    machine.calls.clear()
    driver.calls.clear()
    session.run(ones(2))
    assert machine.names() == ["launch"]
    assert [call[0] for call in driver.calls] == ["up", "down", "synchronize"], "something was allocated"


def test_each_shape_has_a_context_and_a_graph_of_its_own() -> None:
    machine = Machine()
    session = opened(machine)
    for batch in (4, 2, 4, 2):  # the largest first, so that no buffer grows
        session.run(ones(batch))
    assert machine.names().count("context") == machine.names().count("end") == 2
    machine.calls.clear()
    for batch in (4, 2):
        assert session.run(ones(batch, batch))["y"].tolist() == [[2.0 * batch] * 3] * batch
    assert machine.names() == ["launch", "launch"]


def test_only_so_many_shapes_are_kept_and_the_longest_unused_goes() -> None:
    machine = Machine(most=100)
    session = opened(machine)
    for batch in range(MOST_SHAPES + 1, 0, -1):
        session.run(ones(batch))
    machine.calls.clear()
    session.run(ones(MOST_SHAPES))
    assert "context" not in machine.names()
    session.run(ones(MOST_SHAPES + 1))
    assert "context" in machine.names()


def test_another_address_is_told_and_captured_again() -> None:
    machine, driver = Machine(), StandIn()
    session = opened(machine, driver)
    cuda = session._cuda
    places = [cuda.allocate(24) for _ in range(2)]
    tensors = [DeviceTensor(int(place), "float32", (2, 3)) for place in places]
    for tensor in (tensors[0], tensors[0], tensors[0]):
        session.run_device({"x": tensor})
    machine.calls.clear()
    session.run_device({"x": tensors[1]})
    assert machine.calls[0] == ("address", "x", tensors[1].pointer)
    assert machine.names() == ["address", "begin", "execute", "end", "launch"]
    out = session.run_device({"x": tensors[1]}, {"y": tensors[0]})
    assert out["y"] is tensors[0]
    assert not [call for call in driver.calls if call[0] in ("up", "down", "synchronize")], "addresses need no copy"


def test_without_graphs_every_run_is_queued() -> None:
    machine = Machine()
    session = opened(machine, graphs=False)
    for _ in range(3):
        session.run(ones(1))
    assert machine.names().count("execute") == 3 and "begin" not in machine.names()


@pytest.mark.parametrize("refused", ["begin", "end"])
def test_a_network_that_cannot_be_captured_still_runs_and_that_is_said(
    refused: str, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    machine.refuses.add(refused)
    session = opened(machine)
    for value in (1.0, 2.0, 3.0):
        assert session.run(ones(1, value))["y"].tolist() == [[2 * value] * 3]
    assert machine.names().count("discard") == 1, "tried again and again"
    assert "no CUDA graph" in caplog.text


@pytest.mark.parametrize("call", ["context", "shape", "infer", "address", "execute", "launch"])
def test_every_refusal_is_a_session_error_with_tensorrt_s_words(call: str) -> None:
    machine = Machine()
    session = opened(machine)
    if call == "launch":
        session.run(ones(1))
    machine.refuses.add(call)
    if call == "shape":
        machine.most = 0
    with pytest.raises(SessionError, match=rf"TensorRT-RTX 0\.0 failed: .*\[{call}\] no\."):
        session.run(ones(1))
    machine.refuses.clear()
    machine.most = 4
    assert session.run(ones(1, 5.0))["y"].tolist() == [[10.0] * 3], "the session is not usable after it"


def test_a_batch_beyond_the_profile_is_told_with_what_fits() -> None:
    with pytest.raises(SessionError, match=r"'x' may be \(1, 3\) to \(4, 3\), and is \(5, 3\)"):
        opened(Machine()).run(ones(5))


def test_an_engine_of_another_gpu_is_refused() -> None:
    machine = Machine()
    machine.refuses.add("deserialize")
    with pytest.raises(SessionError, match=r"cannot load the engine on Stand-in 0: \[deserialize\] no\..*same kind of"):
        opened(machine)


@pytest.mark.parametrize(("refused", "said"), [("shape tensor", "decides on shapes"), ("known shape", "only after")])
def test_engines_whose_shapes_are_not_known_before_the_run_are_refused(refused: str, said: str) -> None:
    machine = Machine()
    machine.refuses.add(refused)
    with pytest.raises(SessionError, match=said):
        opened(machine).run(ones(1))


def test_an_engine_of_another_network_is_refused_and_nothing_is_held() -> None:
    driver = StandIn()
    wrong = replace(Y, dtype="float16")
    with pytest.raises(SessionError, match=r"outputs are .*float32.*should be y: float16"):
        TrtSession(PLAN, (X,), (wrong,), fake_trt.flavour(Machine()), Cuda.open(0, driver))
    assert not driver.live


def test_out_of_memory_is_a_device_error_and_the_session_stays_usable() -> None:
    session = opened(Machine(most=10_000), StandIn(memory=2000))
    assert session.run(ones(10))["y"].shape == (10, 3)
    with pytest.raises(DeviceError, match=r"out of memory: 12,000 bytes are needed, [\d,]+ of 2,000 are free"):
        session.run(ones(1000))
    assert session.run(ones(10, 2.0))["y"].tolist() == [[4.0] * 3] * 10


def test_no_room_for_the_scratch_memory_leaves_nothing_held() -> None:
    machine, driver = Machine(), StandIn(memory=100)
    with pytest.raises(DeviceError, match="256 bytes are needed"):
        opened(machine, driver)
    assert not driver.live


@pytest.mark.parametrize(
    "feeds", [{}, {"x": np.zeros((1, 4), np.float32)}, {"x": np.zeros((1, 3))}, ones(1) | {"z": np.zeros(1)}]
)
def test_wrong_feeds_are_named_before_tensorrt_sees_them(feeds: dict[str, np.ndarray]) -> None:
    machine = Machine()
    session = opened(machine)
    with pytest.raises(SessionError, match="should be"):
        session.run(feeds)
    with pytest.raises(SessionError, match="should be"):
        session.run_device({name: DeviceTensor(1, a.dtype.name, a.shape) for name, a in feeds.items()})
    assert machine.names() == ["deserialize"]


def test_room_for_an_output_must_fit_and_be_for_an_output_there_is() -> None:
    session = opened(Machine())
    x = DeviceTensor(int(session._cuda.allocate(24)), "float32", (2, 3))
    with pytest.raises(SessionError, match=r"is float32 \(2, 3\); there is room for float16 \(2, 3\)"):
        session.run_device({"x": x}, {"y": replace(x, dtype="float16")})
    with pytest.raises(SessionError, match=r"no outputs \['z'\]; there are: y"):
        session.run_device({"x": x}, {"z": x})


def test_a_closed_session_holds_nothing_and_does_not_run() -> None:
    driver = StandIn()
    session = opened(Machine(), driver)
    session.run(ones(1))
    session.close()
    session.close()
    assert not driver.live and driver.depth == 0
    with pytest.raises(SessionError, match="closed"):
        session.run(ones(1))


def test_the_stand_ins_have_no_method_that_the_real_classes_lack() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="mien[rtx] is not installed")
    for own in (fake_trt.ICudaEngine, fake_trt.IExecutionContext, fake_trt.EngineInspector):
        names = {name for name in (*vars(own), *vars(own(Machine()))) if not name.startswith("_")}
        assert names and names <= set(dir(getattr(trt, own.__name__)))
    package = fake_trt.flavour(Machine()).trt
    assert vars(package).keys() <= vars(trt).keys()
    assert {name for name in vars(package.Runtime) if name[0] != "_"} <= set(dir(trt.Runtime))
    for enum in ("TensorIOMode", "ExecutionContextAllocationStrategy", "LayerInformationFormat"):
        assert vars(getattr(package, enum)).keys() <= getattr(trt, enum).__members__.keys()


def test_the_inspector_tells_of_the_layers_or_says_that_it_does_not() -> None:
    machine = Machine()
    session = opened(machine)
    assert session.inspect() == fake_trt.REPORT
    for call in ("inspector", "information"):
        machine.refuses = {call}
        with pytest.raises(SessionError, match=rf"tells nothing of its engine's layers\. \[{call}\] no\."):
            session.inspect()
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.inspect()


@pytest.mark.parametrize("backend", ["rtx", "tensorrt"])
def test_tensorrt_is_for_gpus_only(backend: str) -> None:
    with pytest.raises(DeviceError, match=r"'cpu', but TensorRT runs on: cuda, cuda:N"):
        open_session(tiny.scale_model(), backend)
