"""TPSMM's networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mien_export.networks.tpsmm import AVDNetwork, DenseMotionNetwork, InpaintingNetwork, KPDetector
from tests.export.parity_cases.protocol import ParityCase

Values = Mapping[str, Any]
Tensors = Mapping[str, Tensor]


def values_for(case: Values, *drop: str) -> dict[str, Any]:
    """The constructor's own values."""
    return {name: value for name, value in case.items() if name not in drop}


def run_detector(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, KPDetector)
    return {"fg_kp": module(inputs["image"])}


def run_motion(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, DenseMotionNetwork)
    out = module(inputs["source_image"], inputs["kp_driving"], inputs["kp_source"])
    found = {"deformed_source": out.deformed, "contribution_maps": out.maps, "deformation": out.deformation}
    return found | {f"occlusion_{shows.shape[-1]}": shows for shows in out.occlusions}


def run_inpainting(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, InpaintingNetwork)
    names = sorted((name for name in inputs if name.startswith("occlusion")), key=lambda name: inputs[name].shape[-1])
    out = module(inputs["source_image"], inputs["deformation"], [inputs[name] for name in names])
    return {"prediction": out.prediction, "deformed": out.deformed}


def run_avd(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, AVDNetwork)
    return {"fg_kp": module(inputs["kp_source"], inputs["kp_driving"])}


CASES: dict[str, ParityCase] = {
    "tpsmm_kp_detector": ParityCase(
        lambda values: KPDetector(**values_for(values, "num_channels", "bg", "multi_mask")), run_detector
    ),
    "tpsmm_dense_motion": ParityCase(lambda values: DenseMotionNetwork(**values_for(values, "bg")), run_motion),
    "tpsmm_inpainting": ParityCase(
        lambda values: InpaintingNetwork(**values_for(values, "num_tps", "bg")), run_inpainting
    ),
    "tpsmm_avd": ParityCase(lambda values: AVDNetwork(**values), run_avd),
}
