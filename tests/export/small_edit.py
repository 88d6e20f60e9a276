"""Public checkpoints of editing in small: the same architectures and layouts, few channels, random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mien_export.networks import encoders
from mien_export.networks.bisenet import BiSeNet
from mien_export.networks.deghosting import Deghosting
from mien_export.networks.difference import DifferenceNetwork
from mien_export.networks.irse50 import ArcFace, TrunkSizes
from mien_export.networks.stylegan2 import Generator
from mien_export.pack.edit import EditFiles
from mien_export.pack.edit_traced import EditNetworks, OptionalFiles

SIZE = 32
TRUNK = TrunkSizes(units=(1,) * 7, widths=(16, 16, 16, 16, 16, 16, 512))

NETWORKS = EditNetworks(
    encoders={
        "psp-w": lambda rows: encoders.WEncoder(sizes=TRUNK),
        "restyle-psp": lambda rows: encoders.BackboneEncoder(styles=rows, sizes=TRUNK),
    },
    parsing=lambda: BiSeNet(width=8),
    difference=lambda: DifferenceNetwork(blocks=(1, 1, 2, 1), split=1, width=8),
    deghost=lambda: Deghosting(16, 32, 512, 8, 1, 4, 16),
    identity=lambda: ArcFace(sizes=TrunkSizes(units=(1,) * 4, widths=(16, 16, 16, 32))),
)


def stirred(module: nn.Module) -> nn.Module:
    """With statistics that are not those of a fresh normalisation."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
    return module


def write_checkpoints(folder: Path, kind: str = "psp-w") -> EditFiles:
    """All of them, as their publishers lay them out, and two directions; see `EditFiles`."""
    torch.manual_seed(3)
    generator = Generator(SIZE, widest=32)
    made: dict[str, nn.Module] = {
        "parsing": NETWORKS.parsing(),
        "difference": NETWORKS.difference(),
        "deghost": NETWORKS.deghost(),
        "identity": NETWORKS.identity(),
    }
    for name, module in made.items():
        torch.save(stirred(module).state_dict(), folder / f"{name}.pt")
    torch.save({"g_ema": generator.state_dict(), "latent_avg": torch.randn(512) * 0.1}, folder / "generator.pt")
    torch.save(encoder_file(kind, generator), folder / "encoder.pt")
    rng = np.random.default_rng(4)
    np.save(folder / "Smiling.npy", rng.normal(size=(generator.layers, 512)))
    np.save(folder / "pose.npy", rng.normal(size=(1, 512)))
    return EditFiles(
        encoder=folder / "encoder.pt",
        generator=folder / "generator.pt",
        directions=(str(folder / "Smiling.npy"), str(folder / "pose.npy")),
        encoder_kind=kind,
        optional=OptionalFiles(**{name: folder / f"{name}.pt" for name in made}),
    )


def encoder_file(kind: str, generator: Generator) -> dict[str, Any]:
    """As pSp and its kin save: encoder and decoder in one state, the mean latent beside it."""
    encoder = stirred(NETWORKS.encoders[kind](generator.layers))
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    state |= {f"decoder.{key}": value for key, value in generator.state_dict().items()}
    return {"state_dict": state, "latent_avg": torch.randn(generator.layers, 512) * 0.1, "opts": {}}
