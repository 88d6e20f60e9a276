"""Float16 and bfloat16 graphs: what stays float32, near to float32's results, accepted by checker and runtimes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

import mien
from mien.errors import DeviceError
from mien.image import load_image
from mien.sessions import OpenVinoSession, OrtSession
from mien.sessions.ort import model_specs
from mien_export.fidelity import PrecisionError, compared, fidelity
from mien_export.float32_rules import BFLOAT16, FLOAT16, Half
from mien_export.half_emulation import emulated, half_fidelity
from mien_export.precision import element_types, overflowing, to_half
from tests.export.rtx_build import built_size
from tests.export.small_networks import graph, modulated, modulated_feeds, node, warp
from tests.tiny import conv_model, scale_model

STUDIO = Path(mien.__file__).parent / "bundles" / "studio"


def computed_in(model: bytes) -> dict[str, int]:
    """Element type in which every node but the casts computes, by its first output's original name."""
    proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*proto.value_info, *proto.output)}
    return {n.output[0].removesuffix("_half"): kinds[n.output[0]] for n in proto.node if n.op_type != "Cast"}


def of_kind(model: bytes, kind: int) -> set[str]:
    return {name for name, found in computed_in(model).items() if found == kind}


def test_demodulation_stays_float32_and_the_rest_does_not() -> None:
    half = to_half(modulated())
    assert of_kind(half, TensorProto.FLOAT) == {
        "square", "energy", "above_zero", "root", "inverse", "demodulation",
    }  # fmt: skip
    assert {"raw", "soft", "even", "active", "image", "style"} <= of_kind(half, TensorProto.FLOAT16)


def test_a_grid_and_statistics_stay_float32() -> None:
    half = to_half(warp())
    assert of_kind(half, TensorProto.FLOAT) == {"moved", "grid", "read", "even"}
    assert of_kind(half, TensorProto.FLOAT16) == {"flow", "large", "warped"}


def test_only_what_leaves_a_narrow_range_is_not_kept_from_bfloat16() -> None:
    low = to_half(modulated(), half=BFLOAT16)
    assert of_kind(low, TensorProto.FLOAT) == set()
    low = to_half(warp(), half=BFLOAT16)
    assert of_kind(low, TensorProto.FLOAT) == {"moved", "grid", "read", "even"}
    assert of_kind(low, TensorProto.BFLOAT16) == {"flow", "large", "warped"}
    (row,) = half_fidelity(loud(), to_half(loud(), half=BFLOAT16), [{"x": np.full((1, 3, 4, 4), 1.5, np.float32)}])
    assert 40 < row.psnr < 70


@pytest.mark.parametrize("model", [modulated(), warp(), conv_model()], ids=["modulated", "warp", "conv"])
def test_bfloat16_keeps_the_border_and_every_node_takes_its_types(model: bytes) -> None:
    low = to_half(model, half=BFLOAT16)
    before = OrtSession(model)
    assert model_specs(low) == (before.inputs, before.outputs)
    proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(low), strict_mode=True)
    kinds = element_types(proto)
    for one in proto.graph.node:
        schema = onnx.defs.get_schema(one.op_type, proto.opset_import[0].version)
        allowed = {rule.type_param_str: rule.allowed_type_strs for rule in schema.type_constraints}
        if kinds[one.output[0]] == TensorProto.BFLOAT16:
            assert "tensor(bfloat16)" in allowed[schema.outputs[0].type_str], one.op_type
    assert built_size(low) > 0
    with pytest.raises(DeviceError, match="bf16"):
        OrtSession(low)


def test_a_transposed_convolution_is_not_computed_in_bfloat16() -> None:
    weight = np.random.default_rng(1).standard_normal((4, 4, 3, 3), np.float32)
    nodes = [node("ConvTranspose", "x w", "large", strides=[2, 2]), node("Conv", "large w", "y")]
    low = to_half(graph(nodes, {"x": [1, 4, 8, 8]}, ["y"], w=weight), half=BFLOAT16)
    assert of_kind(low, TensorProto.FLOAT) == {"large"} and of_kind(low, TensorProto.BFLOAT16) == {"y"}
    assert built_size(low) > 0


def test_weights_in_bfloat16_are_rounded_to_the_nearest_and_stored_as_bytes() -> None:
    weight = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, -1e-3, 7e4], np.float32).reshape(5, 1, 1, 1)
    proto = onnx.load_from_string(
        to_half(graph([node("Conv", "x w", "y")], {"x": [1, 1, 1, 1]}, ["y"], w=weight), half=BFLOAT16)
    )
    (stored,) = proto.graph.initializer
    assert stored.data_type == TensorProto.BFLOAT16 and len(stored.raw_data) == 10 and not stored.int32_data
    kept = numpy_helper.to_array(stored).astype(np.float32)
    assert np.array_equal(kept, bfloat16(weight))
    assert kept.ravel()[:3].tolist() == [1, 1, 1 + 2**-6]  # ties to even


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Rounded to eight bits of mantissa, the nearest, ties to even; for finite values."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def test_the_emulation_of_bfloat16_is_numpy_s() -> None:
    rng = np.random.default_rng(3)
    weight, x = rng.standard_normal((4, 4), np.float32), rng.standard_normal((64, 4), np.float32) * 1e6
    nodes = [node("MatMul", "x w", "a"), node("Mul", "a a", "b"), node("Sqrt", "b", "y")]
    low = to_half(graph(nodes, {"x": [64, 4]}, ["y"], w=weight), half=BFLOAT16)
    product = bfloat16((bfloat16(x).astype(np.float64) @ bfloat16(weight).astype(np.float64)).astype(np.float32))
    truth = bfloat16(np.sqrt(bfloat16(product * product)))
    assert OrtSession(emulated(low)).run({"x": x})["y"] == pytest.approx(truth, rel=2**-8)
    assert np.mean(OrtSession(emulated(low)).run({"x": x})["y"] == truth) > 0.95  # sums in another order


def test_openvino_computes_bfloat16_as_emulated() -> None:
    pytest.importorskip("openvino")
    low = to_half(modulated(), half=BFLOAT16)
    found, truth = (s.run(modulated_feeds()) for s in (OpenVinoSession(low), OrtSession(emulated(low))))
    (row,) = compared([truth], [found])
    assert row.psnr > 50


@pytest.mark.parametrize("model", [modulated(), warp()], ids=["modulated", "warp"])
def test_the_border_keeps_its_types_and_trt_takes_the_graph(model: bytes) -> None:
    before, after = OrtSession(model), OrtSession(to_half(model))
    assert (before.inputs, before.outputs) == (after.inputs, after.outputs)
    assert built_size(to_half(model)) > 0


def test_results_are_near_and_weights_are_half_as_large() -> None:
    model = modulated()
    half = to_half(model)
    (row,) = half_fidelity(model, half, [modulated_feeds(), modulated_feeds(3, rows=2)])
    assert row.name == "image" and 55 < row.psnr < 120 and row.largest < 2e-3
    stored = {w.data_type for w in onnx.load_from_string(half).graph.initializer if np.prod(w.dims) > 256}
    assert stored == {TensorProto.FLOAT16}


def test_a_wrong_network_has_a_low_psnr() -> None:
    feeds = {"image": np.linspace(0, 1, 192, dtype=np.float32).reshape(1, 3, 8, 8)}
    (row,) = fidelity(scale_model(2.0), scale_model(2.2), [feeds])
    assert row.psnr == pytest.approx(20 * np.log10(2 / np.sqrt(np.mean((0.2 * feeds["image"]) ** 2))), abs=1e-3)
    assert row.largest == pytest.approx(0.1, abs=1e-5)
    (same,) = fidelity(modulated(), modulated(), [modulated_feeds()])
    assert same.psnr == np.inf and same.largest == 0


def test_labels_are_right_or_wrong() -> None:
    def above(limit: float) -> bytes:
        nodes = [node("Greater", "x limit", "is"), node("Cast", "is", "y", to=TensorProto.UINT8)]
        return graph(nodes, {"x": [100]}, ["y"], limit=np.array(limit, np.float32), kind=TensorProto.UINT8)

    feeds = {"x": np.arange(100, dtype=np.float32)}
    (row,) = fidelity(above(49.5), above(59.5), [feeds])
    assert row.psnr == pytest.approx(10) and row.largest == 1


def loud() -> bytes:
    """The middle tensor reaches 80,000 for an input of 4."""
    weights = {"up": np.full((3, 3, 1, 1), 2e4, np.float32), "down": np.full((3, 3, 1, 1), 1e-4, np.float32)}
    nodes = [node("Conv", "x up", "middle"), node("Relu", "middle", "kept"), node("Conv", "kept down", "y")]
    return graph(nodes, {"x": [1, 3, 4, 4]}, ["y"], **weights)


def test_what_leaves_the_range_is_found_named_and_kept() -> None:
    feeds = {"x": np.full((1, 3, 4, 4), 1.5, np.float32)}
    with pytest.raises(PrecisionError, match="'y' has 48 of 48 values that are not finite"):
        half_fidelity(loud(), to_half(loud()), [feeds])
    keep = overflowing(loud(), feeds)
    assert keep == {"middle", "kept"}
    half = to_half(loud(), keep)
    assert of_kind(half, TensorProto.FLOAT) == {"middle", "kept", "y"}
    (row,) = half_fidelity(loud(), half, [feeds])
    assert row.psnr == np.inf


def test_the_emulation_rounds_what_onnx_runtime_alone_does_not() -> None:
    model = graph([node("Relu", "x", "a"), node("Relu", "a", "y")], {"x": [3]}, ["y"])
    half, feeds = to_half(model), {"x": np.array([1.0001, 7e4, 2049], np.float32)}
    assert np.array_equal(OrtSession(half).run(feeds)["y"], feeds["x"])
    assert np.array_equal(OrtSession(emulated(half)).run(feeds)["y"], np.array([1, np.inf, 2048], np.float32))


def test_constants_that_float16_would_spoil_stay() -> None:
    nodes = [node("Mul", "x large", "a"), node("Add", "x epsilon", "b"), node("Mul", "x plain", "c")]
    nodes += [node("Mul", "a b", "ab"), node("Mul", "ab c", "y")]
    constants = {"large": 1e6, "epsilon": 1e-8, "plain": 0.5}
    half = to_half(graph(nodes, {"x": [4]}, ["y"], **{k: np.array(v, np.float32) for k, v in constants.items()}))
    assert of_kind(half, TensorProto.FLOAT) == {"a", "b"}


def test_weights_stored_in_half_are_not_cast_twice() -> None:
    weight = np.ones((3, 3, 1, 1), np.float16)
    nodes = [node("Cast", "stored", "weight", to=TensorProto.FLOAT), node("Conv", "x weight", "y")]
    half = onnx.load_from_string(to_half(graph(nodes, {"x": [1, 3, 4, 4]}, ["y"], stored=weight))).graph
    assert [n.op_type for n in half.node] == ["Cast", "Conv", "Cast"]
    assert {w.data_type for w in half.initializer} == {TensorProto.FLOAT16}


def test_an_output_that_is_used_inside_as_well() -> None:
    weight = np.full((3, 3, 1, 1), 0.5, np.float32)
    nodes = [node("Conv", "x w", "first"), node("Conv", "first w", "second"), node("Sqrt", "first", "third")]
    model = graph(nodes, {"x": [1, 3, 4, 4]}, ["first", "second", "third"], w=weight)
    rows = half_fidelity(model, to_half(model), [{"x": np.random.default_rng(1).random((1, 3, 4, 4), np.float32)}])
    assert [row.name for row in rows] == ["first", "second", "third"] and min(row.psnr for row in rows) > 60


def test_what_is_not_converted_is_refused() -> None:
    with pytest.raises(PrecisionError, match="no node knows them: nothing"):
        to_half(modulated(), frozenset({"nothing"}))
    with pytest.raises(PrecisionError, match="at least one feed"):
        fidelity(modulated(), modulated(), [])
    nodes = [node("Cast", "x", "small", to=TensorProto.FLOAT16), node("Cast", "small", "y", to=TensorProto.FLOAT)]
    with pytest.raises(PrecisionError, match="float16 in it already"):
        to_half(graph(nodes, {"x": [4]}, ["y"]))
    with pytest.raises(PrecisionError, match="bfloat16 in it already"):
        to_half(to_half(modulated(), half=BFLOAT16), half=BFLOAT16)
    branch = onnx.helper.make_graph(
        [node("Identity", "x", "z")], "b", [], [onnx.helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    )
    nodes = [node("If", "c", "y", then_branch=branch, else_branch=branch)]
    with pytest.raises(PrecisionError, match="branches"):
        to_half(graph(nodes, {"x": [4]}, ["y"], c=np.array(True)))


def seen(shape: list[int]) -> NDArray[np.float32]:
    """The demonstration's face: on noise the motion network's patches make much of what is mere rounding."""
    face = load_image(STUDIO / "demo" / "source.jpg")[60:400, 90:430]
    return cv2.resize(face, tuple(shape[2:]), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)[None] / np.float32(255)


@pytest.mark.parametrize(("half_type", "least"), [(FLOAT16, 55), (BFLOAT16, 34)], ids=["fp16", "bf16"])
@pytest.mark.parametrize("role", ["appearance", "motion", "generator"])
def test_the_networks_of_the_embedded_bundle(role: str, half_type: Half, least: float) -> None:
    if (role, half_type) == ("motion", BFLOAT16):
        least = 31
    model = (STUDIO / f"{role}.onnx").read_bytes()
    half = to_half(model, half=half_type)
    session = OrtSession(model)
    rng = np.random.default_rng(5)
    shapes = {spec.name: [1 if isinstance(size, str) else size for size in spec.shape] for spec in session.inputs}
    feeds = {name: seen(shape) if name == "image" else rng.random(shape, np.float32) for name, shape in shapes.items()}
    assert overflowing(model, feeds) == frozenset()
    assert min(row.psnr for row in half_fidelity(model, half, [feeds])) > least
    assert built_size(half) < built_size(model)
