"""Node by node where a network runs: the real ONNX Runtime and OpenVINO, TensorRT by the reports that it left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mien.errors import DeviceError, MissingDependency, SessionError
from mien.sessions import trt_open
from mien.sessions.base import NodePlace
from mien.sessions.places import node_places
from tests.sessions.gpu_stand_in import put_gpu
from tests.tiny import conv_model


def test_onnx_runtime_tells_its_provider_for_every_node() -> None:
    places = node_places(conv_model())
    assert [place.operator for place in places] == ["Conv", "Relu"]
    assert {place.provider for place in places} == {"CPUExecutionProvider"}


def test_openvino_tells_what_became_of_every_node_and_leaves_weights_out() -> None:
    pytest.importorskip("openvino")
    places = node_places(conv_model(), "openvino")
    assert [place.operator for place in places if place.name in ("raw", "features")] == ["Convolution", "Convolution"]
    assert all(place.provider.startswith("CPU, ") for place in places)
    assert "weight" not in {place.name for place in places}
    with pytest.raises(SessionError, match="cannot read"):
        node_places(b"no network", "openvino")
    with pytest.raises(DeviceError, match="runs on: cpu"):
        node_places(conv_model(), "openvino", "cuda")


def test_tensorrt_tells_by_the_report_of_the_engine_that_was_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpu = put_gpu(monkeypatch)
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    with pytest.raises(SessionError, match=r"no engine .* for Stand-in 0 .*mien build BUNDLE --target rtx"):
        node_places(b"model", "rtx", "cuda")
    assert not gpu.built
    trt_open.open_trt(b"model", "rtx")
    expected = [NodePlace(name, "pointwise", "TensorRT-RTX 0.0 on cuda:0") for name in "ab"]
    assert list(node_places(b"model", "rtx", "cuda")) == expected
    with pytest.raises(SessionError, match="no engine"):
        node_places(b"another model", "rtx", "cuda")


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(DeviceError, match="there are: ort, openvino, tensorrt, rtx"):
        node_places(conv_model(), "tensorflow")
    with pytest.raises(DeviceError, match="TensorRT runs on: cuda"):
        node_places(conv_model(), "rtx", "cpu")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mien.sessions.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependency, match=r"mien\[openvino\]"):
        node_places(conv_model(), "openvino")
