"""LivePortrait's arithmetic between the networks: keypoints, crops, ratios, pasting. It has no weights."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.geometry import Similarity
from mien.reenact import crops, keypoints, retarget
from mien.reenact.keypoints import Head
from tests.export.parity_cases.protocol import ParityCase

Floats = NDArray[np.float64]


def run_keypoints(_: nn.Module | None, case: Mapping[str, Any], inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    given = {name: tensor[0].double().numpy() for name, tensor in inputs.items()}
    outputs: dict[str, Floats] = {}
    heads, canonical = {}, {}
    for who in ("source", "first", "frame"):
        angles = np.array([keypoints.degrees(given[f"{who}_{axis}"]) for axis in ("pitch", "yaw", "roll")])
        turn = keypoints.rotation_of(angles)
        expression, move = given[f"{who}_exp"].reshape(21, 3), given[f"{who}_t"][:2]
        heads[who] = Head(turn, expression, float(given[f"{who}_scale"][0]), move)
        canonical[who] = given[f"{who}_kp"].reshape(21, 3)
        points = keypoints.placed(canonical[who], heads[who])
        outputs |= {f"{who}_degrees": angles, f"{who}_R": turn, f"{who}_x": points}
    source, first, frame = heads.values()
    driven = keypoints.placed(canonical["source"], keypoints.relative(source, frame, first, "all"))
    as_is = keypoints.placed(canonical["source"], keypoints.absolute(source, frame, "all"))
    start = keypoints.placed(canonical["source"], keypoints.relative(source, first, first, "all"))
    outputs |= {"x_d_relative": driven, "x_d_absolute": as_is}
    multiplier = size_ratio(outputs["source_x"], start)
    outputs["x_d_expression_friendly"] = (driven - start) * multiplier + outputs["source_x"]
    delta = given["stitch_delta"]
    outputs["x_d_stitched"] = driven + delta[:63].reshape(21, 3) + np.append(delta[63:], 0)
    single = {
        "motion_multiplier": [multiplier],
        "multiplier_source_frame": [size_ratio(outputs["source_x"], outputs["frame_x"])],
    }
    return {k: torch.tensor(v[None]) for k, v in outputs.items()} | {k: torch.tensor(v) for k, v in single.items()}


def size_ratio(points: Floats, others: Floats) -> float:
    """The multiplier of the expression-friendly option, which mien has no use for; see `mien.reenact.keypoints`."""
    return float(np.sqrt(hull_volume(points) / hull_volume(others)))


def hull_volume(points: Floats) -> float:
    """Of the convex hull of points (N, 3), no four of them in one plane: exact, and slow.

    A triangle belongs to the hull when all other points lie on one side of it; with a point inside the hull it spans a
    tetrahedron, and these make up the whole.
    """
    corners = points[np.array(list(combinations(range(len(points)), 3)))]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    height = points @ normal.T - (corners[:, 0] * normal).sum(1)
    slack = 1e-12 * np.abs(height).max()  # the triangle's own corners are off its plane by rounding
    outer = (height >= -slack).all(0) | (height <= slack).all(0)
    return float(np.abs(points.mean(0) @ normal.T - (corners[:, 0] * normal).sum(1))[outer].sum() / 6)


def run_crop(_: nn.Module | None, case: Mapping[str, Any], inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    given = {name: tensor.double().numpy() for name, tensor in inputs.items()}
    points106, points203 = given["landmarks106"], given["landmarks203"]
    made = {
        "source106": (points106, crops.crop_of(points106, crops.SOURCE, 512)),
        "source203": (points203, crops.crop_of(points203, crops.SOURCE, 512)),
        "landmark_runner": (points203, crops.crop_of(points203, crops.LANDMARKS, 224)),
    }
    outputs: dict[str, Floats] = {}
    for name, (points, to_crop) in made.items():
        back = squared(to_crop.inverse())
        outputs |= {f"{name}_M_o2c": squared(to_crop), f"{name}_M_c2o": back, f"{name}_points": to_crop.apply(points)}
    upright = crops.Framing(crops.SOURCE.scale, crops.SOURCE.up, turns=False)
    outputs["source203_norot_M_o2c"] = squared(crops.crop_of(points203, upright, 512))
    box = crops.mean_driving_box(points203[None])
    driving = Similarity.from_crop((box[:2] + box[2:]) / 2, box[2] - box[0], 512).inverse()
    outputs |= {"driving_box": box, "driving_M_o2c": squared(driving)}
    seen = retarget.openings(points203)
    outputs |= {"eye_ratios": seen.eyes[None], "lip_ratio": np.array([[seen.lips]])}
    outputs |= pasted(given)
    return {name: torch.from_numpy(np.array(value)) for name, value in outputs.items()}


def pasted(given: Mapping[str, Floats]) -> dict[str, Floats]:
    """Pasting with OpenCV, as the public code does, and our matrix: the golden holds its very rounding.

    That mien's own kernel gives the same picture within two grey levels is tested with the crops.
    """
    image, patch, mask = (
        np.round(given[name].transpose(1, 2, 0)).astype(np.uint8) for name in ("image", "crop", "mask")
    )
    to_crop = crops.crop_of(given["landmarks_small"], crops.SOURCE, patch.shape[0])
    matrix, size = to_crop.inverse().matrix.astype(np.float32), image.shape[1::-1]
    weight = cv2.warpAffine(np.repeat(mask, 3, 2), matrix, size).astype(np.float32) / 255
    mixed = weight * cv2.warpAffine(patch, matrix, size) + (1 - weight) * image
    result = np.clip(mixed, 0, 255).astype(np.uint8).astype(np.float64)
    return {"paste_M_c2o": squared(to_crop.inverse()), "paste_mask": weight[..., 0], "paste_result": result}


def squared(similarity: Similarity) -> Floats:
    """(3, 3), as the public code keeps them."""
    return np.vstack([similarity.matrix, (0, 0, 1)])


CASES: dict[str, ParityCase] = {
    "liveportrait_keypoints": ParityCase(lambda _: None, run_keypoints),
    "liveportrait_crop": ParityCase(lambda _: None, run_crop),
}
