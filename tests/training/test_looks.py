"""Looks of synthetic people on a stand-in head (an egg on a post): deterministic, valid meshes, sane pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.render import atlas as skin_atlas
from training.render.albedo import eye_texture, skin_texture
from training.render.atlas import SIZE, SkinAtlas
from training.render.backgrounds import make_background
from training.render.camera import develop, sample_camera
from training.render.lights import sample_lights
from training.render.looks import CLOTHES, GLASSES, HAIR_KINDS, HATS, Look, sample_look
from training.render.part import LABELS, Part
from training.render.props import Wardrobe, make_props
from training.render.scalp import CENTRE
from training.render.shell import grid_triangles
from training.render.strands import hair_texture


def _egg() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A closed surface of revolution about as large as a head on its neck and shoulders."""
    y = np.array([14.5, 14.2, 12, 8, 4, 0, -4, -8, -11, -13, -16, -20.5, -21], np.float32)
    radius = np.array([0.01, 3, 6.5, 8.5, 9, 8.5, 7, 6, 6.5, 9, 13, 14, 0.01], np.float32)
    turn = np.linspace(-np.pi, np.pi, 25)
    grid = np.stack(
        [radius[:, None] * np.sin(turn), np.broadcast_to(y[:, None], (len(y), 25)), radius[:, None] * np.cos(turn)], -1
    )
    return grid.reshape(-1, 3).astype(np.float32), grid_triangles(len(y), 25)


@pytest.fixture(scope="module")
def wardrobe() -> Wardrobe:
    return Wardrobe.from_mesh(*_egg())


@pytest.fixture(scope="module")
def atlas() -> SkinAtlas:
    y, x = np.meshgrid(np.linspace(14, -16, SIZE), np.linspace(-9, 9, SIZE), indexing="ij")
    front = np.stack([x, y, 11 - x * x / 12], -1)
    back = np.stack([x, y, -7 + x * x / 12], -1)
    place = np.concatenate([front, back], axis=1).astype(np.float32)
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.stack([4 * np.cos(angle), 4 * np.sin(angle), np.full(68, 10.0)], -1).astype(np.float32)
    points[17:22] = np.stack([np.linspace(-6, -1, 5), np.full(5, 6.0), np.full(5, 10.0)], -1)
    points[22:27] = points[21:16:-1] * np.array([-1, 1, 1], np.float32)
    uv = (np.stack([0.5 + points[:, 0] / 18, (14 - points[:, 1]) / 30], -1) * SIZE).astype(np.float32)
    fields = skin_atlas.region_masks(place, points, uv) | skin_atlas.noise_fields(place)
    along, above = skin_atlas.brow_frame(place, points)
    stack = np.stack(list(fields.values())).astype(np.float32)
    boxes, gap = skin_atlas.field_boxes(stack), skin_atlas.hair_gap(place)
    return SkinAtlas(place, tuple(fields), stack, boxes, along, above, gap, {})


def _look(seed: int, **changes: object) -> Look:
    return replace(sample_look(np.random.default_rng(seed)), **changes)  # type: ignore[arg-type]


def _check(part: Part) -> None:
    count = len(part.vertices)
    assert part.vertices.shape == (count, 3) and part.vertices.dtype == np.float32
    assert np.isfinite(part.vertices).all() and np.abs(part.vertices).max() < 60
    assert part.triangles.dtype == np.int32 and part.triangles.min() >= 0 and part.triangles.max() < count
    assert part.uv.shape == (count, 2) and part.uv.min() >= 0 and part.uv.max() <= 1
    assert part.texture.dtype == np.uint8 and part.texture.ndim == 3 and part.texture.shape[2] == 4
    assert part.head_weight.shape == (count,) and part.head_weight.min() >= 0 and part.head_weight.max() <= 1
    assert 0 < part.label < len(LABELS)


def test_look_is_a_function_of_the_seed() -> None:
    assert _look(3) == _look(3)
    assert _look(3) != _look(4)


def test_looks_stay_in_range_and_use_every_kind() -> None:
    rng = np.random.default_rng(0)
    looks = [sample_look(rng) for _ in range(1500)]
    for look in looks:
        assert all(0 <= c <= 255 for c in (*look.skin, *look.hair_colour, *look.iris, *look.cloth))
        assert 0 <= look.melanin <= 1 and 0 <= look.wrinkles <= 1 and look.moles >= 0
        assert look.iris_size > look.pupil
    assert {look.hair for look in looks} == set(HAIR_KINDS)
    assert {look.clothes for look in looks} == set(CLOTHES)
    assert {look.glasses for look in looks} == set(GLASSES)
    assert {look.hat for look in looks} == set(HATS)
    skins = np.array([np.mean(look.skin) for look in looks])
    assert skins.min() < 70 and skins.max() > 200


def test_attributes_are_names_and_numbers() -> None:
    attributes = _look(1).attributes()
    assert attributes["hair"] in HAIR_KINDS
    assert all(isinstance(v, str | int | float) for v in attributes.values())


@pytest.mark.parametrize("kind", HAIR_KINDS)
def test_every_hair_is_a_valid_mesh(wardrobe: Wardrobe, kind: str) -> None:
    for seed in range(3):
        look = _look(seed, hair=kind, hat="none", clothes="bare", glasses="none", earrings="none", necklace="none")
        parts = make_props(np.random.default_rng(seed), wardrobe, look)
        assert bool(parts) == (kind != "bald")
        for part in parts:
            _check(part)
            assert part.label == LABELS.index("hair")
            assert (part.texture[..., 3] >= 128).mean() > 0.03


def test_hair_lies_outside_the_skull_and_long_hair_reaches_the_shoulders(wardrobe: Wardrobe) -> None:
    look = _look(0, hair="long", hat="none", hair_length=1.0, clothes="bare", glasses="none", earrings="none",
                 necklace="none")  # fmt: skip
    points = make_props(np.random.default_rng(0), wardrobe, look)[0].vertices
    above = points[points[:, 1] > 8]
    skull = np.interp(above[:, 1], [8, 12, 14.2, 14.5], [8.5, 6.5, 3, 0])
    assert (np.linalg.norm(above[:, [0, 2]], axis=1) > skull - 0.4).mean() > 0.97
    assert points[:, 1].min() < -10
    assert np.linalg.norm(points.mean(axis=0) - CENTRE) < 15


@pytest.mark.parametrize("kind", HATS[1:])
def test_every_hat_is_a_valid_mesh(wardrobe: Wardrobe, kind: str) -> None:
    parts = make_props(np.random.default_rng(1), wardrobe, _look(5, hat=kind))
    for part in parts:
        _check(part)
    assert LABELS.index("hat") in {part.label for part in parts}


@pytest.mark.parametrize("kind", CLOTHES)
def test_every_garment_stays_outside_the_body(wardrobe: Wardrobe, kind: str) -> None:
    parts = [p for p in make_props(np.random.default_rng(2), wardrobe, _look(6, clothes=kind)) if p.label == 16]
    assert bool(parts) == (kind != "bare")
    for part in parts:
        _check(part)
        assert part.vertices[:, 1].max() < -5


@pytest.mark.parametrize("kind", GLASSES)
def test_glasses_and_jewellery(wardrobe: Wardrobe, kind: str) -> None:
    look = _look(7, glasses=kind, earrings="hoop", necklace="beads")
    parts = make_props(np.random.default_rng(3), wardrobe, look)
    for part in parts:
        _check(part)
    labels = {part.label for part in parts}
    assert (LABELS.index("eye_g") in labels) == (kind != "none")
    assert {LABELS.index("ear_r"), LABELS.index("neck_l")} <= labels


def test_props_are_a_function_of_the_seed(wardrobe: Wardrobe) -> None:
    first, second = (make_props(np.random.default_rng(9), wardrobe, _look(8)) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one.vertices, two.vertices) and np.array_equal(one.texture, two.texture)


def test_skin_texture_takes_the_skin_colour(atlas: SkinAtlas) -> None:
    pale = _look(1, skin=(240.0, 205.0, 185.0), style="photo", beard="none", hair="bald")
    dark = replace(pale, skin=(90.0, 60.0, 45.0))
    painted = [skin_texture(look, np.random.default_rng(0), atlas) for look in (pale, dark, pale)]
    assert painted[0].shape == (SIZE, 2 * SIZE, 4) and painted[0].dtype == np.uint8
    assert np.array_equal(painted[0], painted[2])
    middle = [np.median(p[..., :3].reshape(-1, 3), axis=0) for p in painted]
    assert np.abs(middle[0] - pale.skin).max() < 35 and np.abs(middle[1] - dark.skin).max() < 20


def test_grey_looks_have_no_colour(atlas: SkinAtlas) -> None:
    painted = skin_texture(_look(2, style="grey"), np.random.default_rng(0), atlas)[..., :3]
    assert np.ptp(painted.astype(int), axis=2).max() <= 1


def test_eye_is_dark_in_the_middle_and_light_around() -> None:
    eye = eye_texture(_look(3, style="photo", sclera=0.9), np.random.default_rng(0))
    assert eye.shape == (128, 128, 4)
    assert eye[62:66, 62:66, :3].mean() < 30 < eye[64, 64 + 30, :3].mean() * 0.2


def test_backgrounds() -> None:
    rng = np.random.default_rng(4)
    pictures = [make_background(rng, 96) for _ in range(40)]
    assert all(p.shape == (96, 96, 3) and p.dtype == np.uint8 for p in pictures)
    assert np.std([p.mean() for p in pictures]) > 20
    assert np.array_equal(make_background(np.random.default_rng(5), 64), make_background(np.random.default_rng(5), 64))


def test_lights_are_unit_directions_with_positive_colours() -> None:
    rng = np.random.default_rng(5)
    for _ in range(100):
        lights = sample_lights(rng)
        assert 1 <= len(lights.directions) <= 3 and lights.directions.shape == lights.colours.shape
        assert np.allclose(np.linalg.norm(lights.directions, axis=1), 1, atol=1e-5)
        assert (lights.colours > 0).all() and (lights.sky > 0).all() and (lights.ground > 0).all()


def test_camera_keeps_shape_and_repeats_for_a_seed() -> None:
    rng = np.random.default_rng(6)
    ramp = np.tile(np.linspace(0, 1, 80, dtype=np.float32)[None, :, None], (60, 1, 3))
    for seed in range(30):
        camera = sample_camera(rng)
        one, two = (develop(camera, ramp, np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == (60, 80, 3) and one.dtype == np.uint8 and np.array_equal(one, two)
        assert one[:, 60:].mean() > one[:, :20].mean() + 40


def test_a_picture_in_bytes_or_floats_develops_alike() -> None:
    camera = replace(sample_camera(np.random.default_rng(7)), noise=0.0)
    picture = np.random.default_rng(8).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    floats = (picture / 255).astype(np.float32)
    one = develop(camera, picture, np.random.default_rng(0)).astype(int)
    assert np.abs(one - develop(camera, floats, np.random.default_rng(0))).max() <= 2


def test_a_ring_of_light_that_begins_above_the_roots_is_cut_off_there() -> None:
    class Highest:
        """A generator whose ring lies as high and is as wide as can be."""

        def uniform(self, low: float, high: float) -> float:
            return low if high == 0.5 else high

        def integers(self, high: int) -> int:
            return 0

    cover = np.ones(128, np.float32)
    plain = hair_texture(Highest(), (120.0, 80.0, 40.0), 0.5, 0, cover, 192, 0.0)  # type: ignore[arg-type]
    ringed = hair_texture(Highest(), (120.0, 80.0, 40.0), 0.5, 0, cover, 192, 0.0, 1.0)  # type: ignore[arg-type]
    gain = (ringed[..., :3].astype(int) - plain[..., :3]).mean((1, 2))
    assert gain[0] > 0 and gain[:64].mean() > 10 * gain[100:].mean()
