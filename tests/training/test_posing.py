"""Lids that meet and a tongue that moves, on a stand-in head of single points."""

from __future__ import annotations

import numpy as np
import pytest

from training.render import head as kit
from training.render.blend import Blendshapes
from training.render.head import Head
from training.render.motion import Motion
from training.render.person import Person
from training.render.posing import express, hidden_light
from training.render.shade import Textures

NAMES = ("eyeBlink_L", "eyeBlink_R", "jawOpen")
UPPER, LOWER = [37, 38, 43, 44], [41, 40, 47, 46]


@pytest.fixture(scope="module")
def head() -> Head:
    """100 landmarks, four points of the tongue from root to tip, and one of each eyeball."""
    ids = [*range(100), *range(kit.TONGUE[0], kit.TONGUE[0] + 4), kit.EYE_LEFT[0], kit.EYE_RIGHT[0]]
    neutral = np.zeros((len(ids), 3), np.float32)
    neutral[UPPER, 1], neutral[LOWER, 1] = 4.0, 3.2
    neutral[60:68] = [0, -3.4, 11]
    neutral[100:104] = [[0, -4, z] for z in (2, 4, 7, 9.5)]
    neutral[104:] = kit.EYE_CENTRES + np.array([0, 0, 1.5], np.float32)
    expression = np.zeros((len(NAMES), len(ids), 3), np.float32)
    expression[0, UPPER[2:], 1] = expression[1, UPPER[:2], 1] = -0.6  # a quarter of the gap stays open
    expression[2, 66] = [0, -2, -1]
    none = np.zeros((0, 3), np.int32)
    landmarks = np.arange(100, dtype=np.int32)
    identity = np.zeros((0, *neutral.shape), np.float32)
    return Head(neutral, identity, expression, NAMES, {}, none, np.array(ids, np.int32), landmarks, none[:, 0])


def _person(head: Head) -> Person:
    count = len(head.neutral)
    nothing, ints, part = np.zeros((0, 2), np.float32), np.zeros((0, 3), np.int32), np.zeros(0, np.int32)
    textures = Textures(np.zeros(0, np.uint8), np.zeros((0, 4, 3), np.int32))
    return Person(
        head.neutral, np.arange(count, dtype=np.int32), np.ones(count, np.float32), kit.EYE_CENTRES, ints, nothing,
        ints, part, part, np.zeros((0, 4), np.float32), np.zeros(0, np.uint8), ints, textures, 0.2,
    )  # fmt: skip


def _motion(*weights: float, tongue: tuple[float, float, float] = (0, 0, 0)) -> Motion:
    zero = np.zeros(3, np.float32)
    return Motion(
        np.array(weights, np.float32), zero[:2], zero, zero, zero[:2], 1.0, zero[:2], np.array(tongue, np.float32)
    )


def _posed(head: Head, motion: Motion) -> np.ndarray:
    return head.neutral + express(head, Blendshapes.from_dense(head.expression), _person(head), motion)


def test_a_full_blink_shuts_the_lids_and_half_a_blink_stays_half(head: Head) -> None:
    shut = _posed(head, _motion(1, 0, 0))
    assert (shut[UPPER[2:], 1] <= shut[LOWER[2:], 1] + 1e-5).all()
    assert (shut[UPPER[:2], 1] > shut[LOWER[:2], 1] + 0.7).all()
    half = _posed(head, _motion(0.5, 0.5, 0))
    assert (half[UPPER, 1] > half[LOWER, 1] + 0.4).all()


def test_the_tongue_comes_out_over_the_lip_or_lifts_its_tip(head: Head) -> None:
    tip, root = 103, 100
    out = _posed(head, _motion(0, 0, 0.6, tongue=(1, 0, 0)))
    assert out[tip, 2] > out[66, 2]
    assert out[tip, 1] > out[66, 1]
    still, up = _posed(head, _motion(0, 0, 0.6)), _posed(head, _motion(0, 0, 0.6, tongue=(0, 1, 0)))
    assert up[tip, 1] > still[tip, 1] + 0.3
    np.testing.assert_allclose(up[root, [0, 2]], still[root, [0, 2]], atol=1e-5)


def test_less_light_reaches_the_throat_and_what_lids_cover(head: Head) -> None:
    motion = _motion(1, 0, 0.6)
    light = hidden_light(head, _posed(head, motion), motion)
    assert light[100] < 0.5 * light[103] < 0.5
    assert light[104] == pytest.approx(0.25)
    assert light[105] == 1
    assert (light[:60] == 1).all()
