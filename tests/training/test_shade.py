"""Shading of one square: background and coverage, labels, tones, and a shadow that falls where it must."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.render import shade
from training.render.raster import rasterise

SIZE = 32
QUAD = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def drawn(
    shadow: NDArray[np.float32], light: float = 0.5, span: float = 24.0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """A white square of `span` pixels at the picture's upper left, 10 cm before the camera, lit from the camera."""
    corners = np.array([[0, 0], [0, span], [span, span], [span, 0]], np.float32)
    places = np.concatenate([corners * [1, -1], np.zeros((4, 1))], axis=1).astype(np.float32)
    screen = np.concatenate([corners * 2, np.full((4, 1), 0.1)], axis=1).astype(np.float32)
    parts, one_sided, uv = np.zeros(2, np.int32), np.ones(1, np.uint8), np.full((4, 2), 0.5, np.float32)
    packed = shade.Textures.pack([np.full((8, 8, 4), 255, np.uint8)])
    opaque = np.zeros((1, 3), np.int32)
    nearness, ids = rasterise(screen, QUAD, parts, one_sided, uv, QUAD, opaque, packed.texels, 2 * SIZE)
    return shade.shade(
        ids, nearness, np.ones((8, 8), np.float32), screen, shade.surface(places, np.ones(4, np.float32), QUAD), QUAD,
        parts, uv, QUAD, np.zeros((1, 5), np.float32), packed.texels, packed.layout, shade.linear_table(),
        shade.tone_table(), np.array([7], np.int32), np.zeros((1, 1), np.uint8),
        np.array([[0, 0, 1, light, light, light]], np.float32), np.zeros((2, 3), np.float32), shadow,
        np.array([[1, 0, 0, 4], [0, -1, 0, 4], [0, 0, 1, 50]], np.float32), np.array([12, -12, 1000], np.float32),
        np.full((SIZE, SIZE, 3), 77, np.uint8),
    )  # fmt: skip


NONE = np.zeros((0, 0), np.float32)


def test_light_coverage_labels_and_background() -> None:
    rgb, alpha, labels = drawn(NONE)
    inside = np.zeros((SIZE, SIZE), bool)
    inside[:24, :24] = True
    assert (alpha[inside] == 255).all() and (alpha[~inside] == 0).all()
    assert (labels[inside] == 7).all() and (labels[~inside] == 0).all()
    assert (rgb[~inside] == 77).all()
    assert np.abs(rgb[inside].astype(float) - 0.5 ** (1 / 2.2) * 255).max() <= 1


def test_half_a_pixel_is_half_background() -> None:
    rgb, alpha, _ = drawn(NONE, span=23.5)
    light = 0.5 * 0.5 + 0.5 * (77 / 255) ** 2.2
    assert alpha[5, 23] == 128
    assert rgb[5, 23, 0] == pytest.approx(light ** (1 / 2.2) * 255, abs=2)


def test_bright_light_ends_below_white_without_wrapping() -> None:
    values = [int(drawn(NONE, light)[0][5, 5, 0]) for light in (0.2, 0.7, 1.0, 2.0, 6.0)]
    assert values == sorted(values) and len(set(values)) >= 4 and values[-1] <= 255


def test_what_stands_before_the_light_darkens_softly() -> None:
    shadow = np.zeros((40, 40), np.float32)
    shadow[:, 12:] = 58.0  # 8 cm before the square, over what lies right of the column 8
    rgb, _, _ = drawn(shadow)
    row = rgb[10, :24, 0].astype(int)
    assert (row[:6] > 180).all()
    assert (row[11:] < 10).all()
    assert (np.diff(row) <= 0).all() and len(set(row.tolist())) >= 3
    level = np.full((40, 40), 50.0, np.float32)  # the square itself in the map: no shadow of its own
    np.testing.assert_array_equal(drawn(level)[0], drawn(NONE)[0])
