"""Encoders from a picture to latents, the identity network, and the Fader autoencoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from mien_export.networks import encoders
from mien_export.networks.fader import AutoEncoder, FaderSizes
from mien_export.networks.irse50 import UNITS, ArcFace, Trunk, TrunkSizes
from tests.export.parity_cases.protocol import ParityCase

Values = Mapping[str, Any]
Tensors = Mapping[str, Tensor]


def sizes(values: Values) -> TrunkSizes:
    return TrunkSizes(units=UNITS[values["num_layers"]], squeeze=values["mode"] == "ir_se")


def with_styles(encoder: Callable[..., nn.Module]) -> Callable[[Values], nn.Module]:
    """pSp and both of ReStyle, which count their styles themselves."""
    return lambda values: encoder(values["input_nc"], values["n_styles"], sizes=sizes(values))


def build_e4e(values: Values) -> nn.Module:
    assert values["progressive_stage"] == "Inference", "Training's stages leave out differences; no checkpoint does."
    styles = 2 * int(math.log2(values["stylegan_size"])) - 2
    return encoders.Encoder4Editing(styles=styles, sizes=sizes(values))


def build_arcface(values: Values) -> nn.Module:
    return ArcFace(values["input_size"], sizes(values), values["affine"])


def build_fader(values: Values) -> nn.Module:
    return AutoEncoder(FaderSizes(**{field.name: values[field.name] for field in fields(FaderSizes)}))


def trunk_outputs(network: Trunk, image: Tensor) -> dict[str, Tensor]:
    """Where an error begins: the picture through the first layers, one by one."""
    first = network.input_layer(image)
    body_0 = network.body[0](first)
    return {
        "input_layer": first,
        "body_0": body_0,
        "body_3": network.body[1:4](body_0),
        "body": network.stages(image)[-1],
    }


def run_pyramid(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, encoders.GradualStyleEncoder)
    image = inputs["image"]
    _, c1, c2, _ = module.stages(image)
    c3, p2, p1 = module.maps(image)
    return {
        **trunk_outputs(module, image),
        "c1": c1, "c2": c2, "c3": c3, "p2": p2, "p1": p1, "codes": module(image),
    }  # fmt: skip


def run_restyle(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, encoders.BackboneEncoder)
    both = torch.cat([inputs["image"], inputs["average_image"]], 1)
    return {"body": module.maps(both)[0], "codes": module(both)}


def run_w(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, encoders.WEncoder)
    last = module.stages(inputs["image"])[-1]
    return {"body": last, "pooled": last.mean((2, 3), keepdim=True), "code": module(inputs["image"])}


def run_arcface(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, ArcFace)
    last = module.stages(inputs["image"])[-1]
    return {
        "body": last,
        "linear": module.output_layer[:4](last),
        "unnormalised": module.output_layer(last),
        "embedding": module(inputs["image"]),
    }


def run_fader(module: nn.Module | None, case: Values, inputs: Tensors) -> Tensors:
    assert isinstance(module, AutoEncoder)
    encoded = module.encode(inputs["image"])
    decoded = module.decode(encoded, inputs["attr"])
    inner = {f"enc_{k}": x for k, x in enumerate(encoded)} | {f"dec_{k}": x for k, x in enumerate(decoded)}
    return {"latent": encoded[-1], "image": decoded[-1], **inner}


CASES: dict[str, ParityCase] = {
    "psp_encoder": ParityCase(with_styles(encoders.GradualStyleEncoder), run_pyramid),
    "e4e_encoder": ParityCase(build_e4e, run_pyramid),
    "psp_w_encoder": ParityCase(lambda values: encoders.WEncoder(values["input_nc"], sizes(values)), run_w),
    "restyle_psp": ParityCase(with_styles(encoders.BackboneEncoder), run_restyle),
    "restyle_e4e": ParityCase(with_styles(encoders.ProgressiveBackboneEncoder), run_restyle),
    "irse50_arcface": ParityCase(build_arcface, run_arcface),
    "fader_autoencoder": ParityCase(build_fader, run_fader),
}
