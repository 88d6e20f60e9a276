"""`mien info --nodes`: every node of every network, as a table and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.bundle import write_bundle
from mien.errors import DeviceError
from tests.commands.program import Program
from tests.tiny import conv_model, scale_model, spec_of, tiny_manifest


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    networks = {"first": conv_model(), "second": scale_model()}
    specs = [spec_of(model, role) for role, model in networks.items()]
    write_bundle(tmp_path / "faces", tiny_manifest(*specs), networks)
    return tmp_path / "faces"


def test_every_node_is_told_with_where_it_runs(mien: Program, faces: Path) -> None:
    shown = mien("info", faces, "--nodes")
    assert shown.code == 0
    assert "first: 2 of 2 nodes on CPUExecutionProvider\n" in shown.out
    assert "second: 1 of 1 nodes on CPUExecutionProvider\n" in shown.out
    assert "Conv" in shown.out and "Mul" in shown.out
    told = mien("info", faces, "--nodes", "--json").report
    assert {role: [node["operator"] for node in nodes] for role, nodes in told.items()} == {
        "first": ["Conv", "Relu"],
        "second": ["Mul"],
    }
    assert told["second"][0]["provider"] == "CPUExecutionProvider"


def test_without_cuda_no_table_of_the_cpu_is_shown(mien: Program, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.sessions.ort.ort.get_available_providers", lambda: ["CPUExecutionProvider"])
    shown = mien("info", faces, "--nodes", "--device", "cuda")
    assert (shown.code, shown.out) == (DeviceError.exit_code, "")
    assert "onnxruntime-gpu" in shown.err
