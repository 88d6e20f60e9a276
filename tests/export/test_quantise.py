"""Int8 graphs: which nodes, in which form, near to float32's results, accepted by all runtimes, honestly timed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from mien.errors import SessionError
from mien.sessions import open_session
from mien_export.fidelity import PrecisionError
from mien_export.quantise import gain, to_int8
from tests.export.rtx_build import built_size
from tests.export.small_networks import graph, modulated, modulated_feeds, node


@pytest.fixture(scope="module")
def quantised() -> bytes:
    return to_int8(modulated(), (modulated_feeds(seed) for seed in range(4)))


def makers(model: bytes) -> dict[str, onnx.NodeProto]:
    return {output: n for n in onnx.load_from_string(model).graph.node for output in n.output}


def test_convolutions_are_quantised_and_what_must_not_be_is_not(quantised: bytes) -> None:
    made = makers(quantised)
    originals = {n.output[0]: n.op_type for n in onnx.load_from_string(modulated()).graph.node}

    def from_int8(output: str) -> bool:
        """Whether the node that made ``output`` in the float32 network has its weights from int8."""
        found = made[output] if made[output].op_type == originals[output] else made[f"{output}_QuantizeLinear_Input"]
        assert found.op_type == originals[output]
        return found.input[1] in made and made[found.input[1]].op_type == "DequantizeLinear"

    assert from_int8("raw") and from_int8("image")
    assert not from_int8("soft")  # depthwise
    assert not from_int8("energy")  # demodulation
    assert not from_int8("style")  # none of the work


def test_the_form_is_symmetric_signed_per_channel_without_an_integer_bias(quantised: bytes) -> None:
    proto = onnx.load_from_string(quantised).graph
    weights = {w.name: numpy_helper.to_array(w) for w in proto.initializer}
    for n in proto.node:
        if n.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = weights[n.input[2]]
            assert zero.dtype == np.int8 and not zero.any()
    stored = next(value for name, value in weights.items() if name.startswith("weight") and value.ndim == 4)
    assert stored.dtype == np.int8 and stored.shape == (16, 16, 3, 3)
    assert any(value.shape == (16,) for name, value in weights.items() if name.startswith("weight_scale"))
    assert not any(w.data_type == TensorProto.INT32 for w in proto.initializer)


def test_near_to_float32_on_other_feeds_and_timed_on_both_runtimes(quantised: bytes) -> None:
    found = gain(modulated(), quantised, [modulated_feeds(seed) for seed in (10, 11)], threads=1)
    (row,) = found.fidelity
    assert 30 < row.psnr < 60
    assert set(found.speed) == {"ort", "openvino"} and all(0.01 < ratio < 100 for ratio in found.speed.values())


def test_a_slower_network_is_said_to_be() -> None:
    feeds = [{"x": np.ones((1, 3, 96, 96), np.float32)}]
    found = gain(wide(4), wide(128), feeds, ("ort",), threads=1)
    assert found.speed["ort"] < 0.7 and found.slower == ("ort",)
    assert gain(wide(128), wide(4), feeds, ("ort",), threads=1).slower == ()


def wide(channels: int) -> bytes:
    weights = {"w": np.ones((channels, 3, 3, 3), np.float32), "v": np.ones((1, channels, 3, 3), np.float32)}
    return graph([node("Conv", "x w", "m"), node("Conv", "m v", "y")], {"x": [1, 3, 96, 96]}, ["y"], **weights)


def test_every_runtime_takes_it(quantised: bytes) -> None:
    assert built_size(quantised) > 0
    feeds = modulated_feeds(20)
    images = [open_session(quantised, backend, threads=1).run(feeds)["image"] for backend in ("ort", "openvino")]
    truth = open_session(modulated()).run(feeds)["image"]
    assert all(np.abs(image - truth).max() < 0.2 * np.ptp(truth) for image in images)


def test_transposed_convolutions_and_products() -> None:
    rng = np.random.default_rng(3)
    weights = {
        "up": rng.normal(size=(8, 4, 4, 4)).astype(np.float32),
        "product": rng.normal(size=(256, 32)).astype(np.float32),
        "shape": np.array([1, 256], np.int64),
    }
    nodes = [
        node("ConvTranspose", "x up", "large", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Reshape", "large shape", "flat"),
        node("MatMul", "flat product", "y"),
    ]
    model = graph(nodes, {"x": [1, 8, 4, 4]}, ["y"], **weights)
    feeds = [{"x": rng.standard_normal((1, 8, 4, 4), np.float32)} for _ in range(4)]
    made = to_int8(model, feeds)
    assert sum(n.op_type == "DequantizeLinear" for n in onnx.load_from_string(made).graph.node) >= 4
    assert gain(model, made, feeds[:1], ("ort",)).fidelity[0].psnr > 25
    assert built_size(made) > 0


def test_a_range_may_leave_out_the_few_values_that_would_take_the_digits_of_all_others() -> None:
    rng = np.random.default_rng(2)
    weight = rng.normal(size=(8, 8, 3, 3)).astype(np.float32)
    nodes = [node("Relu", "x", "bright"), node("Conv", "bright weight", "y", pads=[1, 1, 1, 1])]
    model = graph(nodes, {"x": [1, 8, 64, 64]}, ["y"], weight=weight)
    feeds = [{"x": rng.standard_normal((1, 8, 64, 64), np.float32)} for _ in range(4)]
    for feed in feeds[:2]:
        feed["x"][0, 0, 5, 5] = 3000.0
    whole, clipped = (
        gain(model, to_int8(model, feeds[:3], share), feeds[3:], ("ort",)).fidelity[0].psnr for share in (1.0, 0.999)
    )
    assert whole < 20 < 30 < clipped


def test_what_cannot_be_quantised_is_refused() -> None:
    with pytest.raises(PrecisionError, match="none was given"):
        to_int8(modulated(), [])
    with pytest.raises(PrecisionError, match="nothing to quantise"):
        to_int8(graph([node("Relu", "x", "y")], {"x": [4]}, ["y"]), [{"x": np.ones(4, np.float32)}])
    with pytest.raises(SessionError, match="features"):
        to_int8(modulated(), [{"features": np.ones(3, np.float32)}])
