"""What is exported of each editing network: the module to trace, example inputs, and what its tensors mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from mien.bundle import TensorInfo
from mien_export.checkpoints import Checkpoint, load, network_of, read_state
from mien_export.encoder_kind import encoder_state
from mien_export.graphs.deghost import DeghostGraph
from mien_export.graphs.difference import DifferenceGraph
from mien_export.graphs.encoders import EncoderGraph, ReStyleGraph
from mien_export.graphs.heat import HeatGraph
from mien_export.graphs.identity import IdentityGraph
from mien_export.graphs.mapping import MappingGraph
from mien_export.graphs.parsing import ParsingGraph
from mien_export.graphs.synthesis import Noise, Rows, default_split, split_at
from mien_export.networks import encoders
from mien_export.networks.bisenet import BiSeNet
from mien_export.networks.deghosting import Deghosting
from mien_export.networks.difference import DifferenceNetwork
from mien_export.networks.irse50 import ArcFace
from mien_export.networks.stylegan2 import Generator
from mien_export.pack.description import Traced, picture, plain

SEEN = 256
"""Side of the pictures that encoder, difference and identity network look at."""

PARSED = 512
"""Side of the labels."""

Network = TypeVar("Network", bound=nn.Module)
Role = tuple[str, Callable[[], Traced]]


@dataclass(frozen=True)
class OptionalFiles:
    """Public checkpoints of the networks that draw and clean the mask of an edit, and that judge its identity."""

    parsing: Path | None = None
    difference: Path | None = None
    deghost: Path | None = None
    identity: Path | None = None


ENCODERS: Mapping[str, Callable[[int], encoders.StyleEncoder | encoders.WEncoder]] = {
    "psp": lambda rows: encoders.GradualStyleEncoder(styles=rows),
    "e4e": lambda rows: encoders.Encoder4Editing(styles=rows),
    "psp-w": lambda rows: encoders.WEncoder(),
    "restyle-psp": lambda rows: encoders.BackboneEncoder(styles=rows),
    "restyle-e4e": lambda rows: encoders.ProgressiveBackboneEncoder(styles=rows),
}


@dataclass(frozen=True)
class EditNetworks:
    """How each architecture is built before its weights are read; the public sizes, unless a test wants small ones."""

    encoders: Mapping[str, Callable[[int], encoders.StyleEncoder | encoders.WEncoder]] = field(
        default_factory=lambda: ENCODERS
    )
    parsing: Callable[[], BiSeNet] = BiSeNet
    difference: Callable[[], DifferenceNetwork] = DifferenceNetwork
    deghost: Callable[[], Deghosting] = Deghosting
    identity: Callable[[], ArcFace] = ArcFace


def latents(name: str, rows: int) -> TensorInfo:
    """W+ codes of a batch."""
    return plain(name, "batch", rows, 512)


def seen(name: str, count: int | str, size: int = SEEN) -> TensorInfo:
    """An RGB picture, nominally in [0, 1] and not clamped."""
    return TensorInfo(name, "float32", (count, 3, size, size), "NCHW", "RGB")


def traced_mapping(generator: Generator) -> Traced:
    """z to w."""
    z, w = (plain(name, "batch", generator.style_dim) for name in ("z", "w"))
    return Traced(MappingGraph(generator), {"z": example(2, generator.style_dim)}, (z,), (w,), "batch")


def synthesis_roles(generator: Generator, noise: Noise) -> Iterator[Role]:
    """Both halves of the synthesis, with a batch of their own; noise that is fed is the same for all of it."""
    rows = generator.layers
    early, late = split_at(generator, default_split(rows), noise)
    codes = example(2, rows, 512) * 2 - 1
    with torch.no_grad():
        features, rgb = early(codes, **maps(early))
    halfway = (
        plain("features", "batch", *features.shape[1:], layout="NCHW"),
        plain("rgb", "batch", *rgb.shape[1:], layout="NCHW"),
    )
    pictures = (picture("image", generator.size, "batch"), seen("small", "batch", min(generator.size, SEEN)))
    code = latents("latents", rows)
    coarse, fine = {"latents": codes}, {"features": features, "rgb": rgb, "latents": codes}
    yield "synthesis_early", partial(traced_half, early, coarse, (code,), halfway)
    yield "synthesis_late", partial(traced_half, late, fine, (*halfway, code), pictures)


def traced_half(
    half: Rows, feeds: dict[str, Tensor], inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]
) -> Traced:
    """One half of the synthesis, and the maps of noise that it has to be fed."""
    fed = tuple(plain(name, *shape, layout="NCHW") for name, shape in half.noise_shapes.items())
    return Traced(half, feeds | maps(half), (*inputs, *fed), outputs, dict.fromkeys(feeds, "batch"))


def maps(half: Rows) -> dict[str, Tensor]:
    """Noise for the inputs that ask for it."""
    return {name: example(*shape) * 2 - 1 for name, shape in half.noise_shapes.items()}


def traced_encoder(built: EditNetworks, kind: str, checkpoint: Checkpoint, mean: Tensor) -> Traced:
    """A picture to W+, in one go or as one of ReStyle's rounds."""
    rows = len(mean)
    network = built.encoders[kind](rows)
    load(network, encoder_state(checkpoint), f"the encoder {kind!r}")
    out = (latents("latents", rows),)
    if isinstance(network, encoders.StyleEncoder) and kind.startswith("restyle"):
        shown = example(2, 3, SEEN, SEEN)
        feeds = {"image": shown, "current": 1 - shown, "latents_in": example(2, rows, 512)}
        inputs = (picture("image", SEEN, "batch"), seen("current", "batch"), latents("latents_in", rows))
        return Traced(ReStyleGraph(network), feeds, inputs, out, "batch")
    starts = checkpoint.opts.get("start_from_latent_avg", True)
    graph = EncoderGraph(network, mean if starts else torch.zeros_like(mean), rows)
    return Traced(graph, {"image": example(2, 3, SEEN, SEEN)}, (picture("image", SEEN, "batch"),), out, "batch")


def optional_roles(files: OptionalFiles, built: EditNetworks, size: int) -> Iterator[Role]:
    """The networks that a bundle can do without, their weights read: a wrong file is known before the long work."""
    if (path := files.parsing) is not None:
        yield "parsing", partial(traced_parsing, weighted(built.parsing(), path, "a BiSeNet face parser"), size)
    if (path := files.difference) is not None:
        network = weighted(built.difference(), path, "a difference network")
        yield "difference", partial(traced_difference, network)
        yield "heat", partial(traced_heat, network)
    if (path := files.deghost) is not None:
        yield "deghost", partial(traced_deghost, weighted(built.deghost(), path, "a deghosting network"), size)
    if (path := files.identity) is not None:
        yield "identity", partial(traced_identity, weighted(built.identity(), path, "an ArcFace IR-SE50"))


def weighted(network: Network, path: Path, what: str) -> Network:
    """With its weights from a file; ``what`` it is, as `mien_export.recognise` calls it."""
    load(network, network_of(read_state(path).state, what), what)
    return network


def traced_parsing(network: BiSeNet, size: int) -> Traced:
    """A picture to labels."""
    graph = ParsingGraph(network, size)
    labels = TensorInfo("labels", "uint8", ("batch", PARSED, PARSED), "NHW")
    return Traced(graph, {"image": example(2, 3, size, size)}, (picture("image", size, "batch"),), (labels,), "batch")


def traced_difference(network: DifferenceNetwork) -> Traced:
    """Two pictures and how to augment them to features of their difference."""
    flags = flip(), TensorInfo("brightness", "float32", ("batch",))
    with torch.no_grad():
        features = network(example(1, 3, SEEN, SEEN), example(1, 3, SEEN, SEEN)).activation
    return Traced(
        DifferenceGraph(network),
        {
            "inverted": example(1, 3, SEEN, SEEN),
            "edited": example(1, 3, SEEN, SEEN),
            "flip": torch.tensor([False, True]),
            "brightness": torch.tensor([1.0, 0.9]),
        },
        (seen("inverted", 1), seen("edited", 1), *flags),
        (
            plain("activation", "batch", *features.shape[1:], layout="NCHW"),
            plain("scores", "batch", network.fc.out_features),
        ),
        {"flip": "batch", "brightness": "batch"},
    )


def traced_heat(network: DifferenceNetwork) -> Traced:
    """Features of the difference to maps of the attributes asked for."""
    with torch.no_grad():
        features = network(example(2, 3, SEEN, SEEN), example(2, 3, SEEN, SEEN)).activation
    return Traced(
        HeatGraph(network.fc.weight),
        {
            "activation": features,
            "flip": torch.tensor([False, True]),
            "attributes": torch.arange(2),
            "plusplus": torch.tensor([True]),
            "eigen": torch.tensor([True]),
            "epsilon": torch.tensor([0.0]),
        },
        (
            plain("activation", "batch", *features.shape[1:], layout="NCHW"),
            flip(),
            TensorInfo("attributes", "int64", ("count",)),
            TensorInfo("plusplus", "bool", (1,)),
            TensorInfo("eigen", "bool", (1,)),
            TensorInfo("epsilon", "float32", (1,)),
        ),
        (plain("heat", "count", SEEN, SEEN, span=(0.0, 1.0)),),
        {"activation": "batch", "flip": "batch", "attributes": "count"},
    )


def traced_deghost(network: Deghosting, size: int) -> Traced:
    """A blended picture to a clean one."""
    graph = DeghostGraph(network, size)
    image = picture("fused", size, "batch"), picture("clean", size, "batch")
    return Traced(graph, {"fused": example(2, 3, size, size)}, image[:1], image[1:], "batch")


def traced_identity(network: ArcFace) -> Traced:
    """An aligned face to an embedding of its identity."""
    graph = IdentityGraph(network)
    out = (plain("embedding", "batch", 512, span=(-1.0, 1.0)),)
    return Traced(graph, {"image": example(2, 3, SEEN, SEEN)}, (picture("image", SEEN, "batch"),), out, "batch")


def flip() -> TensorInfo:
    """Which rows of a batch are mirrored."""
    return TensorInfo("flip", "bool", ("batch",))


def example(*shape: int) -> Tensor:
    """Numbers in [0, 1], the same at every call: what a graph is traced and compared with."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))
