"""`mien build`: plans and what plans.json says about them, written by the real builder of TensorRT-RTX."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mien.bundle import Bundle, write_bundle
from mien.commands import engines, plans
from mien.commands.build import OPENED_FOR, build
from mien.commands.engines import EnginesJob, fill_cache, gpu_to_build_for
from mien.commands.plans import PlansJob, build_plans
from mien.errors import DeviceError, MienError, MissingDependency, OutputError, SessionError
from mien.sessions import open_session, trt_open
from mien.sessions.cuda import Cuda
from mien.sessions.nvidia import Driver, Gpu
from mien.sessions.trt_build import EngineBuildError, Target
from mien.sessions.trt_flavour import load_flavour
from mien.sessions.trt_open import MOST_BATCH
from tests.sessions.gpu_stand_in import Gpu as StandInGpu
from tests.sessions.gpu_stand_in import put_gpu
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
    assert shapes == {"input": "image", "least": [1, 3, 192, 192], "best": [1, 3, 192, 192], "most": [3, 3, 192, 192]}
    assert said["networks"]["detector"]["shapes"] == []
    assert {path.suffix for path in (tmp_path / "plans").iterdir()} == {".plan", ".json"}


def test_without_names_it_goes_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_bundle(tmp_path / "faces")
    monkeypatch.chdir(tmp_path)
    without_gpu(monkeypatch, OLD, NO_DRIVER)
    done = run("faces")
    assert done.exit_code == 0 and "\ntiny-rtx: motion " in done.stdout
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


# Where there is a GPU: the engine cache


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandInGpu:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    tiny_bundle(tmp_path / "faces")
    return put_gpu(monkeypatch)


def test_the_first_run_finds_its_engine_in_the_cache(gpu: StandInGpu, tmp_path: Path) -> None:
    done = run("faces", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["gpu"], said["compute_capability"], said["flavour"]) == ("Stand-in 0", 89, "rtx")
    assert said["folder"] == str(tmp_path / "cache" / "engines")
    motion = said["networks"]["motion"]
    assert motion["built"] and motion["layers"] == 2
    assert (tmp_path / "cache" / "engines" / motion["file"]).is_file()
    assert sorted(os.listdir(tmp_path)) == ["cache", "faces"], "plans were written as well"
    session = open_session(Bundle.open(tmp_path / "faces").model("motion"), "rtx", "cuda")
    assert session.run({"x": np.ones((1, 3), np.float32)})["y"].tolist() == [[2.0] * 3]
    assert len(gpu.built) == 1, "it was built again"


def test_a_second_build_finds_everything_there(gpu: StandInGpu) -> None:
    run("faces")
    done = run("faces")
    assert "motion: 0.0 MB, there already" in done.stdout and "ready for Stand-in 0, driver " in done.stdout
    assert len(gpu.built) == 1


def test_the_batch_that_commands_open_is_the_default(gpu: StandInGpu) -> None:
    assert OPENED_FOR == MOST_BATCH
    done = run("faces", "--max-batch", 2)
    assert "batches of up to 2; mien's commands open engines for 8" in done.stdout
    run("faces")
    assert len(gpu.built) == 2


def test_progress_goes_up_over_all_networks_of_the_cache(gpu: StandInGpu, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first, second = spec_of(scale_model(), "first"), spec_of(scale_model(3.0), "second")
    write_bundle(tmp_path / "two", tiny_manifest(first, second), {"first": scale_model(), "second": scale_model(3.0)})
    cuda = Cuda.open()
    report = fill_cache(EnginesJob("two", "rtx", cuda), lambda done, whole: told.append((done, whole)))
    assert told == [(250, 1000), (500, 1000), (750, 1000), (1000, 1000)]
    assert report.bundle == "tiny" and set(report.networks) == {"first", "second"}
    assert len({engine.file for engine in report.networks.values()}) == len(gpu.built) == 2


def test_plans_for_another_gpu_leave_the_cache_alone(gpu: StandInGpu) -> None:
    same = run("faces", "--compute-capability", 89)
    assert same.exit_code == 0 and "ready for" in same.stdout
    reason = gpu_to_build_for(None, 86)
    assert reason == "Stand-in 0 has compute capability 89, and plans for 86 were asked for."
    with pytest.raises(DeviceError, match=r"86 were asked for, but cuda:0 \(Stand-in 0\) has 89"):
        gpu_to_build_for("cuda:0", 86)


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_is_asked_for_and_absent_is_an_error_and_no_plans(tmp_path: Path) -> None:
    done = run("faces", "--device", "cuda:1")
    assert isinstance(done.exception, DeviceError) and "of GPUs there are 1" in str(done.exception)
    assert isinstance(run("faces", "--device", "cpu").exception, DeviceError)
    assert run("faces", "--device", "cuda", "-o", tmp_path / "plans").exit_code == 2
    assert sorted(os.listdir(tmp_path)) == ["faces"]


def test_an_engine_that_the_gpu_refuses_is_told_and_not_called_ready(gpu: StandInGpu) -> None:
    gpu.machine.refuses.add("deserialize")
    done = run("faces")
    assert isinstance(done.exception, SessionError) and "cannot load the engine on Stand-in 0" in str(done.exception)
    assert "ready" not in done.stdout


def test_a_network_that_does_not_build_for_the_gpu_is_named(gpu: StandInGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> bytes:
        raise EngineBuildError("No.")

    monkeypatch.setattr(trt_open, "build_plan", refuse)
    done = run("faces")
    assert isinstance(done.exception, EngineBuildError) and "'motion' of the bundle 'faces'" in str(done.exception)


def without_gpu(monkeypatch: pytest.MonkeyPatch, told: MienError, driver: Driver | DeviceError) -> None:
    """Opening a GPU fails, and so the driver is asked."""

    def opened(ordinal: int = 0) -> Cuda:
        raise told

    def asked() -> Driver:
        if isinstance(driver, DeviceError):
            raise driver
        return driver

    monkeypatch.setattr(Cuda, "open", opened)
    monkeypatch.setattr(engines, "find_driver", asked)


NO_DRIVER = DeviceError("There is no NVIDIA driver: libcuda.so.1.")
NO_PYCUDA = MissingDependency("pycuda", "cuda")
OLD = DeviceError("The NVIDIA driver knows CUDA 12.4; mien needs 13.0 or newer.")


@pytest.mark.parametrize(
    ("told", "driver", "reason"),
    [
        (OLD, NO_DRIVER, "CUDA 12.4"),
        (NO_PYCUDA, NO_DRIVER, "no NVIDIA driver"),
        (NO_PYCUDA, Driver("580.65.06", 13000, ()), "finds no GPU"),
    ],
)
def test_without_a_gpu_plans_are_written_and_it_is_said_why(
    told: MienError, driver: Driver | DeviceError, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_bundle(tmp_path / "faces")
    without_gpu(monkeypatch, told, driver)
    done = run("faces")
    assert done.exit_code == 0, done.output
    assert re.search(f"no engines into the cache of this machine: .*{reason}", done.stdout)
    assert (tmp_path / "tiny-rtx" / "motion.plan").is_file()
    assert reason in json.loads(run("faces", "--json").stdout)["reason"]
    assert isinstance(run("faces", "--device", "cuda").exception, type(told))


def test_a_gpu_that_only_lacks_pycuda_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_bundle(tmp_path / "faces")
    without_gpu(monkeypatch, NO_PYCUDA, Driver("580.65.06", 13000, (Gpu("NVIDIA L4", 89, 24 << 30),)))
    assert isinstance(run("faces").exception, MissingDependency)
    assert run("faces", "-o", "plans").exit_code == 0, "plans need no GPU"
    assert json.loads(run("faces", "-o", "plans", "--json").stdout)["reason"] == ""
