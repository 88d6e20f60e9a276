"""An int8 network that is too far from float32: what hurts goes back, nothing else, and no more than half."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from mien_export.fidelity import Fidelity, PrecisionError, fidelity
from mien_export.mixed import mixed
from mien_export.quantise import to_int8
from tests.export.rtx_build import built_size
from tests.export.small_networks import graph, node

LOUD = 3000.0
"""One channel of the second convolution's input is so much louder than the others, and its weights so much smaller."""


def spoilt() -> bytes:
    """Three convolutions, ``x`` (1, 8, 16, 16) -> ``y``; int8 has no digits for what the second one reads."""
    rng = np.random.default_rng(5)
    first, second, third = (rng.normal(size=(8, 8, 3, 3)).astype(np.float32) / 8 for _ in range(3))
    scale = np.ones((1, 8, 1, 1), np.float32)
    scale[:, 3] = LOUD
    second[:, 3] /= LOUD
    around = {"pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", "x first", "a", **around),
        node("Mul", "a scale", "b"),
        node("Conv", "b second", "c", **around),
        node("Relu", "c", "d"),
        node("Conv", "d third", "y", **around),
    ]
    return graph(nodes, {"x": [1, 8, 16, 16]}, ["y"], first=first, second=second, third=third, scale=scale)


def feeds(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(6)
    return [{"x": rng.standard_normal((1, 8, 16, 16), np.float32)} for _ in range(count)]


def short_of(least: float) -> Callable[[tuple[Fidelity, ...]], float]:
    return lambda found: max(least - output.psnr for output in found)


@pytest.fixture(scope="module")
def networks() -> tuple[bytes, bytes]:
    model = spoilt()
    return model, to_int8(model, feeds(4))


def test_only_what_hurts_goes_back(networks: tuple[bytes, bytes]) -> None:
    model, quantised = networks
    seen = feeds(3)
    (before,) = fidelity(model, quantised, seen)
    made, share = mixed(model, quantised, seen, short_of(30))
    (after,) = fidelity(model, made, seen)
    assert before.psnr < 20 < 30 <= after.psnr and share == pytest.approx(1 / 3)
    proto = onnx.load_from_string(made).graph
    makers = {output: n for n in proto.node for output in n.output}
    back = [n.input[1] for n in proto.node if n.op_type == "Conv" and n.input[1] not in makers]
    assert back == ["second"]
    assert not {w.name for w in proto.initializer} & {"first", "third"}  # they are there as int8 alone
    onnx.checker.check_model(onnx.load_from_string(made), full_check=True)
    assert built_size(made) > 0
    assert mixed(model, quantised, seen, short_of(30))[0] == made


def test_more_than_half_is_refused(networks: tuple[bytes, bytes]) -> None:
    model, quantised = networks
    with pytest.raises(PrecisionError, match=r"50% of its work back in float32 it still lacks \d+\.\d dB"):
        mixed(model, quantised, feeds(2), short_of(90))
