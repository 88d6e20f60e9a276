"""Puts public checkpoints of StyleGAN2 editing into a bundle: every network exported, compared, described, hashed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mien.bundle import Bundle, Licence, Manifest, refuse_existing, write_bundle
from mien.bundle.manifest import Setting
from mien.editing.directions import Direction
from mien_export.checkpoints import Checkpoint, CheckpointError, State, load, network_of, part, read_state
from mien_export.direction_files import read_direction_files
from mien_export.encoder_kind import encoder_kind
from mien_export.graphs.synthesis import Noise, default_split
from mien_export.networks.stylegan2 import Generator, channels_at, completed
from mien_export.onnx_export import Exported
from mien_export.pack.description import described
from mien_export.pack.edit_traced import (
    SEEN,
    EditNetworks,
    OptionalFiles,
    Role,
    optional_roles,
    synthesis_roles,
    traced_encoder,
    traced_mapping,
)

MEAN_OF = 10_000
"""Latents that the mean is taken over where no checkpoint brings it, as the public encoders do."""

RESTYLE_STEPS = 5

GENERATOR = "a StyleGAN2 generator"
"""As `mien_export.recognise` calls it."""


@dataclass(frozen=True)
class EditFiles:
    """Public checkpoints. ``generator``: None takes the decoder that lies in the encoder's file.

    ``encoder_kind``: which of `ENCODERS` it is, where its file does not say. ``directions``: as `read_direction_files`
    takes them.
    """

    encoder: Path
    generator: Path | None = None
    optional: OptionalFiles = field(default_factory=OptionalFiles)
    directions: tuple[str, ...] = ()
    encoder_kind: str | None = None


def pack_edit(
    files: EditFiles,
    out: str | PathLike[str],
    *,
    overwrite: bool = False,
    noise: Noise = "constant",
    networks: EditNetworks | None = None,
    progress: Callable[[str], None] = lambda role: None,
) -> tuple[Bundle, dict[str, Exported]]:
    """Convert, check and write. ``progress`` is told each role before it is exported.

    ``noise``: the generator's own, as it was trained with, or inputs of the synthesis that `Editor` feeds from a seed.

    Raises CheckpointError, ParityError, InputError for directions that do not fit, OutputError.
    """
    refuse_existing(out, overwrite)
    encoder = read_state(files.encoder)
    kind = encoder_kind(encoder, files.encoder_kind)
    generator, mean = read_generator(files, encoder)
    rows = generator.layers
    arrays: dict[str, NDArray[Any]] = {"latent_mean": mean.numpy()}
    if kind.startswith("restyle"):
        arrays["average_image"] = average_image(generator, mean)
    directions = read_direction_files(files.directions, rows)
    arrays |= {f"direction.{one.name}": np.broadcast_to(one.vector, (rows, 512)).copy() for one in directions}
    specs, models, exported = {}, {}, {}
    for role, make in tuple(roles(files, networks or EditNetworks(), kind, encoder, generator, mean, noise)):
        progress(role)
        one = make()
        exported[role] = one.export()
        models[role] = exported[role].model
        specs[role] = described(role, one, exported[role])
    manifest = Manifest(
        name=Path(out).stem,
        task="edit",
        family="stylegan2",
        licence=Licence(code="Apache-2.0", weights="as the checkpoints it was made from"),
        origin=f"Exported from {names(files)}.",
        networks=specs,
        extra=settings(generator, kind, directions),
    )
    return write_bundle(out, manifest, models, arrays, overwrite), exported


def roles(
    files: EditFiles,
    built: EditNetworks,
    kind: str,
    encoder: Checkpoint,
    generator: Generator,
    mean: Tensor,
    noise: Noise,
) -> Iterator[Role]:
    """Every network that the files make, and how it is traced when its turn comes."""
    yield "mapping", partial(traced_mapping, generator)
    yield from synthesis_roles(generator, noise)
    yield "encoder", partial(traced_encoder, built, kind, encoder, mean)
    yield from optional_roles(files.optional, built, generator.size)


def names(files: EditFiles) -> str:
    """The checkpoints that were given."""
    every = (files.generator, files.encoder, *vars(files.optional).values())
    return ", ".join(path.name for path in every if path is not None)


def read_generator(files: EditFiles, encoder: Checkpoint) -> tuple[Generator, Tensor]:
    """The generator, and its mean latent (L, 512): the encoder's own, which it was trained with, before any other."""
    stored = encoder if files.generator is None else read_state(files.generator)
    state = part(stored, "decoder") if files.generator is None else network_of(stored.state, GENERATOR)
    generator = generator_like(state)
    load(generator, completed(state, generator), GENERATOR)
    generator.eval()
    mean = encoder.latent_avg if encoder.latent_avg is not None else stored.latent_avg
    if mean is None:
        mean = generator.mean_latent(MEAN_OF)
    if mean.numel() not in (512, generator.layers * 512):
        raise CheckpointError(
            f"The mean latent has the shape {tuple(mean.shape)}, but the generator has {generator.layers} rows of "
            "512: encoder and generator are not of one resolution."
        )
    return generator, mean.reshape(-1, 512).expand(generator.layers, 512).clone()


def generator_like(state: State) -> Generator:
    """An untrained generator of the size that these weights have. Raises CheckpointError for other weights."""
    layers = sum(1 for key in state if key.startswith("convs.") and key.endswith(".conv.weight"))
    if "conv1.conv.weight" not in state or layers < 2 or layers % 2:
        load(Generator(256), state, GENERATOR)  # which says what they look like instead
    size = 4 * 2 ** (layers // 2)
    widest, narrowest = (state[f"{name}.conv.weight"].shape[1] for name in ("conv1", f"convs.{layers - 1}"))
    multiplier = next((m for m in (2, 1) if channels_at(size, m, widest) == narrowest), 2)
    depth = sum(1 for key in state if key.startswith("style.") and key.endswith(".weight"))
    return Generator(size, n_mlp=depth, channel_multiplier=multiplier, widest=widest)


@torch.no_grad()
def average_image(generator: Generator, mean: Tensor) -> NDArray[np.float32]:
    """(3, 256, 256), nominally [0, 1]: the picture of the mean latent, from which a ReStyle encoder starts."""
    image = (generator(mean[None]) + 1) / 2
    image = F.avg_pool2d(image, max(1, generator.size // SEEN))
    seen = F.interpolate(image, (SEEN, SEEN), mode="bilinear") if generator.size < SEEN else image
    array: NDArray[np.float32] = seen[0].numpy()
    return array


def settings(generator: Generator, kind: str, directions: Sequence[Direction]) -> dict[str, Setting]:
    """What the manifest says beside the networks."""
    said: dict[str, Setting] = {
        "resolution": generator.size,
        "layers": generator.layers,
        "split": default_split(generator.layers),
        "encoder": kind,
        "steps": RESTYLE_STEPS if kind.startswith("restyle") else 1,
    }
    if directions:
        said |= {
            "attributes": tuple(one.name for one in directions),
            "attribute_class": tuple(one.difference_class for one in directions),
            "attribute_unit": tuple(float(one.unit) for one in directions),
            "attribute_parts": tuple(one.parts for one in directions),
        }
    return said
