"""A whole machine with a GPU that is not there: stand-ins for PyCUDA's driver and a TensorRT flavour, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mien.commands import engines
from mien.sessions import trt_open
from mien.sessions.base import TensorSpec
from mien.sessions.cuda import Cuda
from mien.sessions.trt_flavour import Flavour
from mien.sessions.trt_progress import BuildProgress, BuildStep
from tests.sessions import fake_trt
from tests.sessions.driver import StandIn
from tests.sessions.fake_trt import PLAN, Machine

BORDERS = (TensorSpec("x", "float32", ("batch", 3)),), (TensorSpec("y", "float32", ("batch", 3)),)


@dataclass
class Gpu:
    """What the stand-ins are; ``built`` names the target of every engine that was built."""

    driver: StandIn
    machine: Machine
    built: list[object] = field(default_factory=list)


def put_gpu(patch: pytest.MonkeyPatch, capability: tuple[int, int] = (8, 9)) -> Gpu:
    """From now on `trt_open` finds that GPU and that flavour, takes every network for y = 2 x, and builds `PLAN`."""
    gpu = Gpu(StandIn(capability=capability), Machine())
    real_open = Cuda.open

    def build(
        network: object, shapes: object, target: object, options: object, progress: BuildProgress | None, *rest: object
    ) -> bytes:
        assert gpu.driver.depth, "built without a current context"
        gpu.built.append(target)
        if progress is not None:
            progress(BuildStep("halfway", 1, 2, 0.5, 1.0))
        return PLAN

    patch.setattr(Flavour, "capabilities", (86, 89))
    for module in (trt_open, engines):
        patch.setattr(module, "load_flavour", lambda name: fake_trt.flavour(gpu.machine))
    patch.setattr(trt_open, "build_plan", build)
    patch.setattr(trt_open, "model_specs", lambda data: BORDERS)
    patch.setattr(Cuda, "open", lambda ordinal=0, module=None: real_open(ordinal, gpu.driver))
    return gpu
