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


def spoilt(branches: int = 1, plain: int = 1) -> bytes:
    """Convolutions, ``x`` (1, 8, 16, 16) -> ``y``: the sum of branches of two each, of which int8 has no digits for
    what the second reads, then ``plain`` more."""
    rng = np.random.default_rng(5)
    first, second, third = (rng.normal(size=(8, 8, 3, 3)).astype(np.float32) / 8 for _ in range(3))
    scale = np.ones((1, 8, 1, 1), np.float32)
    scale[:, 3] = LOUD
    second[:, 3] /= LOUD
    around = {"pads": [1, 1, 1, 1]}
    nodes = []
    for turn in range(branches):
        nodes += [
            node("Conv", "x first", f"a{turn}", **around),
            node("Mul", f"a{turn} scale", f"b{turn}"),
            node("Conv", f"b{turn} second", f"c{turn}", **around),
            node("Relu", f"c{turn}", f"d{turn}"),
        ]
    nodes.append(node("Sum", " ".join(f"d{turn}" for turn in range(branches)), "e0"))
    ends = [f"e{turn}" for turn in range(plain)] + ["y"]
    nodes += [node("Conv", f"{start} third", end, **around) for start, end in zip(ends, ends[1:], strict=False)]
    return graph(nodes, {"x": [1, 8, 16, 16]}, ["y"], first=first, second=second, third=third, scale=scale)


def feeds(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(6)
    return [{"x": rng.standard_normal((1, 8, 16, 16), np.float32)} for _ in range(count)]


def test_what_went_back_and_is_not_needed_stays_int8() -> None:
    """Three convolutions hurt; one, two and four go back."""
    model, seen = spoilt(branches=3, plain=2), feeds(3)
    quantised = to_int8(model, feeds(4))
    made, share = mixed(model, quantised, seen, short_of(30))
    assert share == pytest.approx(3 / 8) and fidelity(model, made, seen)[0].psnr >= 30


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
