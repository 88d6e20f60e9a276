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

FEATURES = plain("features", 1, 32, 64, 64, layout="NCHW")
CONTEXT = plain("context", 1, 48, 64, 64, layout="NCHW")
IDENTITY = plain("identity", 1, 64)
SMALL = picture("small", studio.CROP_SIZE // 2)
PLATE = plain("plate", 1, 12, 128, 128, layout="NCHW", span=(0.0, 1.0))
OPENINGS = plain("openings", 1, studio.OPENINGS, 128, 128, layout="NCHW", span=(0.0, 1.0))
"""What the appearance network hands to the generator, and what both are told of the points."""

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
    rng = torch.Generator().manual_seed(1)
    return {
        "detector": Traced(
            graphs.DetectorGraph(family.detector),
            {"image": image(1, studio.DETECTOR_SIZE, rng)},
            (picture("image", studio.DETECTOR_SIZE),),
            (plain("scores", 1, 576, span=(0.0, 1.0)), plain("crops", 1, 576, 3)),
        ),
        "motion": traced_motion(family.motion, rng),
        "appearance": Traced(
            graphs.AppearanceGraph(family.appearance, family.generator),
            {"image": image(1, studio.CROP_SIZE, rng), "openings": openings(rng)},
            (picture("image", studio.CROP_SIZE), OPENINGS),
            (FEATURES, CONTEXT, IDENTITY, SMALL, PLATE),
        ),
        "generator": traced_generator(family, rng),
    }


def image(count: int, size: int, rng: torch.Generator) -> Tensor:
    """An example of a picture: smooth, as on white noise the patches' sampling makes much of what is mere rounding."""
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=rng)
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)


def openings(rng: torch.Generator) -> Tensor:
    """An example of filled openings."""
    return (torch.rand(1, studio.OPENINGS, 128, 128, generator=rng) > 0.9).float()


def traced_motion(network: Motion, rng: torch.Generator) -> Traced:
    """The motion network, any number of crops at once."""
    sizes = network.sizes
    outputs = (
        plain("confidence", "batch", 1, span=(0.0, 1.0)),
        plain("pose", "batch", 3),
        plain("place", "batch", 3),
        plain("expression", "batch", sizes.expressions),
        plain("landmarks", "batch", sizes.landmarks, 2),
        plain("uncertainty", "batch", sizes.expressions + len(GROUPS), span=(0.0, 10.0)),
    )
    examples = {"image": image(2, MOTION_SIZE, rng)}
    return Traced(graphs.MotionGraph(network), examples, (picture("image", MOTION_SIZE, "batch"),), outputs, "batch")


def traced_generator(family: Family, rng: torch.Generator) -> Traced:
    """The generator, its example a head that moves a little."""
    count = family.motion.sizes.points
    points = torch.rand(1, count, 3, generator=rng) * 1.6 - 0.8
    points[..., 2] = points[..., 2].abs()
    examples = {
        "features": torch.randn(1, 32, 64, 64, generator=rng),
        "context": torch.randn(1, 48, 64, 64, generator=rng),
        "identity": torch.nn.functional.normalize(torch.randn(1, 64, generator=rng), dim=1),
        "small": image(1, studio.CROP_SIZE // 2, rng),
        "plate": torch.nn.functional.pixel_unshuffle(image(1, studio.CROP_SIZE, rng), 2),
        "source_points": points,
        "driving_points": points + 0.02 * torch.randn(1, count, 3, generator=rng),
        "openings": openings(rng),
    }
    places = (plain("source_points", 1, count, 3), plain("driving_points", 1, count, 3))
    outputs = (
        plain("flow", 1, 2, 128, 128, layout="NCHW"),
        plain("visible", 1, 1, 256, 256, layout="NCHW", span=(0.0, 1.0)),
        picture("paint", studio.CROP_SIZE),
        plain("mask", 1, 1, 256, 256, layout="NCHW", span=(0.0, 1.0)),
        plain("shade", 1, 3, 64, 64, layout="NCHW", span=(0.3, 3.1)),
    )
    inputs = (FEATURES, CONTEXT, IDENTITY, SMALL, PLATE, *places, OPENINGS)
    return Traced(graphs.GeneratorGraph(family.generator), examples, inputs, outputs)


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
    exported = {role: one.export() for role, one in networks.items()}
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
