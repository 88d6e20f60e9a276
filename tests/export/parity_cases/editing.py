"""Networks around the edit: face parsing and artefact suppression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mien_export.networks.bisenet import BiSeNet
from tests.export.parity_cases.protocol import ParityCase


def run_bisenet(module: nn.Module | None, case: Mapping[str, Any], inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    assert isinstance(module, BiSeNet)
    out, out16, out32 = module(inputs["image"])
    context = module.cp(inputs["image"])
    fused = module.fused(context)
    return {
        "out": out, "out16": out16, "out32": out32,
        "maxpool": context.backbone.maxpool, "feat8": context.backbone.feat8, "feat16": context.backbone.feat16,
        "feat32": context.backbone.feat32, "arm32": context.arm32, "feat_cp16": context.feat_cp16,
        "arm16": context.arm16, "feat_cp8": context.feat_cp8, "feat_fuse": fused, "logits8": module.conv_out(fused),
        "logits8_aux": module.conv_out16(context.feat_cp8), "logits16_aux": module.conv_out32(context.feat_cp16),
    }  # fmt: skip


CASES: dict[str, ParityCase] = {
    "bisenet": ParityCase(lambda constructor: BiSeNet(**constructor), run_bisenet),
}
