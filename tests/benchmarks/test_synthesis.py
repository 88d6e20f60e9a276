"""The benchmark of the synthesis compares pictures that are the same, and counts every contender."""

import json

from benchmarks.networks import PEAK
from benchmarks.synthesis import KINDS, measure, report


def test_a_small_generator_is_measured_and_equal() -> None:
    measured = measure(16, rounds=1, backends=("ort", "torch"), threads=1, widest=16)
    assert set(measured.timings) == {PEAK} | {f"{kind}, {backend}" for kind in KINDS for backend in ("ort", "torch")}
    assert 0 <= measured.apart < 1e-5
    assert 0 < measured.gflop["late"] < measured.gflop["whole"] == measured.gflop["naive"]
    assert len(measured.rows(("ort", "torch"))) == 6
    stored = json.loads(json.dumps(report(measured, ("ort", "torch"))))
    ratio = measured.timings["naive, ort"].median_ms / measured.timings["whole, ort"].median_ms
    assert stored["whole_against_naive"]["ort"] == ratio
    assert stored["split"] == measured.split
