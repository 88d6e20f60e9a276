"""Networks around the edit: face parsing and artefact suppression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from mien_export.networks.bisenet import BiSeNet
from mien_export.networks.deghosting import Deghosting
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


def watched(module: Deghosting) -> dict[str, nn.Module]:
    """The modules whose outputs a golden may hold, by the golden's name."""
    around, generator = module.FCN, module.generator
    listed = {
        "enc{}": around.encoder, "fusion_out.{}": around.fusion_out, "fusion_skip.{}": around.fusion_skip,
        "decoder.{}": around.decoder, "convs.{}": generator.convs,
    }  # fmt: skip
    found = {name.format(i): inner for name, modules in listed.items() for i, inner in enumerate(modules)}
    skips = {f"skip_{8 << k}": to_rgb for k, to_rgb in enumerate(generator.to_rgbs)}
    return found | skips | {"conv1": generator.conv1, "skip_4": generator.to_rgb1}


def run_deghosting(
    module: nn.Module | None, case: Mapping[str, Any], inputs: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    assert isinstance(module, Deghosting)
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda inner, arguments, output: outputs.update({name: output})

    for name, inner in watched(module).items():
        if name in case["outputs"]:
            inner.register_forward_hook(keep(name))
    module.FCN.encoder[-1].register_forward_hook(keep("latent"))
    outputs["image"] = module(inputs["fused"]).image
    outputs["latent"] = outputs["latent"].unflatten(1, (module.sizes.layers, -1))
    return outputs


CASES: dict[str, ParityCase] = {
    "bisenet": ParityCase(lambda constructor: BiSeNet(**constructor), run_bisenet),
    "eogi_deghost": ParityCase(lambda constructor: Deghosting(**constructor), run_deghosting),
}
