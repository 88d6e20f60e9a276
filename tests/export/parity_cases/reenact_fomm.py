"""FOMM's networks, and its relative motion, which is the engine's arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mien.reenact import fomm
from mien_export.networks.fomm import Keypoints, KPDetector, OcclusionAwareGenerator
from tests.export.parity_cases.protocol import ParityCase

Values = Mapping[str, Any]
Tensors = Mapping[str, Tensor]


def run_detector(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, KPDetector)
    found: Keypoints = module(inputs["image"])
    return {"value": found.value} | ({} if found.jacobian is None else {"jacobian": found.jacobian})


def run_generator(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, OcclusionAwareGenerator)
    source, driving = (
        Keypoints(inputs[f"kp_{who}_value"], inputs.get(f"kp_{who}_jacobian")) for who in ("source", "driving")
    )
    out = module(inputs["source_image"], driving, source)
    found = {
        "prediction": out.prediction,
        "deformed": out.deformed,
        "mask": out.motion.mask,
        "sparse_deformed": out.motion.sparse_deformed,
        "deformation": out.motion.deformation,
    }
    return found if out.motion.occlusion is None else found | {"occlusion_map": out.motion.occlusion}


def run_motion(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    source, initial, driving = (
        fomm.Points(inputs[f"{who}_value"][0].double().numpy(), inputs[f"{who}_jacobian"][0].double().numpy())
        for who in ("source", "initial", "driving")
    )
    plain = fomm.relative(source, driving, initial, adapt_scale=False)
    adapted = fomm.relative(source, driving, initial, adapt_scale=True)
    found = {"value_plain": plain.value, "value_adapted": adapted.value, "jacobian": plain.jacobian}
    return {name: torch.from_numpy(array)[None] for name, array in found.items()}


CASES: dict[str, ParityCase] = {
    "fomm_kp_detector": ParityCase(lambda values: KPDetector(**values), run_detector),
    "fomm_generator": ParityCase(lambda values: OcclusionAwareGenerator(**values), run_generator),
    "fomm_motion": ParityCase(lambda values: None, run_motion),
}
