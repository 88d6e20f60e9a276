"""The difference network and the blend that its maps steer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.graphs.heat import normalised
from mien_export.networks.difference import DifferenceNetwork
from tests.export.parity_cases.protocol import ParityCase

PUBLISHED = (6, 7, 10, 11, 12, 15, 16)
"""The classes whose directions are published; the maps of a case are in this order unless it says another."""


def build(constructor: Mapping[str, Any]) -> DifferenceNetwork:
    return DifferenceNetwork(**constructor)


def classes_of(case: Mapping[str, Any]) -> tuple[int, ...]:
    """Of the case's maps: those its description of the call lists, else the published ones."""
    listed = re.search(r"class \(([\d, ]+)\)", case.get("call", ""))
    return tuple(int(number) for number in listed[1].split(",") if number.strip()) if listed else PUBLISHED


def run(module: nn.Module | None, case: Mapping[str, Any], inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    assert isinstance(module, DifferenceNetwork)
    features = module(inputs["inverted"], inputs["manipulated"])
    places = features.activation[0, 0].numel()
    linear = module.fc.weight[list(classes_of(case))] / places
    maps = (linear @ features.activation.flatten(2)).unflatten(-1, features.activation.shape[-2:])
    return {
        "scores": features.scores,
        "shared_inverted": features.shared_inverted,
        "feat_delta": features.delta,
        "layer4": features.activation,
        "cam_raw": maps,
        "cam": normalised(maps, size_of(case, "cam")),
    }


def size_of(case: Mapping[str, Any], output: str) -> tuple[int, int]:
    height, width = case["outputs"][output]["shape"][-2:]
    return height, width


def blend(module: nn.Module | None, case: Mapping[str, Any], inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Map to heat, heat to a mask of squares, both pictures through it, and what leaves for the next networks."""
    origin, edited = inputs["origin"], inputs["manipulated"]
    heat = normalised(inputs["cam_raw"], size_of(case, "heat"))
    mask = F.interpolate(heat.unsqueeze(1), size=origin.shape[-2:], mode="nearest")
    fused = edited * mask + origin * (1 - mask)
    return {
        "heat": heat,
        "fused": fused,
        "fused_128": F.interpolate(fused, size=size_of(case, "fused_128"), mode="area"),
        "origin_256": F.interpolate(origin, size=size_of(case, "origin_256"), mode="area"),
    }


CASES: dict[str, ParityCase] = {
    "eogi_diff": ParityCase(build, run),
    "eogi_blend": ParityCase(lambda _: None, blend),
}
