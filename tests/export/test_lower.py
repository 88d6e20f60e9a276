"""A bundle in another precision: what is fed is recorded, what is converted is compared, what is too far is refused."""

from pathlib import Path

import numpy as np
import pytest

from mien import Bundle
from mien.bundle import NetworkSpec, write_bundle
from mien.errors import OutputError
from mien_export import lower as lowering
from mien_export.fidelity import PrecisionError
from mien_export.lower import Recording, lower
from tests import tiny


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """``features``: a convolution; ``idle``: one that nobody runs."""
    model = tiny.conv_model(16)
    specs: list[NetworkSpec] = [tiny.spec_of(model, role) for role in ("features", "idle")]
    return write_bundle(tmp_path / "full", tiny.tiny_manifest(*specs), {"features": model, "idle": model})


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, 16, 16), np.float32)


def use(bundle: Bundle) -> None:
    session = bundle.session("features")
    for seed in range(3):
        session.run({"image": picture(seed)})


def test_feeds_are_recorded_and_results_are_the_session_s(bundle: Bundle) -> None:
    recording = Recording(bundle)
    said = recording.session("features").run({"image": picture(0)})["features"]
    assert np.array_equal(said, bundle.session("features").run({"image": picture(0)})["features"])
    assert [np.array_equal(feed["image"], picture(0)) for feed in recording.feeds["features"]] == [True]


@pytest.mark.parametrize(("precision", "near"), [("fp16", 1e-3), ("bf16", 8e-3), ("int8", 0.03)])
def test_what_is_used_is_converted_and_the_rest_said_to_stay(
    bundle: Bundle, tmp_path: Path, precision: lowering.Precision, near: float
) -> None:
    made, rows = lower(bundle, tmp_path / "low", precision, use)
    assert made.network("features").precision == precision and made.network("idle").precision == "fp32"
    assert made.network("features").bytes < bundle.network("features").bytes or precision == "int8"
    assert 0 < made.network("features").parity.max_abs_error <= made.network("features").parity.tolerance
    assert [row.why != "" for row in rows] == [False, True]
    if precision == "bf16":
        pytest.importorskip("openvino")  # ONNX Runtime does not run it on a CPU
    backend = "openvino" if precision == "bf16" else "ort"
    truth, found = (
        b.session("features", backend=backend).run({"image": picture(9)})["features"] for b in (bundle, made)
    )
    assert 0 < np.abs(truth - found).max() <= near * np.abs(truth).max()


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_too_far_from_float32_stays_float32_and_says_how_far(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: lowering.Precision
) -> None:
    def use_both(bundle: Bundle) -> None:
        use(bundle)
        bundle.session("idle").run({"image": np.zeros((1, 3, 16, 16), np.float32)})  # comes out exactly

    monkeypatch.setattr(lowering, "LEAST_PSNR", {precision: 200.0})
    made, (near, far) = lower(bundle, tmp_path / "low", precision, use_both)
    assert made.network("features").precision == "fp32" and made.model("features") == bundle.model("features")
    assert made.network("idle").precision == precision and far.outputs
    assert not near.outputs and "'features'" in near.why and "200 are needed" in near.why
    assert ("back in float32" in near.why) == (precision == "int8")


def test_a_bundle_without_one_lowered_network_is_refused(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lowering, "LEAST_PSNR", {"int8": 200.0})
    with pytest.raises(PrecisionError, match="features: its 'features' would be .*idle: it was never run"):
        lower(bundle, tmp_path / "low", "int8", use)
    assert not (tmp_path / "low").exists()


def test_nothing_is_replaced_unasked(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    with pytest.raises(OutputError):
        lower(bundle, tmp_path / "low", "fp16", use)
