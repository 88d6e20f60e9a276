"""Puts FOMM's public checkpoint into a bundle: every network exported, compared with torch, described, hashed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from mien.bundle import Bundle, Licence, Manifest, refuse_existing, write_bundle
from mien_export.checkpoints import Checkpoint, State, load, part, read_state
from mien_export.graphs import fomm as graphs
from mien_export.networks.fomm import KPDetector, OcclusionAwareGenerator
from mien_export.onnx_export import Exported
from mien_export.pack.description import Traced, described, picture, plain

CROP = 256
"""Side of the pictures that the networks look at and draw."""

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class FommNetworks:
    """How each network is built before its weights are read; vox-256's sizes, unless a test wants small ones."""

    detector: Callable[[], KPDetector] = KPDetector
    generator: Callable[[], OcclusionAwareGenerator] = OcclusionAwareGenerator


def pack_fomm(
    checkpoint: Path,
    out: str | PathLike[str],
    minimal: bool = True,
    overwrite: bool = False,
    networks: FommNetworks | None = None,
) -> tuple[Bundle, dict[str, Exported]]:
    """Convert, check and write ``vox-cpk.pth.tar`` (or ``vox-adv-cpk.pth.tar``), which holds both networks.

    ``minimal``: convolutions in the form that is fastest in float32 on a CPU; False where `lower.lower` goes on. Raises
    CheckpointError, ParityError, OutputError.
    """
    refuse_existing(out, overwrite)
    stored = read_state(checkpoint)
    built = networks or FommNetworks()
    detector = weighted(built.detector(), stored, "kp_detector", "FOMM's keypoint detector (vox-256)")
    generator = weighted(built.generator(), stored, "generator", "FOMM's generator (vox-256)")
    roles = traced(detector, generator, minimal=minimal)
    exported = {role: one.export() for role, one in roles.items()}
    manifest = Manifest(
        name=Path(out).stem,
        task="reenact",
        family="fomm",
        licence=Licence(code="MIT", weights="as the checkpoint it was made from"),
        origin=f"Exported from {checkpoint.name}.",
        networks={role: described(role, one, exported[role]) for role, one in roles.items()},
    )
    models = {role: one.model for role, one in exported.items()}
    return write_bundle(out, manifest, models, overwrite=overwrite), exported


def weighted(network: Network, stored: Checkpoint, name: str, what: str) -> Network:
    """With its weights out of the checkpoint. Raises CheckpointError."""
    load(network, completed(part(stored, name), network), what)
    return network.eval()


def completed(state: State, network: nn.Module) -> State:
    """With the blur before shrinking, which follows from the network's size; older files do not hold it."""
    blurs = {key: value for key, value in network.state_dict().items() if key.endswith("down.weight")}
    return {**blurs, **state}


@torch.no_grad()
def traced(detector: KPDetector, generator: OcclusionAwareGenerator, minimal: bool) -> dict[str, Traced]:
    """What is exported, with example inputs; ``minimal`` as `mien_export.graphs.fomm.GeneratorGraph`."""
    keypoints, appearance = graphs.KeypointsGraph(detector), graphs.AppearanceGraph(generator)
    random = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, CROP // 8, CROP // 8, generator=random).repeat_interleave(8, 2).repeat_interleave(8, 3)
    value, jacobian = (found[:1] for found in keypoints.eval()(images))
    features, small = appearance.eval()(images[:1])
    shapes = {"features": features.shape, "small": small.shape}
    seen = tuple(plain(name, *shape, layout="NCHW") for name, shape in shapes.items())
    points = value.shape[1]
    # Keypoints that move a little, and affine maps near the identity: those of random weights may be flat.
    feeds: dict[str, Tensor] = {"features": features, "small": small}
    for who in ("source", "driving"):
        feeds[f"{who}_value"] = torch.rand(value.shape, generator=random) * 1.6 - 0.8
        feeds[f"{who}_jacobian"] = torch.eye(2) + 0.1 * torch.randn(jacobian.shape, generator=random)
    motions = tuple(
        plain(f"{who}_{name}", 1, points, *shape)
        for who in ("source", "driving")
        for name, shape in (("value", (2,)), ("jacobian", (2, 2)))
    )
    return {
        "keypoints": Traced(
            keypoints,
            {"image": images},
            (picture("image", CROP, "batch"),),
            (plain("value", "batch", points, 2), plain("jacobian", "batch", points, 2, 2)),
            "batch",
        ),
        "appearance": Traced(appearance, {"image": images[:1]}, (picture("image", CROP),), seen),
        "generator": Traced(
            graphs.GeneratorGraph(generator, minimal), feeds, (*seen, *motions), (picture("image", CROP),)
        ),
    }
