"""Checkpoints to go on with from a bundle: `python -m training.from_bundle BUNDLE DATA EARLIER`, then `--warm EARLIER`.

A bundle holds convolutions into which batch normalisation is folded. Training wants it back: each normalisation is
given the statistics of its inputs on rendered samples, and a gain and shift that undo it, so that the networks compute
what the bundle's do and their normalisations still learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from mien.bundle import Bundle
from mien_export.networks.studio import Appearance, Detector, Generator, Still, StudioSizes
from mien_export.networks.studio_motion import MOTION_SIZE, Motion
from training.data import Shards
from training.loop import grown_inputs
from training.motion_samples import MotionSamples
from training.pairs import PairSamples
from training.points import NAMES, PointArrays, mirror_landmarks
from training.train_detector import DetectorSamples
from training.train_generator import pictures

BATCHES, BATCH = 4, 64
"""Samples that a normalisation's statistics are taken from."""


def initialisers(bundle: Bundle, role: str) -> dict[str, Tensor]:
    """A network's weights by the names they had in torch; those of no module (``weight``, ``bias``) are the graph's."""
    graph = onnx.load_from_string(bundle.model(role)).graph
    return {
        one.name.removeprefix("network.").removesuffix("_half"): torch.from_numpy(
            np.array(onnx.numpy_helper.to_array(one), np.float32)
        )
        for one in graph.initializer
        if one.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    }


def joined(generator: Mapping[str, Tensor], appearance: Mapping[str, Tensor], network: Generator) -> dict[str, Tensor]:
    """The generator's weights with its first convolution whole again: the source's share lies with the appearance."""
    moving, channels = generator["weight"], network.features
    wanted = network.enter[0].weight.shape[1] - 2 * channels  # type: ignore[index]
    own = [moving[:, :channels], appearance["weight"], moving[:, channels : channels + wanted]]
    return {**generator, "enter.0.weight": torch.cat(own, 1), "enter.0.bias": appearance["bias"]}


@torch.no_grad()
def take_over(network: nn.Module, stored: Mapping[str, Tensor], use: Callable[[], object]) -> dict[str, Tensor]:
    """Put the stored weights into the network, let ``use`` run it once, and give all that the bundle knew.

    A weight that the network gained inputs for gets zeros there.
    """
    known: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        old = stored.get(name)
        if old is not None and grown_inputs(old, value):
            old = F.pad(old, (*(0, 0) * (old.ndim - 2), 0, value.shape[1] - old.shape[1]))
        if old is not None and old.shape == value.shape:
            value.copy_(old)
            known[name] = value
    hooks = []
    for name, module in network.named_modules():
        for before, after in zip(list(module.named_children()), list(module.named_children())[1:], strict=False):
            key = f"{name}.{before[0]}".lstrip(".")
            if isinstance(after[1], nn.BatchNorm2d) and f"{key}.bias" in stored and f"{key}.weight" in known:
                hooks.append(after[1].register_forward_pre_hook(undone(stored[f"{key}.bias"])))
                own = after[1].state_dict(prefix=f"{name}.{after[0]}.".lstrip("."), keep_vars=False)
                known.update(own)
    network.eval()
    use()
    for hook in hooks:
        hook.remove()
    return {name: value.clone() for name, value in known.items()}


def undone(bias: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    """A hook that gives a normalisation its input's statistics, and the gain and shift that leave input + ``bias``."""

    def hook(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + bias)

    return hook


def save(path: Path, modules: Mapping[str, Mapping[str, Tensor]]) -> None:
    """A checkpoint as `training.loop.warm_start` reads it."""
    averaged = {f"{module}.{name}": value for module, known in modules.items() for name, value in known.items()}
    torch.save({"averaged": averaged, "step": 0}, path)


def main(
    bundle: Annotated[str, typer.Argument(help="a bundle of the studio family: its name, folder or .zip")],
    data: Annotated[Path, typer.Argument(help="folder of shards from training.make_data")],
    out: Annotated[Path, typer.Argument(help="folder for detector.pt, motion.pt, generator.pt")],
    runs: Annotated[Path, typer.Option(help="folder of points.npz from training.fit_points")] = Path("runs"),
) -> None:
    """Weights of parts that the bundle's networks lack are left out: training begins those anew."""
    torch.manual_seed(0)
    opened = Bundle.open(bundle)
    stored = {role: initialisers(opened, role) for role in ("detector", "motion", "appearance", "generator")}
    arrays = PointArrays.load(runs / "points.npz")
    sizes = StudioSizes(arrays.spread.shape[1], len(arrays.points), len(NAMES))
    order, shards = mirror_landmarks(arrays.points[: sizes.landmarks]), Shards(data)
    out.mkdir(parents=True, exist_ok=True)

    def images(samples: MotionSamples | DetectorSamples) -> Tensor:
        return torch.cat([batch["image"] for batch in samples.first(BATCHES)]).float().div(255)

    detector, seen = Detector(), images(DetectorSamples(shards, BATCH, 0))
    save(out / "detector.pt", {"detector": take_over(detector, stored["detector"], lambda: detector(seen))})

    motion, crops = Motion(sizes), images(MotionSamples(shards, order, MOTION_SIZE, BATCH, 0))
    save(out / "motion.pt", {"motion": take_over(motion, stored["motion"], lambda: motion(crops))})

    appearance, generator = Appearance(), Generator()
    pairs = PairSamples(shards, arrays.model(), order, BATCH, 0).first(1)[0]
    source = pictures(pairs, "source")
    known = {"appearance": take_over(appearance, stored["appearance"],
                                     lambda: appearance(source, pairs["source_openings"]))}  # fmt: skip
    with torch.no_grad():
        seen = appearance(source, pairs["source_openings"])
    points = pairs["source_points"], pairs["driving_points"], pairs["openings"]
    whole = joined(stored["generator"], stored["appearance"], generator)
    known["generator"] = take_over(
        generator, whole, lambda: generator(seen.features, seen.identity, Still.of(source, seen.cover), *points)
    )
    save(out / "generator.pt", known)
    typer.echo(f"{out}: detector.pt, motion.pt, generator.pt")


if __name__ == "__main__":
    typer.run(main)
