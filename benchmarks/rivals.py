"""The four reenactment families as their authors wrote them, beside what mien exports, on the same weights.

The authors' side is the key-compatible network itself, cut where ours is: what depends on the source alone
(``appearance``), the driver's motion, and the picture. What no exporter knows is done beforehand on both sides (LIA's
orthonormal directions, TPSMM's 8 x 8 systems). Weights, keypoints and pictures are those of the parity cases
(tests/goldens): of untrained networks they are the ones whose pictures have contrast and whose points look like a face.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from mien_export.checkpoints import Checkpoint
from mien_export.networks import fomm, liveportrait, tpsmm
from mien_export.networks.lia import Generator
from mien_export.pack import fomm as fomm_pack
from mien_export.pack import lia as lia_pack
from mien_export.pack import liveportrait as liveportrait_pack
from mien_export.pack import tpsmm as tpsmm_pack
from mien_export.pack.description import Traced
from tests.export import filling
from tests.export.parity_cases import CASES

GOLDENS = Path(__file__).parents[1] / "tests" / "goldens"
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Rival:
    """One network of ours, and the authors' way from the same to the same.

    ``feeds``: beside what ``appearance`` gives where that is read; ``naive_feeds``: those of the authors' module where
    they differ. ``outputs``: of the authors' module.
    """

    ours: Traced
    naive: nn.Module
    outputs: Sequence[str]
    feeds: Tensors
    naive_feeds: Tensors

    @property
    def names(self) -> list[str]:
        """Our outputs."""
        return [info.name for info in self.ours.outputs]


@dataclass(frozen=True)
class Chain:
    """A family: ``rivals`` by role. ``each_frame``: roles that run for each frame; ``again``: roles that the authors
    run again for each frame although nothing in them has changed."""

    rivals: Mapping[str, Rival]
    each_frame: Sequence[str]
    again: Sequence[str] = ()


class Naive(nn.Module):
    """A function of a network's tensors as a module that can be traced; ``network`` holds the weights."""

    network: Any

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)


class FommKeypoints(Naive):
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        found = self.network(image)
        return found.value, found.jacobian


class FommAppearance(Naive):
    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.network.encoded(image)
        return features


class FommGenerator(Naive):
    def forward(
        self, features: Tensor, image: Tensor, source_value: Tensor, source_jacobian: Tensor, driving_value: Tensor,
        driving_jacobian: Tensor,
    ) -> Tensor:  # fmt: skip
        source, driving = (
            fomm.Keypoints(source_value, source_jacobian),
            fomm.Keypoints(driving_value, driving_jacobian),
        )
        motion = self.network.dense_motion_network(image, driving, source)
        out = fomm.warped(features, motion.deformation)
        if motion.occlusion is not None:
            out = out * fomm.resized(motion.occlusion, out.shape[-2:])
        picture: Tensor = self.network.decoded(out)
        return picture


def fomm_chain(detector: fomm.KPDetector, generator: fomm.OcclusionAwareGenerator, given: Tensors) -> Chain:
    """``given``: the inputs of the case fomm_generator."""
    ours = fomm_pack.traced(detector.eval(), generator.eval(), minimal=True)
    image = {"image": given["source_image"]}
    points = {name.removeprefix("kp_"): value for name, value in given.items() if name.startswith("kp_")}
    value = "value", "jacobian"
    return Chain(
        {
            "keypoints": Rival(ours["keypoints"], FommKeypoints(detector), value, image, image),
            "appearance": Rival(ours["appearance"], FommAppearance(generator), ["features"], image, image),
            "generator": Rival(ours["generator"], FommGenerator(generator), ["picture"], points, {**image, **points}),
        },
        ("keypoints", "generator"),
        ("appearance",),
    )


class LiaMotion(Naive):
    def forward(self, image: Tensor) -> Tensor:
        motion: Tensor = self.network.enc.motion(self.network.enc(image * 2 - 1).latent)
        return motion


class LiaAppearance(Naive):
    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.network.enc(image * 2 - 1)
        return found.latent, self.network.enc.motion(found.latent), *found.features


class LiaGenerator(Naive):
    def __init__(self, network: Generator) -> None:
        super().__init__(network)
        self.register_buffer("basis", network.dec.direction.basis())

    def forward(
        self, latent: Tensor, motion: Tensor, feature_8: Tensor, feature_16: Tensor, feature_32: Tensor,
        feature_64: Tensor | None = None, feature_128: Tensor | None = None, feature_256: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        every = feature_8, feature_16, feature_32, feature_64, feature_128, feature_256
        code = latent + motion @ self.get_buffer("basis").T
        picture: Tensor = self.network.dec(code, [one for one in every if one is not None])
        return (picture / 2 + 0.5).clamp(0, 1)


def lia_chain(generator: Generator, given: Tensors) -> Chain:
    """``given``: the inputs of the case lia_generator, in [-1, 1]."""
    ours = lia_pack.traced(generator.eval())
    source, driving = ({"image": (given[name] / 2 + 0.5).clamp(0, 1)} for name in ("source", "driving"))
    read = LiaMotion(generator)
    with torch.no_grad():
        moved = {"motion": read(**driving)}
    sides = [8 << level for level in range(len(generator.dec.to_flows))]
    seen = ["latent", "motion", *(f"feature_{side}" for side in sides)]
    return Chain(
        {
            "motion": Rival(ours["motion"], read, ["motion"], driving, driving),
            "appearance": Rival(ours["appearance"], LiaAppearance(generator), seen, source, source),
            "generator": Rival(ours["generator"], LiaGenerator(generator), ["picture"], moved, moved),
        },
        ("motion", "generator"),
        ("appearance",),
    )


class TpsmmAppearance(Naive):
    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.encoded(image))


class TpsmmGenerator(nn.Module):
    def __init__(self, dense: tpsmm.DenseMotionNetwork, paint: tpsmm.InpaintingNetwork) -> None:
        super().__init__()
        self.dense, self.paint = dense.eval().requires_grad_(False), paint.eval().requires_grad_(False)

    def forward(
        self, image: Tensor, source_points: Tensor, driving_points: Tensor, splines: Tensor, map_0: Tensor,
        map_1: Tensor, map_2: Tensor, map_3: Tensor,
    ) -> Tensor:  # fmt: skip
        with patch.object(tpsmm, "solved_splines", lambda driving, source: splines):
            motion = self.dense(image, driving_points, source_points)
        with patch.object(tpsmm.InpaintingNetwork, "encoded", lambda network, picture: [map_0, map_1, map_2, map_3]):
            picture: Tensor = self.paint(image, motion.deformation, motion.occlusions).prediction
        return picture


def tpsmm_chain(
    detector: tpsmm.KPDetector, dense: tpsmm.DenseMotionNetwork, paint: tpsmm.InpaintingNetwork, given: Tensors
) -> Chain:
    """``given``: the inputs of the case tpsmm_dense_motion."""
    built = tpsmm_pack.TpsmmNetworks(lambda: detector, lambda: dense, lambda: paint)
    made = {"kp_detector": detector, "dense_motion_network": dense, "inpainting_network": paint}
    state = {f"{name}.{key}": value for name, one in made.items() for key, value in one.state_dict().items()}
    ours = tpsmm_pack.traced(Checkpoint(state), built, minimal=True)
    image, source, driving = given["source_image"], given["kp_source"], given["kp_driving"]
    picture = {"image": image}
    points = {
        "source_points": source,
        "driving_points": driving,
        "splines": tpsmm.solved_splines(driving.double(), source.double()).float(),
    }
    maps = [f"map_{index}" for index in range(len(paint.down_blocks) + 1)]
    return Chain(
        {
            "keypoints": Rival(ours["keypoints"], detector.requires_grad_(False), ["points"], picture, picture),
            "appearance": Rival(ours["appearance"], TpsmmAppearance(paint), maps, picture, picture),
            "generator": Rival(
                ours["generator"], TpsmmGenerator(dense, paint), ["picture"], points, {**picture, **points}
            ),
        },
        ("keypoints", "generator"),
        ("appearance",),
    )


class LivePortraitGenerator(nn.Module):
    """Warp and decoder one behind the other."""

    def __init__(self, warp: liveportrait.WarpingNetwork, decoder: liveportrait.SPADEDecoder) -> None:
        super().__init__()
        self.warp, self.decoder = warp.eval().requires_grad_(False), decoder.eval().requires_grad_(False)

    def forward(self, volume: Tensor, source_points: Tensor, driving_points: Tensor) -> Tensor:
        picture: Tensor = self.decoder(self.warp(volume, driving_points, source_points))
        return picture


class LivePortraitMotion(Naive):
    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.network(image)
        return found.pitch, found.yaw, found.roll, found.translation, found.expression, found.scale, found.keypoints


class LivePortraitAppearance(Naive):
    def forward(self, image: Tensor) -> Tensor:
        volume: Tensor = self.network(image)
        return volume


def liveportrait_chain(weighted: liveportrait_pack.Weighted, image: Tensor, given: Tensors, side: int = 256) -> Chain:
    """``given``: the points of the case liveportrait_warp. Stitching is left out: its random offsets are no face's."""
    ours = {
        role: make() for role, make in liveportrait_pack.roles(weighted, side, minimal=True) if "retarget" not in role
    }
    picture = {"image": image}
    points = {f"{who}_points": given[f"kp_{who}"] for who in ("source", "driving")}
    still = {"stitching": torch.zeros(1), "offsets": torch.zeros_like(points["source_points"])}
    motion = "pitch", "yaw", "roll", "translation", "expression", "scale", "keypoints"
    return Chain(
        {
            "motion": Rival(ours["motion"], LivePortraitMotion(weighted.motion), motion, picture, picture),
            "appearance": Rival(
                ours["appearance"],
                LivePortraitAppearance(weighted.appearance),
                ["volume"],
                {**picture, "source_points": points["source_points"]},
                picture,
            ),
            "generator": Rival(
                ours["generator"],
                LivePortraitGenerator(weighted.warp, weighted.decoder),
                ["picture"],
                {**points, **still, "multiplier": torch.ones(1)},
                points,
            ),
        },
        ("motion", "generator"),
    )


def filled(name: str) -> Any:
    """The network of a parity case, of the public size, with the weights of the case."""
    case = _case(name)
    network = CASES[name].build(case["constructor"])
    assert network is not None
    network.load_state_dict(filling.weights(case))
    return network.eval()


def inputs(name: str) -> Tensors:
    """What a parity case is fed with."""
    return filling.inputs(_case(name))


def _case(name: str) -> Mapping[str, Any]:
    case: Mapping[str, Any] = json.loads((GOLDENS / f"{name}.json").read_text("utf-8"))
    return case


def _liveportrait() -> Chain:
    names = "appearance", "motion", "warp", "spade", "stitching", "retarget_eye", "retarget_lip"
    weighted = liveportrait_pack.Weighted(*(filled(f"liveportrait_{name}") for name in names))
    return liveportrait_chain(weighted, inputs("liveportrait_motion")["image"], inputs("liveportrait_warp"))


FAMILIES: Mapping[str, Callable[[], Chain]] = {
    "liveportrait": _liveportrait,
    "fomm": lambda: fomm_chain(filled("fomm_kp_detector"), filled("fomm_generator"), inputs("fomm_generator")),
    "lia": lambda: lia_chain(filled("lia_generator"), inputs("lia_generator")),
    "tpsmm": lambda: tpsmm_chain(
        filled("tpsmm_kp_detector"),
        filled("tpsmm_dense_motion"),
        filled("tpsmm_inpainting"),
        inputs("tpsmm_dense_motion"),
    ),
}
"""Of the public sizes."""
