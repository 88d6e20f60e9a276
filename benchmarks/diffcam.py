"""How fast is a Diff-CAM++ map in closed form, against the gradients that it replaces?

    python -m benchmarks.diffcam [--threads 1] [--rounds 15]

Two questions, at full size (ResNet-101, 256 x 256), with untrained weights: the time does not depend on them.

* From the activation to the maps of all 17 attributes: `HeatGraph` in ONNX Runtime against one backward pass through
  the head for each attribute. Even the gradient's side is spared the second and third derivatives: it takes powers of
  the first, as everybody does (by autograd, one element at a time, they would take 131,072 passes each).
* From two pictures to the map, six augmentations and Eigen smoothing included: both graphs in ONNX Runtime against
  torch. "library": as a user of pytorch-grad-cam runs it, a forward and a backward pass through the whole network and a
  full SVD for every augmentation and attribute. "lean": what torch can do at best without the closed form, all
  augmentations in one batch, no gradient below the last activation, an economical SVD.

Both sides get the same number of threads; one unless told otherwise, because OpenMP waits for a core that some other
process holds, which flatters ours. "Apart" is the largest difference between two finished maps, which are in [0, 1].
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.measure import compare, show, timings_json, write_json
from mien.sessions import Session, open_session
from mien_export.graphs.difference import DifferenceGraph, augmented
from mien_export.graphs.heat import SIDE, HeatGraph, normalised
from mien_export.networks.difference import Bottleneck, DifferenceNetwork
from mien_export.onnx_export import export

Floats = NDArray[np.float32]

LIBRARY_EPSILON = 1e-6
PUBLISHED = (6, 7, 10, 11, 12, 15, 16)
"""The attributes that have a public direction."""
FLIP = torch.tensor([False, False, False, True, True, True])
BRIGHTNESS = torch.tensor([1.0, 1.1, 0.9] * 2)
APART = 1e-4
"""Asked of two maps that should be the same."""


@dataclass(frozen=True)
class Ours:
    """The closed form as an editor runs it: two ONNX files, fed with arrays."""

    difference: Session
    heat: Session

    def maps(self, activation: Floats, flip: Tensor, attributes: Sequence[int], eigen: bool, epsilon: float) -> Floats:
        """Grad-CAM++ of the activations, (attributes, 256, 256)."""
        feeds = {
            "activation": activation,
            "flip": flip.numpy(),
            "attributes": np.array(attributes),
            "plusplus": np.array([True]),
            "eigen": np.array([eigen]),
            "epsilon": np.array([epsilon], np.float32),
        }
        return self.heat.run(feeds)["heat"]

    def whole(self, inverted: Tensor, edited: Tensor, attributes: Sequence[int]) -> Floats:
        """Diff-CAM++ of two pictures in [0, 1], with the library's constant."""
        feeds = {"inverted": inverted, "edited": edited, "flip": FLIP, "brightness": BRIGHTNESS}
        activation = self.difference.run({name: tensor.numpy() for name, tensor in feeds.items()})["activation"]
        return self.maps(activation, FLIP, attributes, True, LIBRARY_EPSILON)


def untrained(network: DifferenceNetwork) -> DifferenceNetwork:
    """With statistics of random pictures, or the activations of so deep a network would run away.

    Each block adds little to its input: with random weights of full size every rounding error grows 1000-fold.
    """
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
        if isinstance(layer, Bottleneck):
            nn.init.constant_(layer.bn3.weight, 0.2)
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 128, 128) * 2 - 1, torch.rand(2, 3, 128, 128) * 2 - 1)
    return network.eval()


def exported(network: DifferenceNetwork, inverted: Tensor, edited: Tensor, threads: int) -> Ours:
    """Both graphs of the network, loaded."""
    pictures = {"inverted": inverted, "edited": edited, "flip": FLIP[2:4], "brightness": BRIGHTNESS[2:4]}
    names = ("activation", "scores")
    difference = export(DifferenceGraph(network), pictures, names, {"flip": "batch", "brightness": "batch"}).model
    side = inverted.shape[-1] // 32
    maps = {
        "activation": torch.rand(2, network.fc.in_features, side, side),
        "flip": FLIP[2:4],
        "attributes": torch.tensor([0, 1]),
        "plusplus": torch.tensor([True]),
        "eigen": torch.tensor([True]),
        "epsilon": torch.zeros(1),
    }
    free = {"activation": "batch", "flip": "batch", "attributes": "attributes"}
    heat = export(HeatGraph(network.fc.weight), maps, ("heat",), free).model
    return Ours(open_session(difference, threads=threads), open_session(heat, threads=threads))


def backward_map(
    network: DifferenceNetwork, activation: Tensor, attribute: int, epsilon: float, eigen: bool, full: bool
) -> Tensor:
    """One Grad-CAM++ map (256, 256) of one activation (1, C, h, w), ``eigen`` by a ``full`` or an economical SVD.

    Of exp(score) where ``epsilon`` is 0, as the paper has it, else of the score, as the library has it.
    """
    leaf = activation.detach().clone().requires_grad_()
    score = network.fc(leaf.mean((2, 3)))[0, attribute]
    target = score if epsilon else score.exp()
    (gradient,) = torch.autograd.grad(target, leaf)
    return finished(gradient if epsilon else gradient / target.detach(), leaf.detach(), epsilon, eigen, full)


@torch.no_grad()
def finished(gradient: Tensor, activation: Tensor, epsilon: float, eigen: bool, full: bool) -> Tensor:
    """Gradient and activation (1, C, h, w) to a map, step by step as pytorch-grad-cam does it."""
    square = gradient**2
    alpha = square / (2 * square + activation.sum((2, 3), keepdim=True) * gradient**3 + epsilon)
    weights = (torch.where(gradient != 0, alpha, 0.0) * gradient.relu()).sum((2, 3), keepdim=True)
    weighted = weights * activation
    plain = weighted.sum(1)
    if not eigen:
        return normalised(plain, (SIDE, SIDE))[0]
    centred = weighted[0].flatten(1).T
    centred = centred - centred.mean(0)
    projected = (centred @ torch.linalg.svd(centred, full_matrices=full)[2][0]).view_as(plain)
    # The library leaves the sign to chance; a map that may be the wrong way round cannot be compared.
    return normalised(projected * torch.sign((projected * plain).sum()), (SIDE, SIDE))[0]


def library(network: DifferenceNetwork, inverted: Tensor, edited: Tensor, attribute: int) -> Tensor:
    """Diff-CAM++ (256, 256): each augmentation on its own, forward and back through everything."""
    maps = []
    for flip, brightness in zip(FLIP, BRIGHTNESS, strict=True):
        before, after = (
            augmented(p * 2 - 1, flip.view(1), brightness.view(1)).requires_grad_() for p in (inverted, edited)
        )
        features = network(before, after)
        features.activation.retain_grad()
        network.zero_grad()
        features.scores[0, attribute].backward()
        gradient = features.activation.grad
        one = finished(gradient, features.activation.detach(), LIBRARY_EPSILON, eigen=True, full=True)
        maps.append(one.flip(-1) if flip else one)
    return torch.stack(maps).mean(0)


def lean(network: DifferenceNetwork, inverted: Tensor, edited: Tensor, attributes: Sequence[int]) -> Tensor:
    """Diff-CAM++ (attributes, 256, 256): one batch, gradients of the head alone."""
    with torch.no_grad():
        rows = (augmented(p * 2 - 1, FLIP, BRIGHTNESS) for p in (inverted, edited))
        activation = network(*rows).activation
    maps = []
    for attribute in attributes:
        each = [backward_map(network, row[None], attribute, LIBRARY_EPSILON, True, False) for row in activation]
        maps.append(torch.stack([m.flip(-1) if f else m for m, f in zip(each, FLIP, strict=True)]).mean(0))
    return torch.stack(maps)


def apart(ours: Floats, theirs: Tensor | Sequence[Tensor]) -> float:
    """Largest difference."""
    stacked = theirs if isinstance(theirs, Tensor) else torch.stack(list(theirs))
    return float(np.abs(ours - stacked.numpy()).max())


@dataclass(frozen=True)
class Contest:
    """Ways to the same maps, timed in one interleaved run."""

    title: str
    contenders: Mapping[str, Callable[[], object]]
    """The first is ours, and what the others are compared with."""
    apart: Mapping[str, float]
    """From ours, by what was compared."""
    times: Mapping[str, int]
    """How often a contender would have to run for all the maps; 1 where it is not named."""

    def run(self, rounds: int) -> dict[str, object]:
        """Prints the table and gives what belongs into the JSON file."""
        timings = compare(self.contenders, next(iter(self.contenders)), rounds, warmup=1)
        rows = [(t, self.times.get(t.name, 1)) for t in timings]
        slower = {t.name: times / t.speedup for t, times in rows}
        lines = [[t.name, times * t.median_ms, times * t.best_ms, slower[t.name]] for t, times in rows]
        show(self.title, ("what", "median ms", "best ms", "times ours"), lines)
        show(f"maps apart ({APART:.0e} asked)", ("from ours", "largest difference"), self.apart.items())
        return {"timings": timings_json(timings), "times_ours": slower, "apart": dict(self.apart)}


def of_activation(network: DifferenceNetwork, ours: Ours, inverted: Tensor, edited: Tensor) -> list[Contest]:
    """All attributes of the pictures' activation, with Eigen smoothing and without."""
    with torch.no_grad():
        activation = network(inverted * 2 - 1, edited * 2 - 1).activation
    array, every = activation.numpy(), range(network.fc.out_features)

    def closed(eigen: bool, epsilon: float = 0.0) -> Floats:
        return ours.maps(array, FLIP[:1], every, eigen, epsilon)

    def backward(eigen: bool, epsilon: float = 0.0, full: bool = False) -> list[Tensor]:
        return [backward_map(network, activation, attribute, epsilon, eigen, full) for attribute in every]

    smooth = Contest(
        f"{len(every)} maps from one activation, Eigen smoothing",
        {
            "closed form": lambda: closed(True),
            "gradients, economical SVD": lambda: backward(True),
            "gradients, full SVD (library)": lambda: backward(True, LIBRARY_EPSILON, full=True),
        },
        {
            "exact": apart(closed(True), backward(True)),
            "library": apart(closed(True, LIBRARY_EPSILON), backward(True, LIBRARY_EPSILON, full=True)),
        },
        {},
    )
    plain = Contest(
        f"{len(every)} maps from one activation, no smoothing",
        {"closed form": lambda: closed(False), "gradients": lambda: backward(False)},
        {"exact": apart(closed(False), backward(False))},
        {},
    )
    return [smooth, plain]


def of_pictures(network: DifferenceNetwork, ours: Ours, inverted: Tensor, edited: Tensor) -> list[Contest]:
    """Diff-CAM++ of one attribute, and of all published ones."""
    first = PUBLISHED[:1]

    def by_library() -> Tensor:
        return library(network, inverted, edited, first[0])

    maps, count = ours.whole(inverted, edited, PUBLISHED), len(PUBLISHED)
    one = Contest(
        "1 attribute from two pictures",
        {
            "closed form": lambda: ours.whole(inverted, edited, first),
            "lean torch": lambda: lean(network, inverted, edited, first),
            "library": by_library,
        },
        {"library": apart(maps[:1], by_library()[None])},
        {},
    )
    repeated = f"library ({count} x its time for 1)"
    several = Contest(
        f"{count} attributes from two pictures",
        {
            "closed form": lambda: ours.whole(inverted, edited, PUBLISHED),
            "lean torch": lambda: lean(network, inverted, edited, PUBLISHED),
            repeated: by_library,
        },
        {"lean torch": apart(maps, lean(network, inverted, edited, PUBLISHED))},
        {repeated: count},
    )
    return [one, several]


def main() -> None:
    """Runs the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9, help="of the maps alone; the whole takes a third as many")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    network = untrained(DifferenceNetwork())
    inverted = torch.rand(1, 3, SIDE, SIDE)
    edited = inverted.clone()
    edited[..., 120:200, 80:180] = torch.rand(1, 3, 80, 100)
    ours = exported(network, inverted, edited, options.threads)
    scene = network, ours, inverted, edited
    results = {contest.title: contest.run(options.rounds) for contest in of_activation(*scene)}
    results |= {contest.title: contest.run(max(1, options.rounds // 3)) for contest in of_pictures(*scene)}
    print(write_json("diffcam", {"threads": options.threads, "contests": results}))


if __name__ == "__main__":
    main()
