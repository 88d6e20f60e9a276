"""Float16 and int8 of StyleGAN2's synthesis as it is exported: demodulation found, pictures near, TensorRT content."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from mien_export.fidelity import fidelity
from mien_export.float32_rules import BFLOAT16
from mien_export.graphs.synthesis import SynthesisGraph
from mien_export.half_emulation import half_fidelity
from mien_export.networks.stylegan2 import Generator
from mien_export.onnx_export import export
from mien_export.precision import overflowing, to_half
from mien_export.quantise import to_int8
from tests.export.rtx_build import built_size

Feeds = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def generator() -> bytes:
    torch.manual_seed(1)
    network = Generator(32, widest=32).eval()
    return export(SynthesisGraph(network), {"latents": torch.randn(2, 8, 512)}, ["image", "small"], batch="batch").model


def feeds(count: int) -> list[Feeds]:
    rng = np.random.default_rng(count)
    return [{"latents": rng.standard_normal((1, 8, 512), np.float32)} for _ in range(count)]


def test_half(generator: bytes) -> None:
    half = to_half(generator)
    assert overflowing(generator, feeds(1)[0]) == frozenset()
    assert all(row.psnr > 55 for row in half_fidelity(generator, half, feeds(2)))
    assert built_size(half) > 0


def test_bfloat16(generator: bytes) -> None:
    low = to_half(generator, half=BFLOAT16)
    assert all(row.psnr > 40 for row in half_fidelity(generator, low, feeds(2)))
    assert built_size(low) > 0


def test_half_computes_every_demodulation_in_float32(generator: bytes) -> None:
    graph = onnx.load_from_string(to_half(generator)).graph
    made = {name: node for node in graph.node for name in node.output}
    roots = [node for node in graph.node if node.op_type == "Sqrt"]
    assert len(roots) == 7
    for root in roots:
        energy = made[root.input[0]]
        if energy.op_type == "Add":  # of epsilon, which the exporter may take for zero
            energy = made[energy.input[0]]
        square = made[energy.input[0]]
        assert (energy.op_type, square.op_type) == ("MatMul", "Pow")
        assert made[square.input[0]].op_type == "Cast"  # the style itself is float16


def test_int8(generator: bytes) -> None:
    quantised = to_int8(generator, feeds(6))
    assert all(row.psnr > 20 for row in fidelity(generator, quantised, feeds(2)))
    graph = onnx.load_from_string(quantised).graph
    made = {name: node.op_type for node in graph.node for name in node.output}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    assert products and all(made.get(node.input[1]) != "DequantizeLinear" for node in products)
    assert sum(made.get(node.input[1]) == "DequantizeLinear" for node in graph.node if "Conv" in node.op_type) >= 5
    assert built_size(quantised) > 0
