"""The motion network: patches lie where the parts are, both eyes are read alike, a new patch corrects nothing."""

import pytest
import torch
from torch import nn

from mien.reenact import trust
from mien_export.networks import studio_motion
from mien_export.networks.studio import EXPRESSIONS, StudioSizes
from mien_export.networks.studio_motion import (
    EYE_CM,
    GROUP_OF,
    GROUPS,
    LEFT_EYE,
    MOUTH,
    MOUTH_SIZE,
    PARTS,
    RIGHT_EYE,
    Frames,
    Motion,
    cut,
    frames,
)  # fmt: skip
from training.points import LEFT_RIGHT, MULTI_PIE_MIRROR

SIZES = StudioSizes(landmarks=102, points=120, expressions=27)


@pytest.fixture(autouse=True)
def steady() -> None:
    torch.manual_seed(3)


def network() -> Motion:
    made = Motion(SIZES).eval()
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 1.5)
    return made


def speaking(made: Motion) -> Motion:
    """With patches whose last layers are not zero any more."""
    for patch in (made.eye, made.mouth):
        nn.init.normal_(patch.outputs.weight, std=0.1)
        nn.init.normal_(patch.outputs.bias, std=0.1)
    nn.init.constant_(made.gate, 1 / studio_motion.GATE)
    return made


def test_landmarks_of_the_parts_are_each_named_once_and_every_one_has_a_group() -> None:
    assert len(set(PARTS)) == len(PARTS) == 76
    assert tuple(trust.group_of(landmark) for landmark in range(102)) == GROUP_OF and len(GROUPS) == trust.GROUPS


@torch.no_grad()
def test_a_new_network_says_what_its_trunk_says() -> None:
    made, image = network(), torch.rand(3, 3, 192, 192)
    out = made(image)
    small = nn.functional.interpolate(image, size=(144, 144), mode="bilinear", align_corners=False)
    codes, doubt, landmarks = made.trunk(small)
    assert torch.equal(out.expression, codes[:, 7:]) and torch.equal(out.pose, codes[:, 1:4])
    assert torch.equal(out.landmarks, landmarks) and torch.equal(out.doubt, doubt)


@torch.no_grad()
def test_patches_correct_their_own_values_and_landmarks_and_no_others() -> None:
    made = speaking(network())
    out = made(torch.rand(2, 3, 192, 192))
    assert torch.allclose(out.landmarks[:, list(PARTS)], out.fine, atol=1e-5)
    others = [i for i in range(102) if i not in PARTS]
    assert torch.equal(out.landmarks[:, others], out.coarse[:, others])
    small = nn.functional.interpolate(torch.rand(2, 3, 192, 192), size=(144, 144))
    assert made.trunk(small)[0].shape == (2, 7 + len(EXPRESSIONS))


@torch.no_grad()
def test_the_left_eye_is_read_as_the_right_eye_of_the_mirrored_picture() -> None:
    """The corrections alone, from frames and contexts that are mirror images of one another."""
    made, image = speaking(network()), torch.rand(1, 3, 192, 192)
    place = torch.tensor([[0.0, 0.0, -2.5]])
    spots = torch.rand(1, 76, 2) * 0.2
    spots[:, :18] -= 0.3
    order = [*range(18, 36), *range(18), *range(36, 76)]
    here, _ = frames(spots, place)
    there, _ = frames((spots * torch.tensor([-1.0, 1.0]))[:, order], place)
    pose, values = torch.tensor([[0.3, -0.1, 0.05]]), torch.randn(1, 27)
    swap = list(LEFT_RIGHT)
    sign = torch.tensor([-1.0 if n == "gaze_yaw" else 1.0 for n in EXPRESSIONS])
    marks, (said, doubts) = made.look_at_eyes(image, here, pose, values)
    turned, (again, unsure) = made.look_at_eyes(
        image.flip(-1), there, pose * torch.tensor([-1.0, 1.0, -1.0]), values[:, swap] * sign
    )
    assert said.abs().max() > 0.01
    sides = [4, 5, 6, 7, 0, 1, 2, 3, 8, 9, 10]
    assert torch.allclose(again[:, sides] * torch.tensor([1.0] * 9 + [-1.0, 1.0]), said, atol=1e-5)
    assert torch.allclose(unsure[:, [*sides, 12, 11]], doubts, atol=1e-5)
    assert torch.allclose((turned * torch.tensor([-1.0, 1.0]))[:, order[:36]], marks, atol=1e-5)


def test_frames_are_upright_on_a_turned_face_and_as_large_as_said() -> None:
    angle = torch.tensor(0.4)
    spots = torch.zeros(1, 76, 2)
    spots[:, :18, 0], spots[:, 18:36, 0], spots[:, 36:, 1] = -0.25, 0.25, 0.5
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    eyes, mouth = frames(spots @ turn.T, torch.tensor([[0.0, 0.0, torch.tensor(1 / 12).log()]]))
    assert torch.allclose(eyes.across.norm(dim=-1), torch.tensor(EYE_CM[1] / 12))
    assert torch.allclose(eyes.across[0, 0], -eyes.across[0, 1])
    below = (mouth.centre[0, 0] @ turn)[1]
    assert below == pytest.approx(0.5, abs=1e-5)
    assert torch.allclose(mouth.to_patch((spots @ turn.T)[:, None, 36:]), torch.zeros(1, 1, 40, 2), atol=1e-5)


def test_going_to_the_patch_and_back_changes_nothing() -> None:
    eyes, _ = studio_motion.shaken(frames(torch.rand(2, 76, 2), torch.full((2, 3), -2.5))[0]), None
    places = torch.rand(2, 2, 5, 2) - 0.5
    assert torch.allclose(eyes.to_patch(eyes.to_crop(places)), places, atol=1e-4)


def test_an_upright_patch_is_the_picture_there() -> None:
    image = torch.rand(1, 3, 192, 192)
    half = torch.tensor([64.0, 56.0]) / 192
    where = Frames(
        torch.zeros(1, 1, 2), torch.tensor([[[half[0], 0.0]]]), torch.tensor([[[0.0, half[1]]]])
    )
    patch = cut(image, where, MOUTH_SIZE)
    assert torch.allclose(patch[0, 0], image[0, :, 68:124, 64:128], atol=1e-5)


def test_parts_are_mirror_images_in_the_order_of_the_landmarks() -> None:
    first = [i for i in RIGHT_EYE if i < 68]
    assert [MULTI_PIE_MIRROR[i] for i in first] == [i for i in LEFT_EYE if i < 68]
    assert len(MOUTH) == 40


def test_another_number_of_values_is_refused() -> None:
    with pytest.raises(ValueError, match="27 expression values"):
        Motion(StudioSizes(102, 120, 5))
