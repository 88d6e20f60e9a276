"""Puts TPSMM's public checkpoint into a bundle: every network exported, compared with torch, described, hashed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from mien.bundle import Bundle, Licence, Manifest, refuse_existing, write_bundle
from mien_export.checkpoints import Checkpoint, read_state
from mien_export.graphs import tpsmm as graphs
from mien_export.networks.tpsmm import (
    AVDNetwork,
    DenseMotionNetwork,
    InpaintingNetwork,
    KPDetector,
    solved_splines,
)
from mien_export.onnx_export import Exported
from mien_export.pack.description import GENERATOR_TOLERANCE, Traced, described, picture, plain
from mien_export.pack.fomm import weighted

CROP = 256
"""Side of the pictures that the networks look at and draw."""


@dataclass(frozen=True)
class TpsmmNetworks:
    """How each network is built before its weights are read; vox-256's sizes, unless a test wants small ones."""

    detector: Callable[[], KPDetector] = KPDetector
    motion: Callable[[], DenseMotionNetwork] = DenseMotionNetwork
    inpainting: Callable[[], InpaintingNetwork] = InpaintingNetwork
    avd: Callable[[], AVDNetwork] = AVDNetwork


def pack_tpsmm(
    checkpoint: Path,
    out: str | PathLike[str],
    minimal: bool = True,
    overwrite: bool = False,
    networks: TpsmmNetworks | None = None,
) -> tuple[Bundle, dict[str, Exported]]:
    """Convert, check and write ``vox.pth.tar``, which holds three networks or, with ``avd_network``, four.

    ``minimal``: convolutions in the form that is fastest in float32 on a CPU; False where `lower.lower` goes on. Raises
    CheckpointError, ParityError, OutputError.
    """
    refuse_existing(out, overwrite)
    roles = traced(read_state(checkpoint), networks or TpsmmNetworks(), minimal=minimal)
    exported = {role: one.export() for role, one in roles.items()}
    manifest = Manifest(
        name=Path(out).stem,
        task="reenact",
        family="tpsmm",
        licence=Licence(code="MIT", weights="as the checkpoint it was made from"),
        origin=f"Exported from {checkpoint.name}.",
        networks={role: described(role, one, exported[role]) for role, one in roles.items()},
    )
    models = {role: one.model for role, one in exported.items()}
    return write_bundle(out, manifest, models, overwrite=overwrite), exported


@torch.no_grad()
def traced(stored: Checkpoint, built: TpsmmNetworks, minimal: bool) -> dict[str, Traced]:
    """What is exported, with example inputs; ``minimal`` as `mien_export.graphs.tpsmm.GeneratorGraph`."""
    detector = weighted(built.detector(), stored, "kp_detector", "TPSMM's keypoint detector (vox)")
    motion = weighted(built.motion(), stored, "dense_motion_network", "TPSMM's dense motion network (vox)")
    inpainting = weighted(built.inpainting(), stored, "inpainting_network", "TPSMM's inpainting network (vox)")
    random = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, CROP // 8, CROP // 8, generator=random).repeat_interleave(8, 2).repeat_interleave(8, 3)
    appearance = graphs.AppearanceGraph(motion, inpainting).eval()
    *maps, small = appearance(images[:1])
    read = {f"features_{one.shape[-1]}": one for one in maps} | {"small": small}
    seen = tuple(plain(name, *one.shape, layout="NCHW") for name, one in read.items())
    points = detector(images).shape[1]
    moving = moving_points(points, random)
    between = tuple(plain(name, *one.shape) for name, one in moving.items())
    place = plain("points", "batch", points, 2, span=(-1.0, 1.0))
    roles = {
        "keypoints": Traced(detector, {"image": images}, (picture("image", CROP, "batch"),), (place,), "batch"),
        "appearance": Traced(appearance, {"image": images[:1]}, (picture("image", CROP),), seen),
        "generator": Traced(
            graphs.GeneratorGraph(motion, inpainting, minimal),
            {**read, **moving},
            (*seen, *between),
            (picture("image", CROP),),
            tolerance=GENERATOR_TOLERANCE,
        ),
    }
    if any(key.startswith("avd_network.") for key in stored.state):
        avd = weighted(built.avd(), stored, "avd_network", "TPSMM's AVD network (vox)")
        feeds = {name: moving[name] for name in ("source_points", "driving_points")}
        roles["avd"] = Traced(graphs.AvdGraph(avd), feeds, between[:2], (plain("points", 1, points, 2),))
    return roles


def moving_points(count: int, random: torch.Generator) -> dict[str, Tensor]:
    """Keypoints of a source and a driver that are a little apart, and the splines between them."""
    source = torch.rand(1, count, 2, generator=random) * 1.6 - 0.8
    driving = source + 0.1 * torch.randn(1, count, 2, generator=random)
    return {"source_points": source, "driving_points": driving, "splines": solved_splines(driving, source)}
