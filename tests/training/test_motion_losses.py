"""Losses of the motion network: nothing where it is right, and each sees what it is for."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mien_export.networks.studio import StudioSizes
from mien_export.networks.studio_motion import GROUPS, PARTS, Motion, MotionOutput
from training.motion_checks import agreement, gaze_error, validate
from training.motion_losses import doubt_error, motion_losses, pair_error, patch_error
from training.motion_samples import pairs_in

BATCH, VALUES = 8, 27


@pytest.fixture
def batch() -> dict[str, Tensor]:
    torch.manual_seed(1)
    landmarks = torch.rand(BATCH, 102, 2) - 0.5
    return {
        "image": torch.randint(0, 256, (BATCH, 3, 192, 192), dtype=torch.uint8),
        "pose": torch.randn(BATCH, 3) * 0.2,
        "place": torch.tensor([[0.0, 0.0, -2.5]]).repeat(BATCH, 1),
        "expression": torch.randn(BATCH, VALUES) * 0.3,
        "landmarks": landmarks,
        "present": torch.ones(BATCH),
    }


def right(batch: dict[str, Tensor]) -> MotionOutput:
    network = Motion(StudioSizes(102, 110, VALUES)).eval()
    with torch.no_grad():
        out = network(batch["image"].float() / 255)
    truth = batch["landmarks"]
    return out._replace(
        confidence=torch.full((BATCH, 1), 9.0), pose=batch["pose"], place=batch["place"], landmarks=truth,
        expression=batch["expression"], coarse=truth, fine=truth[:, list(PARTS)],
        doubt=torch.full((BATCH, VALUES + len(GROUPS)), -9.0),
    )  # fmt: skip


UNIT = torch.full((VALUES,), 0.3)


def test_what_is_right_costs_nothing(batch: dict[str, Tensor]) -> None:
    losses = motion_losses(right(batch), batch, UNIT)
    assert all(loss.abs() < 1e-3 for name, loss in losses.items() if name != "doubt")
    assert losses["doubt"] == pytest.approx(-0.46, abs=1e-4)


def test_crops_without_a_face_teach_the_confidence_alone(batch: dict[str, Tensor]) -> None:
    batch["present"][3] = 0
    out = right(batch)
    wrong = out._replace(expression=out.expression.clone(), landmarks=out.landmarks.clone())
    wrong.expression[3] += 5
    wrong.landmarks[3] += 5
    assert motion_losses(wrong, batch, UNIT)["expression"] == motion_losses(out, batch, UNIT)["expression"]
    assert motion_losses(wrong, batch, UNIT)["landmarks"] == motion_losses(out, batch, UNIT)["landmarks"]
    assert motion_losses(out, batch, UNIT)["confidence"] > 0.3


def test_a_pair_may_be_wrong_alike_and_not_otherwise(batch: dict[str, Tensor]) -> None:
    out, zero = right(batch), torch.zeros(BATCH, VALUES)
    alike = out._replace(pose=out.pose + 0.2, landmarks=out.landmarks + 0.1)
    assert pair_error(alike, batch, zero + 1) < 1e-5
    apart = zero.clone()
    apart[0] = 1
    assert pair_error(out, batch, apart) == pytest.approx(0.7 / pairs_in(BATCH))
    batch["present"][0] = 0
    assert pair_error(out, batch, apart) < 1e-6


def test_doubt_is_least_costly_where_it_is_the_mean_error(batch: dict[str, Tensor]) -> None:
    out, wrong = right(batch), torch.full((BATCH, VALUES), 0.5, requires_grad=True)
    costs = []
    for doubt in (0.3, 0.5, 0.8):
        said = out._replace(doubt=torch.full_like(out.doubt, float(np.log(doubt))))
        error = doubt_error(said, batch, wrong)
        assert not error.requires_grad
        costs.append(float(error[:, :VALUES].mean()))
    assert costs[1] < min(costs[0], costs[2])


def test_patches_answer_for_the_landmarks_in_them_alone(batch: dict[str, Tensor]) -> None:
    out = right(batch)
    centre, across, down = out.mouth
    batch["landmarks"][:, 48] = (centre + 1.5 * across)[:, 0]
    batch["landmarks"][:, 51] = (centre + 0.5 * across - 0.5 * down)[:, 0]
    fine = batch["landmarks"][:, list(PARTS)].clone()
    for landmark in (48, 51):
        fine[:, PARTS.index(landmark)] += 0.1
    error = patch_error(out._replace(fine=fine), batch["landmarks"])
    assert (error[:, PARTS.index(48)] == 0).all() and (error[:, PARTS.index(51)] > 0.05).all()


def test_degrees_between_directions_are_degrees() -> None:
    angles = np.radians([[10, 0], [0, -7], [0, 0]])
    np.testing.assert_allclose(gaze_error(angles, np.zeros((3, 2))), [10, 7, 0], atol=1e-5)


def test_a_shrunk_answer_is_seen_in_the_gain() -> None:
    truth = np.linspace(-1, 1, 50)
    assert agreement(0.5 * truth + 0.2, truth) == "1.00x0.50"


def test_validation_speaks_of_what_is_watched(batch: dict[str, Tensor]) -> None:
    batch["expression"][:, -1] = torch.linspace(-0.5, 0.5, BATCH)
    line = validate(Motion(StudioSizes(102, 110, VALUES)), [batch], UNIT)
    assert all(word in line for word in ("lids", "degrees", "pitch", "brows", "jaw"))
