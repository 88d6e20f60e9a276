"""Puts a public checkpoint of LIA into a bundle: every network exported, compared with torch, described, hashed."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.bundle import Bundle, Licence, Manifest, refuse_existing, write_bundle
from mien_export.checkpoints import State, load, part, read_state
from mien_export.graphs import lia as graphs
from mien_export.networks.lia import Generator
from mien_export.onnx_export import Exported
from mien_export.pack.description import Traced, described, picture, plain

LICENCE = "CC-BY-NC-4.0"
"""Of code and weights alike: for research and evaluation, not for commercial use."""

WHAT = "LIA's generator (vox.pt, taichi.pt or ted.pt)"


def pack_lia(checkpoint: Path, out: str | PathLike[str], overwrite: bool = False) -> tuple[Bundle, dict[str, Exported]]:
    """Convert, check and write ``vox.pt`` (or ``taichi.pt``, ``ted.pt``), which holds the generator under ``gen``.

    Raises CheckpointError, ParityError, OutputError.
    """
    refuse_existing(out, overwrite)
    generator = read_generator(checkpoint)
    roles = traced(generator)
    exported = {role: one.export() for role, one in roles.items()}
    manifest = Manifest(
        name=Path(out).stem,
        task="reenact",
        family="lia",
        licence=Licence(code=LICENCE, weights=LICENCE),
        origin=f"Exported from {checkpoint.name}. LIA and its weights are not for commercial use.",
        networks={role: described(role, one, exported[role]) for role, one in roles.items()},
    )
    models = {role: one.model for role, one in exported.items()}
    return write_bundle(out, manifest, models, overwrite=overwrite), exported


def read_generator(checkpoint: Path) -> Generator:
    """The network as trained; a training file's discriminator and optimisers are left. Raises CheckpointError."""
    stored = read_state(checkpoint)
    whole = any(key.startswith("gen.") for key in stored.state)
    state = part(stored, "gen") if whole else stored.state
    generator = generator_like(state)
    load(generator, state, WHAT)
    return generator.eval()


def generator_like(state: State) -> Generator:
    """An untrained generator of the size that these weights have, the public one where they do not say."""
    sizes = {key: state[key].shape for key in ("dec.direction.weight", "dec.input.input") if key in state}
    levels = sum(1 for key in state if key.startswith("dec.to_flows.") and key.endswith(".conv.weight"))
    if len(sizes) < 2 or not levels or len(sizes["dec.direction.weight"]) != 2:
        return Generator()
    style, motion = sizes["dec.direction.weight"]
    return Generator(4 << levels, style, motion, widest=sizes["dec.input.input"][1])


@torch.no_grad()
def traced(generator: Generator) -> dict[str, Traced]:
    """What is exported, with example inputs."""
    appearance, motion = graphs.AppearanceGraph(generator).eval(), graphs.MotionGraph(generator).eval()
    side, style, directions = generator.size, generator.style_dim, generator.motion_dim
    random = torch.Generator().manual_seed(1)
    images = smooth(torch.rand(2, 3, 4, 4, generator=random), side)
    latent, own, *features = appearance(images[:1])
    # What a warp moves multiplies what rounding does to its way: features are smooth here, and fade to the frame.
    maps = {}
    for one in features:
        channels, size = one.shape[1], one.shape[-1]
        maps[f"feature_{size}"] = smooth(F.pad(torch.randn(1, channels, 3, 3, generator=random), (1, 1, 1, 1)), size)
    code, magnitudes = plain("latent", 1, style), plain("motion", 1, directions)
    seen = tuple(plain(name, *one.shape, layout="NCHW") for name, one in maps.items())
    return {
        "motion": Traced(
            motion,
            {"image": images},
            (picture("image", side, "batch"),),
            (plain("motion", "batch", directions),),
            "batch",
        ),
        "appearance": Traced(appearance, {"image": images[:1]}, (picture("image", side),), (code, magnitudes, *seen)),
        "generator": Traced(
            graphs.GeneratorGraph(generator),
            {"latent": latent, "motion": own, **maps},
            (code, magnitudes, *seen),
            (picture("image", side),),
        ),
    }


def smooth(coarse: Tensor, side: int) -> Tensor:
    """Coarse maps, enlarged."""
    return F.interpolate(coarse, (side, side), mode="bilinear")
