"""The GPU's rivals compute what mien's kernels compute: in NumPy and SciPy for CuPy, and in torch on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.ndimage

from benchmarks import kernels_gpu
from benchmarks.gpu_rivals import CupyRival, Rival, TorchRival
from benchmarks.gpu_timing import Bench, Mismatch, Report
from mien.errors import DeviceError
from mien.sessions.cuda import Cuda
from tests.sessions.driver import StandIn

pytestmark = pytest.mark.usefixtures("native")

RIVALS: Mapping[str, Rival] = {"CuPy": CupyRival(np, scipy.ndimage), "torch": TorchRival("cpu")}


@cache
def tasks() -> dict[str, kernels_gpu.Task]:
    return {task.name: task for task in kernels_gpu.tasks()}


@pytest.mark.parametrize("library", RIVALS)
@pytest.mark.parametrize("name", list(tasks()))
def test_a_rival_gives_what_the_kernel_gives(library: str, name: str) -> None:
    task, rival = tasks()[name], RIVALS[library]
    given = {key: rival.array(array) for key, array in task.arrays.items()}
    found = rival.host(task.rival(rival, given, rival.array(task.out)))
    assert task.check(found) <= task.apart
    assert found.dtype == task.out.dtype


@pytest.mark.parametrize("name", list(tasks()))
def test_a_result_that_is_off_is_not_timed(name: str) -> None:
    task = tasks()[name]
    wanted = task.wanted()
    with pytest.raises(Mismatch, match="off by"):
        task.check(wanted.astype(np.float64) + 1.5 * task.apart)
    with pytest.raises(Mismatch, match="should be"):
        task.check(wanted[..., :-1])
    with pytest.raises(Mismatch, match="off by nan"):
        task.check(wanted * np.nan)


def test_what_a_kernel_starts_from_is_not_what_is_wanted() -> None:
    for task in tasks().values():
        with pytest.raises(Mismatch):
            task.check(task.out)


def test_traffic_is_at_least_that_of_the_inputs_under_the_patch() -> None:
    tasks_ = tasks()
    assert tasks_["blend_faces 512² into 1080p RGB"].traffic == 512 * 512 * 13
    assert tasks_["blend_faces 512² into 1080p RGB, 4 faces"].traffic == 4 * 512 * 512 * 13
    assert tasks_["crop 512² to float32"].traffic == 512 * 512 * 15


def bench(memory: int = 1 << 30) -> Bench:
    cuda = Cuda.open(0, StandIn(memory=memory))
    return Bench(cuda, cuda.stream(), 2)


def test_every_contender_runs_or_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the driver and without kernels: mien's own cannot start, the rivals run on the CPU."""
    monkeypatch.setattr("benchmarks.gpu_timing.COPIED", 1 << 20)
    monkeypatch.setattr("benchmarks.gpu_timing.WARMUP", 0)
    monkeypatch.setattr(kernels_gpu, "QUEUED", 1)
    monkeypatch.setattr(kernels_gpu, "tasks", lambda: iter([tasks()["place_keypoints 8 x 21"]]))
    report = Report()

    def refuses() -> Any:
        raise DeviceError("mien was built without")

    monkeypatch.setattr(kernels_gpu.device, "_cuda", refuses)
    opened = {"CuPy": lambda: RIVALS["CuPy"], "torch": TorchRival.open}
    bandwidth = kernels_gpu.measure(bench(), report, opened)
    assert bandwidth == pytest.approx(2 * (1 << 20) / 1.5e-3)
    assert [(one.contender, one.allocated) for one in report.measured] == [("CuPy", 0)]
    assert {missed.contender: missed.why.split(":")[0] for missed in report.missed} == {
        "mien": "DeviceError",
        "torch": "RuntimeError",
    }
    lines = list(kernels_gpu.rows(report))
    assert len(lines) == 3 and all(len(line) == len(kernels_gpu.COLUMNS) for line in lines)
    share = tasks()["place_keypoints 8 x 21"].traffic / 1.5e-3 / bandwidth
    assert report.measured[0].share == pytest.approx(share)


def test_no_room_for_the_copy_is_told_for_every_kernel() -> None:
    report = Report()
    assert kernels_gpu.measure(bench(memory=100), report) is None
    assert {missed.task for missed in report.missed} == set(tasks())
    assert all("out of memory" in missed.why for missed in report.missed)
