"""ONNX Runtime on addresses, which runs on the CPU's memory as well, and what is asked of its CUDA provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from mien.errors import DeviceError, SessionError
from mien.sessions.base import TensorSpec
from mien.sessions.device_tensor import DeviceTensor
from mien.sessions.ort import MOST_GRAPHS, OrtSession, model_specs, node_places
from tests import tiny

REAL = onnxruntime.InferenceSession


def placed(array: np.ndarray) -> DeviceTensor:
    """The array's own memory."""
    return DeviceTensor(array.ctypes.data, array.dtype.name, array.shape, array)


def read(tensor: DeviceTensor) -> np.ndarray:
    """A copy of what lies there."""
    owner: Any = tensor.owner
    return np.array(owner if isinstance(owner, np.ndarray) else owner.numpy())


def image(batch: int = 1, value: float = 1.0) -> np.ndarray:
    return np.full((batch, 3, 8, 8), value, np.float32)


def setting(options: Any, name: str) -> str | None:
    """What a run was told."""
    try:
        return options and str(options.get_run_config_entry(name))
    except RuntimeError:  # not told
        return None


class Gpu:
    """Sessions as if CUDA were there: they compute on the CPU. What they were asked is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.providers: list[Any] = []
        self.graphs: list[str | None] = []
        self.waits: list[bool] = []
        gpu = self

        class Session:
            def __init__(self, model: bytes, options: Any, providers: list[Any]) -> None:
                gpu.providers += providers
                self.real = REAL(model, options, providers=["CPUExecutionProvider"])
                self.get_inputs, self.get_outputs = self.real.get_inputs, self.real.get_outputs

            def get_providers(self) -> list[str]:
                return ["CUDAExecutionProvider", "CPUExecutionProvider"]

            def run(self, names: list[str], feeds: Mapping[str, np.ndarray], options: Any) -> Any:
                gpu.graphs.append(setting(options, "gpu_graph_id"))
                return self.real.run(names, feeds, options)

            def io_binding(self) -> Any:
                return Binding(self.real.io_binding())

            def run_with_iobinding(self, binding: Any, options: Any) -> None:
                gpu.graphs.append(setting(options, "gpu_graph_id"))
                gpu.waits.append(setting(options, "disable_synchronize_execution_providers") != "1")
                self.real.run_with_iobinding(binding.real, options)

        class Binding:
            def __init__(self, real: Any) -> None:
                self.real, self.get_outputs = real, real.get_outputs

            def bind_input(self, name: str, kind: str, number: int, *rest: Any) -> None:
                assert (kind, number) == ("cuda", 1)
                self.real.bind_input(name, "cpu", 0, *rest)

            def bind_output(self, name: str, kind: str, number: int, *rest: Any) -> None:
                assert (kind, number) == ("cuda", 1)
                self.real.bind_output(name, "cpu", 0, *rest)

        monkeypatch.setattr("mien.sessions.ort.available_providers", lambda: ("CUDAExecutionProvider",))
        monkeypatch.setattr("mien.sessions.ort.ort.InferenceSession", Session)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_runs_on_addresses(batch: int) -> None:
    session = OrtSession(tiny.scale_model(3.0))
    room = np.zeros((batch, 3, 8, 8), np.float32)
    fed = placed(image(batch, 2.0))
    assert session.run_device({"image": fed}, {"scaled": placed(room)})["scaled"].owner is room
    assert np.all(room == 6)
    result = session.run_device({"image": fed})["scaled"]
    assert result.shape == room.shape and result.dtype == "float32" and np.all(read(result) == 6)


def test_tensors_that_do_not_fit_are_named_before_the_runtime_sees_their_addresses() -> None:
    session = OrtSession(tiny.scale_model())
    fed = placed(image())
    with pytest.raises(SessionError, match="input 'image' should be float32"):
        session.run_device({"image": placed(image().astype(np.float64))})
    with pytest.raises(SessionError, match="output 'scaled' should be float32"):
        session.run_device({"image": fed}, {"scaled": placed(np.zeros((1, 3, 8, 8), np.float16))})
    with pytest.raises(SessionError, match="outputs should be"):
        session.run_device({"image": fed}, {"other": fed})
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run_device({"image": fed})


def test_room_of_another_batch_is_a_session_error() -> None:
    fed, room = placed(image(2)), placed(image(1))
    with pytest.raises(SessionError):
        OrtSession(tiny.scale_model()).run_device({"image": fed}, {"scaled": room})


def test_the_provider_is_asked_for_the_device_the_stream_and_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch)
    session = OrtSession(tiny.scale_model(), "cuda:1", stream=4711, graphs=True)
    [(provider, settings)] = gpu.providers
    assert provider == "CUDAExecutionProvider" == session.info.provider
    assert settings["device_id"] == "1" and settings["user_compute_stream"] == "4711"
    assert settings["enable_cuda_graph"] == "1" and settings["use_tf32"] == "0"
    assert all(isinstance(value, str) for value in settings.values())
    gpu.providers.clear()
    OrtSession(tiny.scale_model(), "cuda:1")
    assert "user_compute_stream" not in gpu.providers[0][1] and gpu.providers[0][1]["enable_cuda_graph"] == "0"


def test_each_set_of_addresses_has_a_graph_and_further_ones_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch)
    session = OrtSession(tiny.scale_model(), "cuda:1", graphs=True)
    fed, rooms = placed(image()), [placed(image()) for _ in range(MOST_GRAPHS + 1)]
    for room in (*rooms, rooms[0]):
        session.run_device({"image": fed}, {"scaled": room})
    assert gpu.graphs == ["1", "2", "3", "4", "-1", "1"]
    gpu.graphs.clear()
    session.run_device({"image": fed})
    session.run({"image": image()})
    assert gpu.graphs == ["-1", "-1"], "memory that is not the caller's has no lasting address"


def test_without_graphs_no_run_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch)
    session = OrtSession(tiny.scale_model(), "cuda:1")
    session.run_device({"image": placed(image())}, {"scaled": placed(image())})
    session.run({"image": image()})
    assert gpu.graphs == [None, None]


def test_work_on_the_caller_s_stream_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch)
    for stream in (None, 4711):
        session = OrtSession(tiny.scale_model(), "cuda:1", stream=stream)
        session.run_device({"image": placed(image())}, {"scaled": placed(image())})
    assert gpu.waits == [True, False]


def test_streams_and_graphs_are_for_gpus() -> None:
    with pytest.raises(DeviceError, match="'cpu', but streams and CUDA graphs"):
        OrtSession(tiny.scale_model(), graphs=True)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is here")
def test_cuda_that_is_not_installed_is_an_error_with_the_line_to_type() -> None:
    for call in (OrtSession, node_places):
        with pytest.raises(DeviceError, match=r"needs: pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu\["):
            call(tiny.scale_model(), "cuda")  # type: ignore[operator]


def test_it_is_told_which_node_runs_where() -> None:
    places = node_places(tiny.conv_model())
    assert sorted((place.operator, place.provider) for place in places) == [
        ("Conv", "CPUExecutionProvider"),
        ("Relu", "CPUExecutionProvider"),
    ]


def test_the_borders_of_a_network_are_read_without_running_it() -> None:
    inputs, outputs = model_specs(tiny.scale_model())
    session = OrtSession(tiny.scale_model())
    assert (inputs, outputs) == (session.inputs, session.outputs)
    with pytest.raises(SessionError, match="cannot read the network"):
        model_specs(b"no network")


def test_so_are_those_of_one_that_does_not_run_here() -> None:
    proto = onnx.load_from_string(tiny.precision_model(onnx.TensorProto.BFLOAT16))
    proto.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "N"
    weight = proto.graph.initializer[0]  # an older file lists it among the inputs
    proto.graph.input.append(onnx.helper.make_tensor_value_info("weight", weight.data_type, weight.dims))
    inputs, outputs = model_specs(proto.SerializeToString())
    assert [str(spec) for spec in inputs] == [str(TensorSpec("image", "float32", ("image.0", 3, 16, 16)))]
    assert [str(spec) for spec in outputs] == [str(TensorSpec("features", "float32", ("N", 4, 16, 16)))]
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(SessionError, match="does not state the types and shapes"):
        model_specs(proto.SerializeToString())


BFC = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. Name:'c' "
    "Status Message: bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 33554432"
)


@pytest.mark.parametrize(
    ("words", "room", "told"),
    [
        (BFC, (1000, 24_000), r"'?cuda:1 is out of memory: 33,554,432 bytes are needed, 1,000 of 24,000 are free"),
        (BFC, None, "33,554,432 bytes are needed, and the driver does not tell how many are free"),
        ("CUDA failure 2: out of memory ; GPU=1", (1000, 24_000), "out of memory: 1,000 of 24,000 are free"),
    ],
)
def test_no_room_on_the_gpu_is_a_device_error_and_the_session_runs_on(
    words: str, room: tuple[int, int] | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gpu(monkeypatch)
    monkeypatch.setattr("mien.sessions.ort.memory_info", lambda number: room)
    session = OrtSession(tiny.scale_model(), "cuda:1")

    def full(*given: object) -> None:
        raise RuntimeError(words)

    with monkeypatch.context() as patch:
        patch.setattr(session._session, "run", full)
        patch.setattr(session._session, "run_with_iobinding", full)
        with pytest.raises(DeviceError, match=told):
            session.run({"image": image(1, 2.0)})
        with pytest.raises(DeviceError, match=told):
            session.run_device({"image": placed(image(1, 2.0))})
    assert np.all(session.run({"image": image(1, 2.0)})["scaled"] == 4)


def test_no_room_for_the_weights_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **more: object) -> None:
        raise RuntimeError(BFC)

    monkeypatch.setattr("mien.sessions.ort.available_providers", lambda: ("CUDAExecutionProvider",))
    monkeypatch.setattr("mien.sessions.ort.ort.InferenceSession", full)
    monkeypatch.setattr("mien.sessions.ort.memory_info", lambda number: (0, 24_000))
    with pytest.raises(DeviceError, match="33,554,432 bytes are needed, 0 of 24,000 are free"):
        OrtSession(tiny.scale_model(), "cuda")


def test_no_room_in_the_host_s_memory_is_no_matter_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **more: object) -> None:
        raise RuntimeError(BFC)

    monkeypatch.setattr("mien.sessions.ort.ort.InferenceSession", full)
    with pytest.raises(SessionError, match="cannot read the network"):
        OrtSession(tiny.scale_model())
