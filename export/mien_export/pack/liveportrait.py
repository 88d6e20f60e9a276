"""Puts LivePortrait's public checkpoints into a bundle: every network exported, compared, described, hashed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mien.bundle import Bundle, Licence, Manifest, refuse_existing, write_bundle
from mien_export.checkpoint_files import CheckpointError
from mien_export.checkpoints import State, load, read_state
from mien_export.graphs import liveportrait as graphs
from mien_export.networks import liveportrait as networks
from mien_export.onnx_export import Exported
from mien_export.pack.description import GENERATOR_TOLERANCE, Traced, described, picture, plain
from mien_export.pack.neutral_lips import NEUTRAL_LIPS
from mien_export.recognise import described as what_it_is
from mien_export.recognise import recognise

SUFFIXES = (".pth", ".pt", ".safetensors")

RETARGETING = "stitching_retargeting_module.pth"

FILES: Mapping[str, str] = {
    "LivePortrait's appearance extractor (F)": "appearance_feature_extractor.pth",
    "LivePortrait's motion extractor (M)": "motion_extractor.pth",
    "LivePortrait's warp (W)": "warping_module.pth",
    "LivePortrait's decoder (G)": "spade_generator.pth",
    "LivePortrait's stitching network": RETARGETING,
    "LivePortrait's eye retargeting": RETARGETING,
    "LivePortrait's lip retargeting": RETARGETING,
}
"""What a bundle is made of, as `recognise` calls it, and the public file that it lies in."""

F, M, W, G, STITCHING, EYES, LIPS = FILES

Network = TypeVar("Network", bound=nn.Module)
Perceptron = networks.StitchingRetargetingNetwork


@dataclass(frozen=True)
class LivePortraitNetworks:
    """How each network is built before its weights are read; the public sizes, unless a test wants small ones.

    ``side``: pixels of the pictures that the networks look at.
    """

    appearance: Callable[[], networks.AppearanceFeatureExtractor] = networks.AppearanceFeatureExtractor
    motion: Callable[[], networks.MotionExtractor] = networks.MotionExtractor
    warp: Callable[[], networks.WarpingNetwork] = networks.WarpingNetwork
    decoder: Callable[[], networks.SPADEDecoder] = networks.SPADEDecoder
    stitching: Callable[[], Perceptron] = partial(Perceptron, 126, (128, 128, 64), 65)
    eye: Callable[[], Perceptron] = partial(Perceptron, 66, (256, 256, 128, 128, 64), 63)
    lip: Callable[[], Perceptron] = partial(Perceptron, 65, (128, 128, 64), 63)
    side: int = 256


@dataclass(frozen=True, eq=False)
class Weighted:
    """All networks with their weights."""

    appearance: networks.AppearanceFeatureExtractor
    motion: networks.MotionExtractor
    warp: networks.WarpingNetwork
    decoder: networks.SPADEDecoder
    stitching: Perceptron
    eye: Perceptron
    lip: Perceptron


def pack_liveportrait(
    checkpoints: Sequence[Path],
    out: str | PathLike[str],
    minimal: bool = True,
    overwrite: bool = False,
    built: LivePortraitNetworks | None = None,
) -> tuple[Bundle, dict[str, Exported]]:
    """Convert, check and write. ``checkpoints``: the five public files in any order, or a folder that holds them.

    Each file is known by what is in it, not by its name. ``minimal``: convolutions in the form that is fastest in
    float32 on a CPU; False where `lower.lower` goes on. Raises CheckpointError for files that are missing, given twice
    or of something else; ParityError, OutputError.
    """
    refuse_existing(out, overwrite)
    built = built or LivePortraitNetworks()
    files = tuple(checkpoint_files(checkpoints))
    weighted = with_weights(built, read_parts(files))
    exported, specs = {}, {}
    for role, make in roles(weighted, built.side, minimal=minimal):
        one = make()
        exported[role] = one.export()
        specs[role] = described(role, one, exported[role])
    (crop,) = {info.shape[-1] for info in specs["generator"].outputs if info.name == "image"}
    manifest = Manifest(
        name=Path(out).stem,
        task="reenact",
        family="liveportrait",
        licence=Licence(code="MIT", weights="as the checkpoints it was made from"),
        origin=f"Exported from {', '.join(path.name for path in files)}.",
        networks=specs,
        extra={"crop": crop},
    )
    arrays = {"lip_neutral": np.array(NEUTRAL_LIPS, np.float32)}
    models = {role: one.model for role, one in exported.items()}
    return write_bundle(out, manifest, models, arrays, overwrite), exported


def checkpoint_files(given: Iterable[Path]) -> Iterator[Path]:
    """The files given, and for a folder those anywhere in it. Raises CheckpointError for a folder without any."""
    for path in given:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES)
        if not inside:
            raise CheckpointError(
                f"LivePortrait's checkpoints were looked for in {path}; it holds no {', '.join(SUFFIXES)} file."
            )
        yield from inside


def read_parts(files: Sequence[Path]) -> dict[str, State]:
    """Every part of `FILES` by its name there. Raises CheckpointError unless each is there once and nothing else is."""
    found: dict[str, tuple[Path, State]] = {}
    for path in files:
        for name, state in parts_of(path).items():
            if name in found:
                raise CheckpointError(
                    f"{name} was given twice, in {found[name][0]} and {path}. Give the files of one model alone: those "
                    "of another version, or of the animals' model, look the same and do not fit the others."
                )
            found[name] = path, state
    missing = [f"{name} ({file})" for name, file in FILES.items() if name not in found]
    if missing:
        raise CheckpointError(
            f"A LivePortrait bundle needs five checkpoint files. Missing: {', '.join(missing)}. "
            f"Given: {', '.join(found) or 'nothing'}."
        )
    return {name: state for name, (_, state) in found.items()}


def parts_of(path: Path) -> dict[str, State]:
    """What of `FILES` lies in one file: a network, or several by name. Raises CheckpointError for anything else."""
    state = read_state(path).state
    several: dict[str, State] = {}
    for key, value in state.items():
        name, _, rest = key.partition(".")
        several.setdefault(name, {})[rest] = value
    for candidates in ([state], [*several.values()]):
        named = {recognise(one) or "": one for one in candidates}
        if named.keys() <= FILES.keys():
            return named
    raise CheckpointError(
        f"{path} is not one of LivePortrait's checkpoint files ({', '.join(dict.fromkeys(FILES.values()))}). "
        f"It holds {what_it_is(state)}."
    )


def with_weights(built: LivePortraitNetworks, parts: Mapping[str, State]) -> Weighted:
    """Every network with its part of the checkpoints. Raises CheckpointError."""

    def filled(network: Network, name: str) -> Network:
        load(network, parts[name], name)
        return network.eval()

    return Weighted(
        filled(built.appearance(), F),
        filled(built.motion(), M),
        filled(built.warp(), W),
        filled(built.decoder(), G),
        filled(built.stitching(), STITCHING),
        filled(built.eye(), EYES),
        filled(built.lip(), LIPS),
    )


def roles(weighted: Weighted, side: int, minimal: bool) -> Iterator[tuple[str, Callable[[], Traced]]]:
    """Every network of the bundle, one after another, so that one graph at a time is in memory.

    ``minimal`` as `mien_export.graphs.liveportrait.GeneratorGraph`.
    """
    yield "motion", partial(traced_motion, weighted, side)
    yield "appearance", partial(traced_appearance, weighted, side)
    yield "generator", partial(traced_generator, weighted, side, minimal)
    yield "retarget_eye", partial(traced_retargeting, weighted.eye)
    yield "retarget_lip", partial(traced_retargeting, weighted.lip)


def traced_motion(weighted: Weighted, side: int) -> Traced:
    """Faces to poses and points."""
    points = weighted.motion.num_kp
    shapes: Mapping[str, tuple[int, ...]] = {
        "angles": (3,), "translation": (3,), "expression": (points, 3), "scale": (1,), "keypoints": (points, 3)
    }  # fmt: skip
    return Traced(
        graphs.MotionGraph(weighted.motion),
        {"image": example(2, 3, side, side)},
        (picture("image", side, "batch"),),
        tuple(plain(name, "batch", *shape) for name, shape in shapes.items()),
        "batch",
    )


@torch.no_grad()
def traced_appearance(weighted: Weighted, side: int) -> Traced:
    """A source, and where its points are, to all that the generator needs of it."""
    graph = graphs.AppearanceGraph(weighted.appearance, weighted.warp).eval()
    inputs = {"image": example(1, 3, side, side), "source_points": cloud(weighted, 1)}
    names = "volume", "compressed", "context", "context_heat"
    return Traced(
        graph,
        inputs,
        (picture("image", side), plain("source_points", *inputs["source_points"].shape)),
        tuple(plain(name, *value.shape) for name, value in zip(names, graph(**inputs), strict=True)),
    )


@torch.no_grad()
def traced_generator(weighted: Weighted, side: int, minimal: bool) -> Traced:
    """All of a source, and a driver's points, to the picture."""
    graph = graphs.GeneratorGraph(weighted.warp, weighted.decoder, weighted.stitching, minimal).eval()
    still = traced_appearance(weighted, side)
    source = still.example["source_points"]
    # As between two frames of a face: across wild motions untrained weights enlarge every rounding error.
    driving = source + cloud(weighted, 2) / 5
    inputs = {
        **{info.name: value for info, value in zip(still.outputs, still.module(**still.example), strict=True)},
        "source_points": source,
        "driving_points": driving,
        "stitching": torch.ones(1),
        "offsets": (driving - source) / 10,
        "multiplier": torch.tensor([0.9]),
    }
    image, used = graph(**inputs)
    return Traced(
        graph,
        inputs,
        tuple(plain(name, *value.shape) for name, value in inputs.items()),
        (picture("image", image.shape[-1]), plain("points", *used.shape)),
        tolerance=GENERATOR_TOLERANCE,
    )


def traced_retargeting(network: Perceptron) -> Traced:
    """A source's points and openings to how its points move."""
    graph = graphs.RetargetGraph(network)
    feature = example(2, next(network.parameters()).shape[1])
    with torch.no_grad():
        delta = graph(feature)
    return Traced(
        graph,
        {"feature": feature},
        (plain("feature", "batch", feature.shape[1]),),
        (plain("delta", "batch", *delta.shape[1:]),),
        "batch",
    )


def example(*shape: int) -> Tensor:
    """Numbers in [0, 1], the same at every call; pictures of them have spots large enough to be seen."""
    spots = tuple(max(1, size // 16) if place > 1 else size for place, size in enumerate(shape))
    small = torch.rand(spots, generator=torch.Generator().manual_seed(sum(shape)))
    return small if len(shape) < 4 else nn.functional.interpolate(small, shape[2:], mode="bilinear")


def cloud(weighted: Weighted, seed: int) -> Tensor:
    """Points (1, K, 3) of the size of a head."""
    random = torch.Generator().manual_seed(seed)
    return 0.2 * torch.randn(1, weighted.motion.num_kp, 3, generator=random)
