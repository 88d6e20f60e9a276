"""Generators."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mien_export.networks.stylegan2 import Generator
from tests.export.parity_cases.protocol import ParityCase


def run(module: nn.Module | None, case: Mapping[str, Any], inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    assert isinstance(module, Generator)
    w = module.style(inputs["z"])
    drawn = module.draw(module.codes(inputs["w_plus"]))
    truncated = module.codes(w[:1], truncation(case), inputs["mean_latent"])
    layers = {f"convs.{index}": x for index, x in enumerate(drawn.features[1:])}
    pictures = {f"rgb_{picture.shape[-1]}": picture for picture in drawn.pictures}
    return {
        "w": w,
        "image": drawn.image,
        "conv1": drawn.features[0],
        **layers,
        **pictures,
        "image_truncated": module(truncated),
        "latent_truncated": truncated,
    }


def truncation(case: Mapping[str, Any]) -> float:
    """Named in the description of the call, and nowhere else."""
    found = re.search(r"truncation=([\d.]+)", case.get("call", ""))
    return float(found[1]) if found else 0.7


CASES: dict[str, ParityCase] = {"stylegan2": ParityCase(lambda constructor: Generator(**constructor), run)}
