"""LivePortrait's public checkpoints in small: the same networks and layout, few channels, random weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from mien_export.networks.liveportrait import (
    AppearanceFeatureExtractor,
    MotionExtractor,
    SPADEDecoder,
    StitchingRetargetingNetwork,
    WarpingNetwork,
)
from mien_export.networks.liveportrait.motion import BackboneSizes
from mien_export.networks.liveportrait.spade import SpectralConv2d
from mien_export.pack.liveportrait import LivePortraitNetworks

CHANNELS, DEPTH, SIDE = 4, 4, 64
DENSE = {"block_expansion": 8, "max_features": 24, "num_blocks": 2, "reshape_depth": DEPTH, "compress": 2}

NETWORKS = LivePortraitNetworks(
    appearance=partial(AppearanceFeatureExtractor, 3, 8, 2, CHANNELS * DEPTH, CHANNELS, DEPTH, 2),
    motion=partial(MotionExtractor, 21, sizes=BackboneSizes((1, 1, 2, 1), (8, 8, 16, 16))),
    warp=partial(WarpingNetwork, 21, 8, CHANNELS * DEPTH, 1, CHANNELS, True, DENSE),
    decoder=partial(SPADEDecoder, 2, 8, 64, 1, out_channels=8, hidden=8),
    side=SIDE,
)

Network = TypeVar("Network", bound=nn.Module)


def stirred(network: Network) -> Network:
    """With statistics, biases and spectral vectors that a wrong fold would show, and heads that see a small face."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
        if isinstance(layer, SpectralConv2d):
            layer.weight_orig.data += 0.05
            layer.weight_u.mul_(1.3)
        if name in ("detector.fc_kp", "detector.fc_exp", "detector.fc_t"):
            assert isinstance(layer, nn.Linear)
            layer.weight.data *= 0.1
        if name == "detector.fc_scale":
            assert isinstance(layer, nn.Linear)
            nn.init.constant_(layer.bias, 1.0)
    return network.eval()


def write_checkpoints(folder: Path) -> list[Path]:
    """The five files as published, in the folders and by the names that they have there."""
    torch.manual_seed(5)
    (folder / "base_models").mkdir(parents=True)
    (folder / "retargeting_models").mkdir()
    made = {
        "appearance_feature_extractor": stirred(NETWORKS.appearance()),
        "motion_extractor": stirred(NETWORKS.motion()),
        "warping_module": stirred(NETWORKS.warp()),
        "spade_generator": stirred(NETWORKS.decoder()),
    }
    paths = []
    for name, network in made.items():
        paths.append(folder / "base_models" / f"{name}.pth")
        torch.save(network.state_dict(), paths[-1])
    paths.append(folder / "retargeting_models" / "stitching_retargeting_module.pth")
    retargeting = {"shoulder": NETWORKS.stitching(), "mouth": NETWORKS.lip(), "eye": NETWORKS.eye()}
    torch.save({f"retarget_{name}": wrapped(network) for name, network in retargeting.items()}, paths[-1])
    return paths


def wrapped(network: StitchingRetargetingNetwork) -> dict[str, torch.Tensor]:
    """As the public trainer saved it, small enough in what it says that no point leaves the volume."""
    return {f"module.{key}": value * 0.5 for key, value in network.state_dict().items()}
