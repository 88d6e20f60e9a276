"""FOMM in small: the same architecture and the public layout of its checkpoint, few channels, random weights."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from mien_export.networks.fomm import KPDetector, OcclusionAwareGenerator
from mien_export.pack.fomm import FommNetworks

POINTS = 10


def small_detector() -> KPDetector:
    return KPDetector(block_expansion=4, num_kp=POINTS, max_features=16, num_blocks=3)


def small_generator() -> OcclusionAwareGenerator:
    motion = {"block_expansion": 4, "max_features": 16, "num_blocks": 3, "scale_factor": 0.25}
    return OcclusionAwareGenerator(
        num_kp=POINTS,
        block_expansion=4,
        max_features=16,
        num_down_blocks=2,
        num_bottleneck_blocks=2,
        dense_motion_params=motion,
    )


SMALL = FommNetworks(small_detector, small_generator)


def settled(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Random weights, and norms whose statistics are not those of a network that has seen nothing."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=random))
        elif tensor.is_floating_point() and not name.endswith("down.weight"):
            mean = 1.0 if ".norm" in name and name.endswith("weight") else 0.0
            spread = tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.1
            if name in ("kp.weight", "jacobian.weight"):
                spread *= 0.1  # no keypoint hangs on a single pixel, no affine map is flat
            tensor.copy_(mean + spread * torch.randn(tensor.shape, generator=random))
    jacobian = network.state_dict().get("jacobian.bias")
    if jacobian is not None:
        jacobian.copy_(torch.eye(2).flatten().repeat(len(jacobian) // 4))
    return network.eval()


def small_checkpoint(path: Path) -> dict[str, Any]:
    """Written as the public trainer does, and given back."""
    parts: dict[str, Any] = {
        "generator": OrderedDict(settled(small_generator(), 1).state_dict()),
        "kp_detector": OrderedDict(settled(small_detector(), 2).state_dict()),
        "discriminator": OrderedDict(w=torch.zeros(2)),
        "optimizer_generator": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 2e-4, "betas": (0.5, 0.999)}]},
        "epoch": 99,
    }
    torch.save(parts, path)
    return parts
