"""`mien build`: plans and what plans.json says about them, written by the real builder of TensorRT-RTX."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mien.bundle import Bundle, write_bundle
from mien.commands import plans
from mien.commands.build import build
from mien.commands.plans import PlansJob, build_plans
from mien.errors import DeviceError, MissingDependency, OutputError
from mien.sessions.trt_build import EngineBuildError, Target
from mien.sessions.trt_flavour import load_flavour
from tests.tiny import conv_model, scale_model, spec_of, tiny_bundle, tiny_manifest

pytest.importorskip("tensorrt_rtx", reason="mien[rtx] is not installed")


def run(*words: object) -> Any:
    app = typer.Typer()
    app.command()(build)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_plan_for_each_network_and_a_manifest(tmp_path: Path) -> None:
    done = run("studio", "--compute-capability", 86, "--max-batch", 3, "-o", tmp_path / "plans", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads((tmp_path / "plans" / "plans.json").read_text())
    assert said == {"schema_version": 1, **json.loads(done.stdout)["plans"]}
    assert (said["bundle"], said["flavour"], said["compute_capability"]) == ("studio", "rtx", 86)
    assert said["version"] == load_flavour("rtx").version
    manifest = Bundle.open("studio").manifest
    assert set(said["networks"]) == set(manifest.networks)
    for role, network in said["networks"].items():
        plan = (tmp_path / "plans" / network["file"]).read_bytes()
        assert (network["bytes"], network["sha256"]) == (len(plan), hashlib.sha256(plan).hexdigest())
        assert (network["model"], network["precision"]) == (manifest.networks[role].sha256, "fp32")
    (shapes,) = said["networks"]["motion"]["shapes"]
    assert shapes == {"input": "image", "least": [1, 3, 144, 144], "best": [1, 3, 144, 144], "most": [3, 3, 144, 144]}
    assert said["networks"]["detector"]["shapes"] == []
    assert {path.suffix for path in (tmp_path / "plans").iterdir()} == {".plan", ".json"}


def test_without_names_it_goes_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_bundle(tmp_path / "faces")
    monkeypatch.chdir(tmp_path)
    done = run("faces")
    assert done.exit_code == 0 and done.stdout.startswith("tiny-rtx: motion ")
    assert (tmp_path / "tiny-rtx" / "motion.plan").is_file()
    assert json.loads((tmp_path / "tiny-rtx" / "plans.json").read_text())["compute_capability"] is None


def test_roles_and_names_that_are_paths_stay_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(spec_of(conv_model(), "../../outside"), file="inside.onnx")
    write_bundle(tmp_path / "faces", tiny_manifest(spec), {spec.role: conv_model()})
    monkeypatch.chdir(tmp_path / "faces")
    report = build_plans(PlansJob(".", Target("rtx"), 1, tmp_path / "plans"))
    (plan,) = (path for path in (tmp_path / "plans").iterdir() if path.suffix == ".plan")
    assert plan.name == report.plans.networks[spec.role].file
    assert not list(tmp_path.rglob("outside*.plan"))


def test_progress_goes_up_over_all_networks(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first, second = spec_of(conv_model(), "first"), spec_of(scale_model(), "second")
    networks = {"first": conv_model(), "second": scale_model()}
    write_bundle(tmp_path / "faces", tiny_manifest(first, second), networks)
    job = PlansJob(str(tmp_path / "faces"), Target("rtx", 89), 2, tmp_path / "plans")
    build_plans(job, lambda done, whole: told.append((done, whole)))
    assert told == sorted(told) and told[-1] == (1000, 1000)
    assert len({done for done, _ in told}) > 10


def test_a_network_that_does_not_build_is_named_and_leaves_no_manifest(tmp_path: Path) -> None:
    spec = spec_of(conv_model(), "motion")
    other = spec_of(conv_model(channels=5), "motion")
    write_bundle(tmp_path / "good", tiny_manifest(spec), {"motion": conv_model()})
    write_bundle(tmp_path / "bad", tiny_manifest(other), {"motion": conv_model()})
    build_plans(PlansJob(str(tmp_path / "good"), Target("rtx", 89), 1, tmp_path / "plans"))
    with pytest.raises(EngineBuildError, match=r"'motion' of the bundle .*\(1, 4, 16, 16\).*\(1, 5, 16, 16\)"):
        build_plans(PlansJob(str(tmp_path / "bad"), Target("rtx", 89), 1, tmp_path / "plans"))
    assert not (tmp_path / "plans" / "plans.json").exists()


def test_what_cannot_be_done_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert isinstance(run("studio", "-o", tmp_path / "file").exception, OutputError)
    assert isinstance(run("studio", "-o", tmp_path / "new", "--compute-capability", 90).exception, DeviceError)
    assert run("studio", "--target", "onnx").exit_code == 2
    assert run("studio", "--max-batch", 0).exit_code == 2
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(plans, "load_flavour", load_flavour.__wrapped__)
    with pytest.raises(MissingDependency, match=r"mien\[tensorrt\]"):
        build_plans(PlansJob("studio", Target("tensorrt"), 1, tmp_path / "new"))
