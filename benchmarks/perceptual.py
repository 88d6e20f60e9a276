"""How alike pictures look to networks: LPIPS of two pictures, FID of two collections, both with weights of the user's.

LPIPS (Zhang et al., The Unreasonable Effectiveness of Deep Features, 2018) through the package lpips, which brings its
linear heads; its AlexNet is torchvision's (alexnet-owt-7be5be79.pth). FID (Heusel et al., GANs Trained by a Two
Time-Scale Update Rule, 2017) of the 2048 features of torch-fidelity's Inception v3, which are those of the original
(weights-inception-2015-12-05-6726825d.pth). Nothing is downloaded. Both packages come with the extra "quality".
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from mien.errors import MienError, MissingDependency
from mien.image import to_tensor

if TYPE_CHECKING:
    from mien_export.checkpoints import State

Image = NDArray[np.uint8]
Floats = NDArray[np.floating]

EXTRA = "quality"
SEEN = 256
"""Larger pictures are averaged down to this side for LPIPS, as the encoders' own evaluations do."""


class Lpips:
    """LPIPS 0.1 with AlexNet."""

    def __init__(self, weights: Path) -> None:
        """``weights``: torchvision's AlexNet. Raises typer.BadParameter: the extra is missing, or another file."""
        with _optional():
            from lpips import LPIPS  # type: ignore[import-not-found,import-untyped,unused-ignore]
        from mien_export import checkpoints

        with warnings.catch_warnings():  # the package speaks torchvision's language of 2021
            warnings.simplefilter("ignore")
            self._network = LPIPS(net="alex", pnet_rand=True, verbose=False)
        trunk = self._network.net
        own = {key.split(".", 1)[1]: key for key in trunk.state_dict()}  # "0.weight": "slice1.0.weight"
        with _refused(weights, "torchvision's AlexNet"):
            state = checkpoints.part(checkpoints.read_state(weights), "features")
            checkpoints.load(trunk, {own.get(key, key): value for key, value in state.items()}, "the AlexNet of LPIPS")

    def __call__(self, one: Image, other: Image) -> float:
        """0 for equal pictures, about 1 for unlike ones; both uint8 (S, S, 3) RGB of the same side."""
        import torch

        with torch.inference_mode():
            pair = [torch.from_numpy(to_tensor(_small(image))) for image in (one, other)]
            return float(self._network(*pair, normalize=True))


class Inception:
    """The features that FID compares."""

    def __init__(self, weights: Path) -> None:
        """``weights``: torch-fidelity's Inception. Raises typer.BadParameter: the extra is missing, or another file."""
        with _optional():
            from torch_fidelity.utils import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
                create_feature_extractor,
            )
        from mien_export.checkpoints import read_state

        with _refused(weights, "torch-fidelity's Inception v3"), _of_tensors_alone(read_state(weights).state) as clean:
            self._network = create_feature_extractor(
                "inception-v3-compat", ["2048"], cuda=False, feature_extractor_weights_path=str(clean), verbose=False
            )

    def __call__(self, image: Image) -> NDArray[np.float32]:
        """(2048,) of one picture, uint8 (H, W, 3) RGB; the network brings it to 299 pixels itself, without averaging,
        as every published FID has it."""
        import torch

        with torch.inference_mode():
            planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
            features: NDArray[np.float32] = self._network(planes[None])[0][0].numpy()
        return features


def frechet_distance(one: Floats, other: Floats) -> float:
    """Squared Frechet distance of the Gaussians with the means and covariances of two sets of features (N, D), (M, D).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) in float64, N, M >= 2. With C = R'R, R from a QR decomposition of the
    centred features, the trace of the root is the sum of the singular values of R1 R2': no root of a matrix is taken,
    and fewer pictures than features do no harm to the arithmetic (they do to what it means).
    """
    if min(len(one), len(other)) < 2:
        raise ValueError(f"A covariance needs two pictures; there are {len(one)} and {len(other)}.")
    (mean, root), (other_mean, other_root) = _moments(one), _moments(other)
    shared = float(np.linalg.svd(root @ other_root.T, compute_uv=False).sum())
    return float(((mean - other_mean) ** 2).sum() + (root**2).sum() + (other_root**2).sum()) - 2 * shared


def _moments(features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (D,), and a root R (K, D) of the covariance R'R, of features (N, D)."""
    exact = features.astype(np.float64)
    mean: NDArray[np.float64] = exact.mean(0)
    return mean, np.asarray(np.linalg.qr((exact - mean) / np.sqrt(len(exact) - 1), mode="r"))


def _small(image: Image) -> Image:
    if len(image) <= SEEN:
        return image
    return np.asarray(cv2.resize(image, (SEEN, SEEN), interpolation=cv2.INTER_AREA), np.uint8)


@contextmanager
def _optional() -> Iterator[None]:
    """Says which extra is missing, or that what is there does not fit together."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise typer.BadParameter(str(MissingDependency(error.name or "lpips", EXTRA))) from error
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision's operators, where it is another build
        raise typer.BadParameter(f"torchvision has to be built for this torch, and is not: {error}") from error


@contextmanager
def _refused(weights: Path, what: str) -> Iterator[None]:
    """Says what is wrong with a file of weights."""
    try:
        yield
    except MienError as error:
        raise typer.BadParameter(str(error)) from error
    except RuntimeError as error:  # torch's word for keys and shapes that do not fit
        raise typer.BadParameter(f"{weights} does not hold {what}: {error}") from error


@contextmanager
def _of_tensors_alone(state: State) -> Iterator[Path]:
    """A file with these weights and nothing else: torch-fidelity unpickles whatever it is given."""
    import torch

    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        torch.save(state, path)
        yield path
