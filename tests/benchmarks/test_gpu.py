"""The GPU benchmark where there is no GPU: its arithmetic, its goals, and every contender's refusal with its reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu, gpu_timing, kernels_gpu
from benchmarks.full_size import write_half
from benchmarks.gpu_goals import COMPILED, EAGER, Verdict, goals
from benchmarks.gpu_timing import Bench, Measured, Mismatch, Report, summed
from benchmarks.gpu_torch import module_of
from benchmarks.networks import feeds_for
from mien.bundle import Bundle
from mien.errors import DeviceError, InputError, SessionError
from mien.sessions.cuda import Cuda
from mien.sessions.nvidia import find_driver
from mien_export.precision import to_half
from tests.runners.gpu import install
from tests.sessions.driver import StandIn

REPOSITORY = Path(__file__).parents[2]
LIVEPORTRAIT, RESIDENT, EDIT = (
    "networks of a frame, liveportrait",
    "whole frame on the GPU, liveportrait",
    "networks of an edit, 1024",
)


def gpu_is_here() -> bool:
    try:
        return bool(find_driver().gpus)
    except DeviceError:
        return False


needs_none = pytest.mark.skipif(gpu_is_here(), reason="there is a GPU")


def bench(memory: int = 1 << 30, runs: int = 5) -> tuple[Bench, StandIn]:
    driver = StandIn(memory=memory)
    cuda = Cuda.open(0, driver)
    return Bench(cuda, cuda.stream(), runs), driver


def figures(task: str, contender: str, p50: float, p99: float | None = None) -> Measured:
    return Measured(task, contender, p50, p50 if p99 is None else p99, 1000 / p50)


def test_figures_are_of_the_runs_taken() -> None:
    taken = np.arange(1, 102, dtype=float)
    summary = summed("task", "by", taken, batch=4, streams=2)
    assert (summary.p50_ms, summary.p99_ms) == (51, 100)
    assert summary.a_second == pytest.approx(1000 * 4 * 2 / 51)


def test_runs_are_timed_between_events_of_their_own() -> None:
    timed, driver = bench()
    ran: list[int] = []
    latency = timed.latency("task", "by", lambda: ran.append(len(driver.calls)), batch=4)
    assert (latency.p50_ms, latency.p99_ms) == (1.5, 1.5)  # what the stand-in's events say
    assert latency.a_second == pytest.approx(4000 / 1.5)
    assert len(ran) == gpu_timing.WARMUP + 5 + 5  # the last are those whose memory is counted
    assert [call[0] for call in driver.calls].count("record") == 10
    assert float(timed.queued(lambda: None, 3)[0]) == 0.5


def test_what_runs_leave_allocated_is_counted() -> None:
    timed, _ = bench()
    kept = []
    assert timed.latency("task", "by", lambda: None).allocated == 0
    assert timed.allocated(lambda: kept.append(timed.cuda.allocate(1000))) == 5000


def test_several_streams_are_all_queued_before_any_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_timing, "WARMUP", 0)
    timed, driver = bench(runs=1)
    streams = [timed.cuda.stream() for _ in range(3)]
    lanes = [(lambda n=n: driver.calls.append(("run", n)), stream) for n, stream in enumerate(streams)]
    driver.calls.clear()
    found = timed.throughput("task", "by", lanes, batch=2)
    waits = [("synchronize", stream.handle) for stream in streams]
    assert driver.calls == [("run", 0), ("run", 1), ("run", 2), *waits]
    assert found.streams == 3 and found.a_second == pytest.approx(6000 / found.p50_ms)


def test_the_copy_counts_what_is_read_and_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_timing, "COPIED", 1 << 20)
    timed, driver = bench()
    assert timed.copy_bandwidth() == pytest.approx(2 * (1 << 20) / 1.5e-3)
    assert not driver.live


def test_arrays_go_up_and_come_down() -> None:
    timed, _ = bench()
    array = np.random.default_rng(0).random((3, 4), np.float32)
    assert np.array_equal(timed.down(timed.up(array)), array)


@pytest.mark.parametrize("error", [SessionError("no.\nMore of it."), Mismatch("no."), KeyError("no."), OSError("no.")])
def test_a_contender_that_fails_is_told_and_the_others_go_on(error: Exception) -> None:
    report = Report()

    def fails() -> Measured:
        raise error

    assert report.attempt("one", "by", fails) is None
    assert report.attempt("two", "by", lambda: figures("two", "by", 1.0)) is report.find("two", "by")
    (missed,) = report.missed
    assert missed.why.startswith(f"{type(error).__name__}: ") and "More" not in missed.why
    lines = list(gpu.rows(report))
    assert [line[0] for line in lines] == ["two", "one"] and all(len(line) == len(gpu.COLUMNS) for line in lines)
    assert str(lines[1][-1]).startswith("not executed: ")


def good() -> Report:
    """All goals just reached."""
    kernel = [replace(figures(name, "mien", 0.01), share=0.8) for name in ("blend_faces A", "blend_faces B", "crop A")]
    ours = [figures(LIVEPORTRAIT, "tensorrt", 5.0, 6.5), figures(LIVEPORTRAIT, "ort", 9.0), figures(EDIT, "rtx", 8.0)]
    whole = replace(figures(RESIDENT, "tensorrt", 8.0), allocated=0)
    theirs = [figures(LIVEPORTRAIT, EAGER, 10.0), figures(LIVEPORTRAIT, COMPILED, 6.5), figures("other", EAGER, 0.1)]
    return Report([*kernel, *ours, whole, *theirs])


def verdicts(report: Report) -> dict[str, Verdict]:
    return {goal.name: goal.verdict for goal in goals(report)}


def test_goals_that_are_just_reached() -> None:
    assert set(verdicts(good()).values()) == {"reached"}


@pytest.mark.parametrize(
    "index, change, missed",
    [
        (1, {"share": 0.79}, "kernel blend_faces"),
        (2, {"share": 0.79}, "kernel crop"),
        (3, {"p50_ms": 5.1, "p99_ms": 5.1}, "LivePortrait frame, networks only"),
        (5, {"p50_ms": 8.1, "p99_ms": 8.1}, "StyleGAN2-1024 edit, networks and blend"),
        (6, {"p50_ms": 8.1, "p99_ms": 8.1}, "frame that stays on the GPU"),
        (6, {"allocated": 1}, "memory per frame"),
        (4, {"p99_ms": 11.8}, "p99 over p50"),
        (7, {"p50_ms": 9.9}, f"against {EAGER}"),
        (8, {"p50_ms": 6.4}, f"against {COMPILED}"),
    ],
)
def test_one_goal_that_is_just_missed(index: int, change: dict[str, float], missed: str) -> None:
    report = good()
    report.measured[index] = replace(report.measured[index], **change)  # type: ignore[arg-type]
    found = verdicts(report)
    assert found[missed] == "missed"
    # Slower networks miss the factors over torch as well.
    assert {name for name, verdict in found.items() if verdict == "missed"} <= {missed, *list(found)[5:7]}


def test_goals_without_figures_were_not_executed() -> None:
    assert set(verdicts(Report()).values()) == {"not executed"}


def test_a_bundle_in_half_precision_has_the_same_borders(tmp_path: Path) -> None:
    whole = Bundle.open("studio")
    half = write_half(whole, tmp_path / "half")
    for role, spec in whole.manifest.networks.items():
        made = half.network(role)
        assert (made.precision, made.inputs, made.outputs) == ("fp16", spec.inputs, spec.outputs)
        assert half.model(role) == to_half(whole.model(role))
    assert sorted(half.arrays) == sorted(whole.arrays)


def test_batches_are_of_the_inputs_that_take_them() -> None:
    bundle = Bundle.open("studio")
    shapes = {name: array.shape for name, array in gpu.batched(bundle, gpu.Step("motion", 3)).items()}
    assert shapes["image"][0] == 3
    assert gpu.takes_batches(bundle, "motion") and not gpu.takes_batches(bundle, "detector")


def test_every_family_s_frame_is_of_networks_that_the_family_has() -> None:
    bundle = Bundle.open("studio")
    assert {step.role for step in gpu.FRAMES["studio"]} <= set(bundle.manifest.networks)


def test_torch_runs_the_module_that_was_exported() -> None:
    torch = pytest.importorskip("torch")
    bundle, role = Bundle.open("studio"), "detector"
    spec = bundle.network(role)
    tensors = {name: torch.from_numpy(array) for name, array in feeds_for(spec).items()}
    with torch.inference_mode():
        found = module_of(bundle, role)(**tensors)
    found = found if isinstance(found, tuple) else (found,)
    wanted = [tuple(1 if isinstance(n, str) else n for n in info.shape) for info in spec.outputs]
    assert [tuple(one.shape) for one in found] == wanted


def test_torch_runs_tpsmm_s_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    tpsmm, small = (pytest.importorskip(name) for name in ("mien_export.pack.tpsmm", "tests.export.small_tpsmm"))
    monkeypatch.setattr(tpsmm, "TpsmmNetworks", lambda: small.SMALL)
    bundle = Bundle.open("studio")
    bundle.manifest = replace(bundle.manifest, family="tpsmm")
    points = tpsmm.moving_points(small.POINTS, torch.Generator().manual_seed(0))
    found = {role: module_of(bundle, role) for role in ("keypoints", "appearance", "generator", "avd")}
    with torch.inference_mode():
        *maps, low = found["appearance"](torch.rand(1, 3, 256, 256))
        features = {f"features_{one.shape[-1]}": one for one in maps}
        assert found["generator"](**features, small=low, **points).shape == (1, 3, 256, 256)
        assert found["keypoints"](torch.rand(2, 3, 256, 256)).shape == (2, small.POINTS, 2)
        del points["splines"]
        assert found["avd"](**points).shape == (1, small.POINTS, 2)


def test_a_family_without_torch_modules_is_told() -> None:
    bundle = Bundle.open("studio")
    bundle.manifest = replace(bundle.manifest, family="newest")
    with pytest.raises(InputError, match="no torch module here for 'motion' of the family 'newest'"):
        module_of(bundle, "motion")


@needs_none
def test_without_a_gpu_every_contender_says_why_it_did_not_run() -> None:
    report, bundle = Report(), Bundle.open("studio")
    timed, _ = bench()
    gpu.networks(timed, bundle, report)
    gpu.frames(timed, bundle, report)
    assert not report.measured and all(missed.why for missed in report.missed)
    tasks = [f"studio {role}" for role in bundle.manifest.networks] + ["networks of a frame, studio"]
    for task in tasks:
        assert {missed.contender for missed in report.missed if missed.task == task} == set(gpu.CONTENDERS)
    for task in ("whole frame from the host, studio", "whole frame on the GPU, studio"):
        assert {missed.contender for missed in report.missed if missed.task == task} == set(gpu.BACKENDS)
    why = {missed.contender: missed.why for missed in report.missed if missed.task == tasks[0]}
    assert "without CUDA" in why[EAGER] and "DeviceError" in why["ort"]


@needs_none
def test_a_whole_benchmark_without_a_gpu_ends_with_all_goals_not_executed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "networks", lambda *arguments: None)
    monkeypatch.setattr(kernels_gpu, "measure", lambda *arguments: None)
    report = Report()
    assert gpu.measure(bench()[0], [Bundle.open("studio")], report) is None
    found = gpu.show_goals(report)
    assert len(found) == 9 and {goal["verdict"] for goal in found} == {"not executed"}
    assert capsys.readouterr().out.count("not executed") == 9


def test_a_chain_queues_its_steps_in_order_and_gives_back_what_it_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    def queue(
        timed: Bench, bundle: object, step: gpu.Step, contender: str, stream: object, kept: ExitStack
    ) -> Callable[[], object]:
        kept.callback(done.append, f"close {step.role}")
        return lambda: done.append((step.role, step.batch))

    monkeypatch.setattr(gpu, "queue", queue)
    monkeypatch.setattr(gpu_timing, "WARMUP", 0)
    timed, _ = bench(runs=1)
    gpu.in_turn(timed, Bundle.open("studio"), "task", gpu.EDIT, "rtx", last=lambda: done.append("blend"))
    once = [(step.role, step.batch) for step in gpu.EDIT] + ["blend"]
    assert done == [*once, *once, *(f"close {step.role}" for step in reversed(gpu.EDIT))]


@pytest.fixture
def stood_in(native: None, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A GPU whose memory is the host's, on which all runs."""
    install(monkeypatch)
    monkeypatch.setattr(gpu_timing, "WARMUP", 3)
    cuda = Cuda.open(1)
    return Bench(cuda, cuda.stream(), 2)


@pytest.mark.parametrize("there", [False, True])
def test_a_whole_frame_is_measured_and_allocates_nothing(stood_in: Bench, there: bool) -> None:
    found = gpu.whole_frame(stood_in, Bundle.open("studio"), "task", "ort", there)
    assert found.contender == "ort" and found.allocated == 0 and found.p50_ms > 0


def test_the_networks_of_a_frame_are_measured_on_one_stream(stood_in: Bench) -> None:
    found = gpu.in_turn(stood_in, Bundle.open("studio"), "task", gpu.FRAMES["studio"], "ort")
    assert (found.p50_ms, found.allocated) == (1.5, 0)  # what the stand-in's events say


@pytest.mark.parametrize("name", ["crop 512² to float32", "blend_faces 512² into 1080p RGB", "warp_blend 1080 x 1080"])
def test_mien_s_kernels_are_checked_and_measured(stood_in: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_gpu, "QUEUED", 1)
    task = next(task for task in kernels_gpu.tasks() if task.name == name)
    found = kernels_gpu.mien_at(stood_in, task, bandwidth=1e9)
    assert found.share == pytest.approx(task.traffic / 1.5e-3 / 1e9) and found.allocated == 0
    with pytest.raises(Mismatch, match="off by"):
        kernels_gpu.mien_at(stood_in, replace(task, wanted=lambda: task.wanted() // 2), bandwidth=1e9)


@needs_none
def test_the_script_for_a_machine_with_a_gpu_says_where_there_is_none() -> None:
    run = subprocess.run(["bash", "scripts/gpu"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 9
    assert "there is no NVIDIA GPU" in run.stderr
    for name in ("gpu", "kernels_gpu"):
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert run.returncode == 9
        assert "nothing was executed" in run.stderr
