"""The iris finder on drawn eyes whose iris is known."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import iris

WIDTH, HEIGHT = 60.0, 24.0
MIDDLE = np.array([120.0, 90.0])


def contour(turn: float = 0.0, height: float = HEIGHT) -> NDArray[np.float64]:
    """16 points around an eye as Face Mesh has them: from the left corner along the lower lid and back."""
    angle = np.linspace(np.pi, 3 * np.pi, 16, endpoint=False)
    points = np.stack([WIDTH / 2 * np.cos(angle), -height / 2 * np.sin(angle)], 1)
    c, s = np.cos(turn), np.sin(turn)
    return points @ np.array([[c, s], [-s, c]]) + MIDDLE


def eye(place: float, turn: float = 0.0, iris_grey: int = 60) -> NDArray[np.uint8]:
    """An eye whose iris is so many eye widths right of the middle, between skin-coloured lids."""
    picture = np.full((180, 240, 3), (190, 150, 130), np.uint8)
    opening = np.zeros((180, 240), np.uint8)
    cv2.fillPoly(opening, [np.round(contour(turn)).astype(np.int32)], 1)
    inside = np.full_like(picture, 215)
    centre = MIDDLE + WIDTH * place * np.array([np.cos(turn), np.sin(turn)])
    at = (round(centre[0]), round(centre[1]))
    cv2.circle(inside, at, 12, (iris_grey,) * 3, -1, cv2.LINE_AA)
    cv2.circle(inside, at, 4, (20, 20, 20), -1)
    cv2.circle(inside, (at[0] + 3, at[1] - 3), 1, (255, 255, 255), -1)
    picture[opening > 0] = inside[opening > 0]
    noisy = picture + np.random.default_rng(0).normal(0, 4, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("place", [-0.25, -0.1, 0.0, 0.12, 0.25])
@pytest.mark.parametrize("turn", [0.0, 0.3])
@pytest.mark.parametrize("grey", [50, 130])
def test_the_place_of_a_known_iris(place: float, turn: float, grey: int) -> None:
    found = iris.find_iris(eye(place, turn, grey), contour(turn))
    assert found is not None
    assert found.place == pytest.approx(place, abs=0.04)
    assert found.contrast > 30


def test_a_shut_eye_has_no_iris() -> None:
    assert iris.find_iris(eye(0.0), contour(height=0.15 * WIDTH)) is None


def test_yaws_of_both_eyes_know_the_heads_turn() -> None:
    landmarks = np.zeros((468, 3))
    landmarks[list(iris.RIGHT), :2] = contour()
    landmarks[list(iris.LEFT), :2] = contour(height=5)
    straight, turned = (iris.eye_yaws(eye(0.2), landmarks, yaw) for yaw in (0.0, 10.0))
    assert straight[0] == pytest.approx(0.2 * iris.YAW_OF_PLACE, abs=4)
    assert straight[0] - turned[0] == pytest.approx(-10 * iris.YAW_OF_HEAD)
    assert np.isnan(straight[1]) and np.isnan(turned[1])
