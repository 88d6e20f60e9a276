"""LIA, with the motion taken as it is and taken since the driver's first frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mien_export.networks.lia import Generator
from tests.export.parity_cases.protocol import ParityCase


def run(module: nn.Module | None, case: Mapping[str, Any], inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    assert isinstance(module, Generator)
    source = module.enc(inputs["source"])
    own, motion = (module.enc.motion(one) for one in (source.latent, module.enc(inputs["driving"]).latent))
    absolute = module.moved(source.latent, motion)
    found = {
        "image_absolute": module.dec(absolute, source.features),
        "latent_source": source.latent,
        "motion_driving": motion,
        "motion_source": own,
        "directions": module.dec.direction.basis(),
        "latent_absolute": absolute,
    } | {f"feature_{one.shape[-1]}": one for one in source.features}
    if "driving_first" in inputs:
        start = module.enc.motion(module.enc(inputs["driving_first"]).latent)
        relative = module.moved(source.latent, motion - start + own)
        found |= {
            "motion_start": start,
            "latent_relative": relative,
            "image_relative": module.dec(relative, source.features),
        }
    return found


CASES: dict[str, ParityCase] = {"lia_generator": ParityCase(lambda values: Generator(**values), run)}
