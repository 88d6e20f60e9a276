"""Weights and inputs drawn from a case's json, and what a failed comparison says."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.export import filling
from tests.export.comparing import compared, complaint
from tests.export.parity_cases import CASES
from tests.export.parity_cases.protocol import ParityCase
from tests.export.test_parity import rows_of

TENSORS: dict[str, dict[str, Any]] = {
    "weight": {"shape": [2, 3], "kind": "normal", "mean": 1.0, "std": 0.5},
    "bias": {"shape": [2], "kind": "uniform", "low": -0.25, "high": 0.75},
    "count": {"shape": [], "kind": "constant", "value": 7, "dtype": "int64"},
    "kernel": {"shape": [2, 2], "kind": "fixed", "values": [1, 2, 3, 4]},
    "same": {"shape": [2, 3], "kind": "alias", "of": "weight"},
}


def test_the_streams_are_numpys_by_seed_and_name() -> None:
    found = filling.weights({"seed": 3, "tensors": TENSORS})
    normal = np.random.default_rng([3, zlib.crc32(b"weight")]).standard_normal((2, 3))
    uniform = np.random.default_rng([3, zlib.crc32(b"bias")]).uniform(-0.25, 0.75, 2)
    np.testing.assert_array_equal(found["weight"].numpy(), (1.0 + 0.5 * normal).astype(np.float32))
    np.testing.assert_array_equal(found["bias"].numpy(), uniform.astype(np.float32))


def test_order_and_neighbours_do_not_matter() -> None:
    found = filling.weights({"seed": 3, "tensors": TENSORS})
    turned = filling.weights({"seed": 3, "tensors": dict(reversed(TENSORS.items()))})
    alone = filling.weights({"seed": 3, "tensors": {"bias": TENSORS["bias"]}})
    assert list(turned) == list(reversed(found))
    assert all(torch.equal(found[key], turned[key]) for key in found)
    assert torch.equal(found["bias"], alone["bias"])
    assert not torch.equal(found["bias"], filling.weights({"seed": 4, "tensors": TENSORS})["bias"])


def test_constants_fixed_values_and_aliases() -> None:
    found = filling.weights({"seed": 0, "tensors": TENSORS})
    assert found["count"].dtype == torch.int64 and found["count"].shape == () and found["count"] == 7
    assert found["kernel"].tolist() == [[1, 2], [3, 4]] and found["kernel"].dtype == torch.float32
    assert found["same"] is found["weight"]


def test_inputs_with_a_seed_a_clip_and_a_lattice_of_their_own() -> None:
    entries: dict[str, Any] = {
        "plain": {"shape": [64]},
        "seeded": {"shape": [64], "seed": 9, "clip": [-0.5, 0.5], "note": "not read"},
        "smooth": {"shape": [1, 2, 5, 9], "kind": "smooth", "low": 2.0, "high": 3.0, "grid": 3},
    }
    found = filling.inputs({"seed": 1, "inputs": entries})
    stream = np.random.default_rng([9, zlib.crc32(b"seeded")])
    np.testing.assert_array_equal(found["seeded"], stream.standard_normal(64).clip(-0.5, 0.5).astype(np.float32))
    assert found["plain"].abs().max() > 1
    coarse = np.random.default_rng([1, zlib.crc32(b"smooth")]).uniform(2.0, 3.0, (1, 2, 3, 3))
    np.testing.assert_allclose(found["smooth"][..., ::2, ::4], coarse, rtol=1e-6)
    np.testing.assert_allclose(found["smooth"][..., 1, 0], coarse[..., :2, 0].mean(-1), rtol=1e-6)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="odd.*known are normal"):
        filling.weights({"seed": 0, "tensors": {"w": {"shape": [1], "kind": "odd"}}})


class Two(nn.Module):
    """A layer and one after it, so that the second can be off alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2)


def run(module: nn.Module | None, case: Mapping[str, Any], inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    assert isinstance(module, Two) and not module.training and case["network"] == "two"
    inner = module.first(inputs["x"])
    return {"y": module.second(inner), "inner": inner, "not in the case": inner}


def tiny(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any]]:
    """A case and its golden, which the network above meets exactly."""
    monkeypatch.setitem(CASES, "two", ParityCase(lambda constructor: Two(), run))
    case: dict[str, Any] = {"network": "two", "constructor": None, "seed": 5, "outputs": {}}
    case["tensors"] = {k: {"shape": list(t.shape), "kind": "normal"} for k, t in Two().state_dict().items()}
    case["inputs"] = {"x": {"shape": [6, 3], "kind": "normal"}}
    module = Two().eval()
    module.load_state_dict(filling.weights(case))
    golden = {}
    with torch.inference_mode():
        outputs = run(module, case, filling.inputs(case))
    for name, inner in (("y", False), ("inner", True)):
        values = outputs[name].numpy()
        golden[name] = values[1::2]
        mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        info = {"shape": list(values.shape), "slice": [[1, None, 2]], "mean": mean, "std": std, "intermediate": inner}
        case["outputs"][name] = info
    return case, golden


def test_a_network_that_agrees_has_nothing_to_complain_of(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(*tiny(monkeypatch))
    assert [row.name for row in rows] == ["y", "inner"] and max(row.error for row in rows) < 1e-6
    assert complaint(rows, 1e-4) == ""


def test_a_failed_parity_shows_values_and_where_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    case, golden = tiny(monkeypatch)
    golden["y"] = golden["y"] + np.float32([[0, 0], [0.25, 0], [0, 0]])
    told = complaint(rows_of(case, golden), 1e-4)
    assert "largest difference 2.500e-01 at [1, 0]" in told and "ours " in told and "golden " in told
    assert "first inner output that is off: none; in agreement: inner." in told
    golden["inner"] = golden["inner"] * 2
    assert "first inner output that is off: inner; in agreement: none." in complaint(rows_of(case, golden), 1e-4)


def test_samples_alone_do_not_make_parity(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value between the stored samples shows in the mean and the deviation."""
    case, golden = tiny(monkeypatch)
    case["outputs"]["y"]["std"] += 0.5
    assert rows_of(case, golden)[0].error > 1e-2


@pytest.mark.parametrize(
    ("output", "story"),
    [
        (None, "not among the outputs"),
        (torch.zeros(6, 3), r"shape \[6, 3\], golden \[6, 2\]"),
        (torch.full((6, 2), torch.nan), "largest difference nan"),
    ],
)
def test_missing_misshapen_and_undefined_outputs_fail(
    output: Tensor | None, story: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, golden = tiny(monkeypatch)
    rows = compared(case, golden, {} if output is None else {"y": output})
    assert rows[0].error == np.inf
    with pytest.raises(AssertionError, match=story):
        raise AssertionError(complaint(rows, 1e-4))


def test_loading_is_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    case, golden = tiny(monkeypatch)
    case["tensors"]["third.weight"] = {"shape": [1], "kind": "normal"}
    with pytest.raises(RuntimeError, match="third.weight"):
        rows_of(case, golden)


def test_a_network_that_nobody_wrote_fails_and_lists_the_known(monkeypatch: pytest.MonkeyPatch) -> None:
    case, golden = tiny(monkeypatch)
    with pytest.raises(pytest.fail.Exception, match=r"'three'\. Known are: .*two"):
        rows_of(case | {"network": "three"}, golden)
