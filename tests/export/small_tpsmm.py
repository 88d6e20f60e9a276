"""Small TPSMM networks of random weights, and a checkpoint of them in the public layout."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from mien_export.networks.tpsmm import AVDNetwork, DenseMotionNetwork, InpaintingNetwork, KPDetector
from mien_export.pack.tpsmm import TpsmmNetworks

GROUPS = 10
POINTS = 5 * GROUPS

Network = TypeVar("Network", bound=nn.Module)


def small_detector() -> KPDetector:
    return KPDetector(GROUPS, width=4)


def small_motion(multi_mask: bool = True) -> DenseMotionNetwork:
    return DenseMotionNetwork(4, 3, 16, GROUPS, multi_mask=multi_mask)


def small_inpainting(multi_mask: bool = True) -> InpaintingNetwork:
    return InpaintingNetwork(3, 4, 16, 3, multi_mask)


def small_avd() -> AVDNetwork:
    return AVDNetwork(GROUPS, 4, 6)


SMALL = TpsmmNetworks(small_detector, small_motion, small_inpainting, small_avd)


def settled(network: Network, seed: int) -> Network:
    """Random weights, and norms whose statistics are not those of a network that has seen nothing."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=random))
        elif tensor.is_floating_point() and not name.endswith("down.weight"):
            scale = tensor.dim() == 1 and name.endswith("weight")  # of a norm
            spread = 1.4 * tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.1
            tensor.copy_(float(scale) + spread * torch.randn(tensor.shape, generator=random))
    return network.eval()


def small_checkpoint(path: Path, avd: bool = True) -> dict[str, Any]:
    """Written as the public trainer does, and given back."""
    networks: dict[str, nn.Module] = {
        "inpainting_network": settled(small_inpainting(), 1),
        "dense_motion_network": settled(small_motion(), 2),
        "kp_detector": settled(small_detector(), 3),
    }
    if avd:
        networks["avd_network"] = settled(small_avd(), 4)
    parts: dict[str, Any] = {name: OrderedDict(one.state_dict()) for name, one in networks.items()}
    parts |= {
        "bg_predictor": OrderedDict(w=torch.zeros(2)),
        "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 2e-4, "betas": (0.5, 0.999)}]},
        "epoch": 99,
    }
    torch.save(parts, path)
    return parts
