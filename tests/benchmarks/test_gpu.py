"""The GPU benchmark where there is no GPU: what it cannot measure is told with its reason, and costs nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu
from mien.bundle import Bundle
from mien.errors import DeviceError, SessionError
from mien.sessions.cuda import Cuda
from mien.sessions.nvidia import find_driver
from tests.sessions.driver import StandIn

REPOSITORY = Path(__file__).parents[2]


def gpu_is_here() -> bool:
    try:
        return bool(find_driver().gpus)
    except DeviceError:
        return False


def bench(memory: int = 1 << 30) -> gpu.Bench:
    cuda = Cuda.open(0, StandIn(memory=memory))
    return gpu.Bench(cuda, cuda.stream(), 5)


def test_runs_are_timed_between_events_of_their_own() -> None:
    latency = bench().timed("it", lambda: None, images=4)
    assert (latency.p50_ms, latency.p99_ms) == (1.5, 1.5)  # what the stand-in's events say
    assert latency.images_a_second == pytest.approx(4000 / 1.5)


def test_the_copy_counts_what_is_read_and_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "COPIED", 1 << 20)
    assert gpu.copy_bandwidth(bench()) == pytest.approx(2 * gpu.COPIED / 1.5e-3)


def test_a_contender_that_fails_is_told_and_the_others_go_on() -> None:
    report = gpu.Report()

    def fails() -> gpu.Latency:
        raise SessionError("no.\nMore of it.")

    report.attempt("one", fails)
    report.attempt("two", lambda: gpu.Latency("two", 1.0, 2.0, 3.0))
    assert report.missed == {"one": "SessionError: no."}
    assert [row[0] for row in gpu.rows(report)] == ["two", "one"]
    assert list(gpu.rows(report))[1][-1] == "not executed: SessionError: no."


def test_without_a_gpu_every_contender_says_why_it_did_not_run() -> None:
    if gpu_is_here():
        pytest.skip("there is a GPU")
    report, bundle = gpu.Report(), Bundle.open("studio")
    gpu.networks(bench(), bundle, report)
    gpu.frames(bench(), bundle, report)
    gpu.kernels(bench(memory=100), report)
    assert not report.latencies and all(report.missed.values())
    for role in bundle.manifest.networks:
        assert {name.split(", ")[1] for name in report.missed if name.startswith(f"{role}, ")} >= {
            "ORT CUDA",
            "tensorrt",
            "rtx",
            "torch eager fp16",
        }
    assert "out of memory" in report.missed["kernels"]


def test_the_script_for_a_machine_with_a_gpu_says_where_there_is_none() -> None:
    if gpu_is_here():
        pytest.skip("there is a GPU")
    run = subprocess.run(["bash", "scripts/gpu"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 9
    assert "there is no NVIDIA GPU" in run.stderr
    command = [sys.executable, "-m", "benchmarks.gpu"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 9
    assert "nothing was executed" in run.stderr
