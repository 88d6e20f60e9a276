"""Puts a trained studio family into a bundle: every network exported, compared with torch, described, hashed."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.bundle import Bundle, Licence, Manifest, refuse_existing, write_bundle
from mien_export.checkpoints import read_weights
from mien_export.graphs import studio as graphs
from mien_export.networks import studio
from mien_export.networks.studio_motion import GROUPS, MOTION_SIZE, Motion
from mien_export.onnx_export import Exported
from mien_export.pack.description import Traced, described, picture, plain

ARRAYS = ("points", "basis", "spread", "rigid", "pivot", "limits")


@dataclass(frozen=True)
class Family:
    """The four networks as they are trained."""

    detector: studio.Detector
    motion: Motion
    appearance: studio.Appearance
    generator: studio.Generator

    @classmethod
    def untrained(cls, sizes: studio.StudioSizes) -> Family:
        """With random weights."""
        return cls(studio.Detector(), Motion(sizes), studio.Appearance(), studio.Generator())


def traced(family: Family) -> dict[str, Traced]:
    """What is exported of each network, with example inputs."""
    sizes = family.motion.sizes
    rng = torch.Generator().manual_seed(1)

    def image(count: int, size: int) -> Tensor:
        return torch.rand(count, 3, size, size, generator=rng)

    points = torch.rand(1, sizes.points, 3, generator=rng) * 1.6 - 0.8
    points[..., 2] = points[..., 2].abs()
    moved = points + 0.02 * torch.randn(1, sizes.points, 3, generator=rng)
    features = torch.randn(1, 32, 64, 64, generator=rng)
    identity = torch.nn.functional.normalize(torch.randn(1, 64, generator=rng), dim=1)
    place = plain("source_points", 1, sizes.points, 3)
    features_info = plain("features", 1, 32, 64, 64, layout="NCHW")
    context_info = plain("context", 1, 48, 64, 64, layout="NCHW")
    small_info = picture("small", studio.CROP_SIZE // 2)
    openings = (torch.rand(1, studio.OPENINGS, 128, 128, generator=rng) > 0.9).float()
    openings_info = plain("openings", *openings.shape, layout="NCHW", span=(0.0, 1.0))
    return {
        "detector": Traced(
            graphs.DetectorGraph(family.detector),
            {"image": image(1, studio.DETECTOR_SIZE)},
            (picture("image", studio.DETECTOR_SIZE),),
            (plain("scores", 1, 576, span=(0.0, 1.0)), plain("crops", 1, 576, 3)),
        ),
        "motion": Traced(
            graphs.MotionGraph(family.motion),
            {"image": image(2, MOTION_SIZE)},
            (picture("image", MOTION_SIZE, "batch"),),
            (
                plain("confidence", "batch", 1, span=(0.0, 1.0)),
                plain("pose", "batch", 3),
                plain("place", "batch", 3),
                plain("expression", "batch", sizes.expressions),
                plain("landmarks", "batch", sizes.landmarks, 2),
                plain("uncertainty", "batch", sizes.expressions + len(GROUPS), span=(0.0, 10.0)),
            ),
            "batch",
        ),
        "appearance": Traced(
            graphs.AppearanceGraph(family.appearance, family.generator),
            {"image": image(1, studio.CROP_SIZE), "openings": openings},
            (picture("image", studio.CROP_SIZE), openings_info),
            (features_info, context_info, plain("identity", 1, 64), small_info),
        ),
        "generator": Traced(
            graphs.GeneratorGraph(family.generator),
            {
                "features": features,
                "context": torch.randn(1, 48, 64, 64, generator=rng),
                "identity": identity,
                "small": image(1, 128),
                "source_points": points,
                "driving_points": moved,
                "openings": openings,
            },
            (
                features_info,
                context_info,
                plain("identity", 1, 64),
                small_info,
                place,
                plain("driving_points", *place.shape),
                openings_info,
            ),
            (
                plain("flow", 1, 2, 128, 128, layout="NCHW"),
                plain("visible", 1, 1, 256, 256, layout="NCHW", span=(0.0, 1.0)),
                picture("paint", 256),
                plain("mask", 1, 1, 256, 256, layout="NCHW", span=(0.0, 1.0)),
                plain("shade", 1, 3, 64, 64, layout="NCHW", span=(0.3, 3.1)),
            ),
        ),
    }


def pack_studio(
    runs: Path, out: str | PathLike[str], expressions: tuple[str, ...], overwrite: bool = False
) -> tuple[Bundle, dict[str, Exported]]:
    """Export the checkpoints ``detector.pt``, ``motion.pt``, ``generator.pt`` and ``points.npz`` of a training folder.

    ``expressions`` names the expression values in their order. Raises ParityError, CheckpointError, OutputError.
    """
    refuse_existing(out, overwrite)
    with np.load(runs / "points.npz") as stored:
        arrays = {name: np.asarray(stored[name], np.float32) for name in ARRAYS}
    sizes = studio.StudioSizes(arrays["spread"].shape[1], len(arrays["points"]), len(expressions))
    family = Family.untrained(sizes)
    for role, network in vars(family).items():
        file = "generator.pt" if role == "appearance" else f"{role}.pt"
        network.load_state_dict(read_weights(runs / file, role))
    networks = traced(family)
    exported = {
        role: one.export()
        for role, one in networks.items()
    }
    manifest = Manifest(
        name="studio",
        task="reenact",
        family="studio",
        licence=Licence(code="Apache-2.0", weights="Apache-2.0"),
        origin="Trained by mien's own recipe (training/README.md) on rendered synthetic heads alone; no real person.",
        networks={role: described(role, networks[role], exported[role]) for role in networks},
        extra={"expressions": expressions},
    )
    models = {role: one.model for role, one in exported.items()}
    return write_bundle(out, manifest, models, arrays, overwrite), exported
