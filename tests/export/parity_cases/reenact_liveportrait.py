"""LivePortrait's networks; its arithmetic of points and crops is the engine's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mien_export.networks.liveportrait import (
    AppearanceFeatureExtractor,
    MotionExtractor,
    SPADEDecoder,
    StitchingRetargetingNetwork,
    WarpingNetwork,
)
from tests.export.parity_cases.protocol import ParityCase

Values = Mapping[str, Any]
Tensors = Mapping[str, Tensor]


def run_appearance(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, AppearanceFeatureExtractor)
    return {"feature_3d": module(inputs["image"])}


def run_motion(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, MotionExtractor)
    out = module(inputs["image"])
    return {
        "pitch": out.pitch, "yaw": out.yaw, "roll": out.roll, "t": out.translation, "exp": out.expression,
        "scale": out.scale, "kp": out.keypoints,
    }  # fmt: skip


def run_warp(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, WarpingNetwork)
    volume = inputs["feature_3d"]
    motion = module.dense_motion_network(volume, inputs["kp_driving"], inputs["kp_source"])
    found = {"out": module.moved(volume, motion), "deformation": motion.deformation}
    return found if motion.occlusion is None else found | {"occlusion_map": motion.occlusion}


def run_spade(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, SPADEDecoder)
    return {"image": module(inputs["feature"])}


def run_perceptron(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, StitchingRetargetingNetwork)
    return {"delta": module(inputs["feature"])}


CASES: dict[str, ParityCase] = {
    "liveportrait_appearance": ParityCase(lambda values: AppearanceFeatureExtractor(**values), run_appearance),
    "liveportrait_motion": ParityCase(lambda values: MotionExtractor(**values), run_motion),
    "liveportrait_warp": ParityCase(lambda values: WarpingNetwork(**values), run_warp),
    "liveportrait_spade": ParityCase(lambda values: SPADEDecoder(**values), run_spade),
}
CASES |= {
    f"liveportrait_{name}": ParityCase(lambda values: StitchingRetargetingNetwork(**values), run_perceptron)
    for name in ("stitching", "retarget_eye", "retarget_lip")
}
