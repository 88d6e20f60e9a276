"""The table of what was asked and what was reached: which values count, and when a row is met."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import goals
from benchmarks.reenact_quality import app


def agreement(correlation: float, gain: float, counted: bool = True) -> dict[str, Any]:
    return {"correlation": correlation, "gain": gain, "counted": counted}


def found(**clips: dict[str, Any]) -> dict[str, Any]:
    return {"agreement": clips}


def test_the_worst_counted_clip_decides() -> None:
    good = found(
        a={"yaw": agreement(0.95, 1.1), "roll": agreement(0.1, 5, counted=False)}, b={"yaw": agreement(0.93, 1)}
    )
    row = goals.follows("pose", good, goals.POSE, 0.92, (0.8, 1.2))
    assert (row.asked, row.met) == ("0.92 (gain 0.8 to 1.2)", True)
    assert row.reached == "0.93 to 0.95 (gain 1 to 1.1); least: yaw of b"
    assert not goals.follows("pose", good, goals.POSE, 0.94, (0.8, 1.2)).met
    assert not goals.follows("pose", good, goals.POSE, 0.92, (0.8, 1.05)).met
    assert goals.follows("pose", found(a={"yaw": agreement(0.1, 1, counted=False)}), goals.POSE, 0.9).met is None


@pytest.mark.parametrize(("limit", "met"), [(0.05, True), (0.04, True), (0.03, False)])
def test_limits_hold_for_every_clip(limit: float, met: bool) -> None:
    row = goals.most("error", {"a": 0.02, "b": 0.04, "c": float("nan")}, limit)
    assert (row.met, row.reached) == (met, "0.02 to 0.04; worst: b")
    assert goals.least("kept", {"a": -0.02, "b": -0.04}, -limit).met == met


def test_nothing_measured_is_no_row_that_fails() -> None:
    rows = goals.table({})
    assert all(row.met is None and row.reached == "–" for row in rows)
    assert "| – | – |" in goals.markdown(rows)


def test_frontal_and_turned_portraits_stand_apart() -> None:
    films = {
        "agreement": {
            "front-d1": {"yaw": agreement(0.95, 1), "mouth": agreement(0.95, 0.8)},
            "away-d1": {"yaw": agreement(0.6, 0.3), "mouth": agreement(0.2, 0.1)},
        },
        "figures": {
            "front-d1": {"frame 0 (dB)": 41, "torn, worst frame": 0.5, "folded, worst frame": 0},
            "away-d1": {"frame 0 (dB)": 37, "torn, worst frame": 0.001, "folded, worst frame": 0.0005},
        },
    }
    rows = {row.quantity: row for row in goals.table({"video": films}, ["away"])}
    assert rows["paintings, frontal: pose"].met and rows["paintings, frontal: mouth"].met
    assert rows["three-quarter: yaw"].met is False
    assert rows["three-quarter: torn or folded share of the face"].met
    assert rows["frame 0 against the source (dB)"].reached == "37 to 41; worst: away-d1"


def test_every_part_has_its_rows() -> None:
    parts = {
        "gaze": {"figures": {"rendered": {"angle, median (degrees)": 4}, "d14": {"right side": 0.97}}},
        "synthetic": {"figures": {"mean": {"head, gained": 9, "features, gained": 7, "flow": 1}}},
        "steadiness": {"figures": {"d0": {"ours / theirs": 0.5}}},
        "identity": {"figures": {"pairs": {"output over true": 0.95}}},
        "precision": {
            "figures": {
                "fp32": {"median ms": 20},
                "lower": {"median ms": 20, "head, lost (dB)": 0.2, "features, lost (dB)": 0.6},
            }
        },
    }
    met = {row.quantity: row.met for row in goals.table(parts) if row.met is not None}
    assert [name for name, enough in met.items() if not enough] == [
        "synthetic pairs over copying: eyes and mouth (dB)",
        "int8 worse than fp32 by (dB)",
        "whole step, int8 (ms)",
    ]
    assert len(met) == 10


def test_the_command_reads_what_the_others_wrote(tmp_path: Path) -> None:
    (tmp_path / "reenact_steadiness.json").write_text(json.dumps({"figures": {"d0": {"ours / theirs": 2.0}}}))
    assert CliRunner().invoke(app, ["table", "--results", str(tmp_path)]).exit_code == 0
    written = json.loads((tmp_path / "reenact_table.json").read_text())["rows"]
    assert {
        "quantity": "jitter on a still driver, ours / Face Mesh's",
        "asked": "≤ 1",
        "reached": "2",
        "met": False,
    } in written
    assert "| ≤ 1 | 2 | **no** |" in (tmp_path / "reenact_table.md").read_text()
