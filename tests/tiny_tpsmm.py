"""Small TPSMM networks: random ones in a checkpoint of the public layout, and a bundle with foreseeable results."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx.parser
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from mien.bundle import Bundle, Licence, Manifest, write_bundle
from mien_export.networks.tpsmm import AVDNetwork, DenseMotionNetwork, InpaintingNetwork, KPDetector
from mien_export.pack.tpsmm import TpsmmNetworks
from tests.tiny import serialized, spec_of

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


MIX = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1)], np.float32)
"""How much of red, green and blue is in each keypoint of `blob_bundle`."""

AVD_SHIFT = 0.25


def blob_bundle(path: Path, avd: bool = False) -> Bundle:
    """One group of keypoints: the middles of red, green and blue, and of two sums of them.

    The generator shows the source, brighter by the points' mean way to the right. ``avd`` gives the source's points,
    moved down by `AVD_SHIFT`.
    """
    axis = (np.arange(256, dtype=np.float32) + 0.5) / 128 - 1
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    models = {
        "keypoints": _network(
            """keypoints (float[batch,3,256,256] image) => (float[batch,5,2] points) {
                flat = Reshape (image, rows)
                mixed = MatMul (mix, flat)
                moment = MatMul (mixed, grid)
                mass = ReduceSum <keepdims = 1> (mixed, last)
                points = Div (moment, mass)
            }""",
            rows=np.array([0, 3, 65536]), grid=grid, last=np.array([2]), mix=MIX,
        ),
        "appearance": _network(
            """appearance (float[1,3,256,256] image) => (float[1,3,256,256] features_256, float[1,3,64,64] small) {
                features_256 = Identity (image)
                small = AveragePool <kernel_shape = [4, 4], strides = [4, 4]> (image)
            }"""
        ),
        "generator": _network(
            """generator (float[1,3,256,256] features_256, float[1,3,64,64] small, float[1,5,2] source_points,
            float[1,5,2] driving_points, float[1,1,8,2] splines) => (float[1,3,256,256] image) {
                way = Sub (driving_points, source_points)
                right = MatMul (way, first)
                light = ReduceMean <keepdims = 0> (right)
                lit = Add (features_256, light)
                image = Clip (lit, dark, bright)
            }""",
            first=np.array([[1], [0]], np.float32), dark=np.array(0, np.float32), bright=np.array(1, np.float32),
        ),
        "avd": _network(
            """avd (float[1,5,2] source_points, float[1,5,2] driving_points) => (float[1,5,2] points) {
                points = Add (source_points, down)
            }""",
            down=np.array([[0, AVD_SHIFT]], np.float32),
        ),
    }  # fmt: skip
    if not avd:
        del models["avd"]
    manifest = Manifest(
        name="blobs",
        task="reenact",
        family="tpsmm",
        licence=Licence("Apache-2.0", "Apache-2.0"),
        origin="Made by hand for a test.",
        networks={role: spec_of(model, role) for role, model in models.items()},
    )
    return write_bundle(path, manifest, models)


def _network(text: str, **constants: NDArray[Any]) -> bytes:
    graph = onnx.parser.parse_graph(text)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return serialized(graph)
