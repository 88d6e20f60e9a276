"""Painterly filters: the same medium for all frames, flat strokes with sharp edges, every kind drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.render.painterly import MEDIA, kuwahara, paint, render, sample_medium


def test_frames_of_one_scene_share_the_medium_and_its_patterns() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    for seed in range(12):
        out = paint(np.stack([picture, picture]), np.random.default_rng(seed))
        assert out.shape == (2, 64, 80, 3) and out.dtype == np.uint8
        np.testing.assert_array_equal(out[0], out[1])
        np.testing.assert_array_equal(out, paint(np.stack([picture, picture]), np.random.default_rng(seed)))


def test_every_medium_is_drawn_and_changes_the_picture_but_not_what_it_shows() -> None:
    y, x = np.mgrid[:96, :96]
    picture = np.stack([x * 2, y * 2, 255 - x - y], -1).astype(np.uint8)
    picture[30:60, 30:60] = (230, 190, 160)
    seen = set()
    for seed in range(80):
        medium = sample_medium(np.random.default_rng(seed))
        seen.add(medium.kind)
        out = render(medium, picture)
        assert not np.array_equal(out, picture)
        # what was light stays lighter than what was dark, as far as a drawing has tones at all
        assert out[35:55, 35:55].mean() > out[:12, :12].mean() or medium.kind in ("pencil", "engraving")
    assert seen == set(MEDIA)


def test_kuwahara_keeps_an_edge_and_flattens_noise() -> None:
    rng = np.random.default_rng(1)
    picture = np.full((60, 60, 3), 60, np.uint8)
    picture[:, 30:] = 200
    noisy = np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
    out = kuwahara(noisy, 3).astype(int)
    assert out[5:-5, 5:25].std() < 0.6 * noisy[5:-5, 5:25].std()
    assert abs(out[5:-5, 28].mean() - 60) < 12
    assert abs(out[5:-5, 31].mean() - 200) < 12


@pytest.mark.parametrize("kind", ["weave", "crack", "grain"])
def test_patterns_come_from_the_seed(kind: str) -> None:
    plain = replace(
        sample_medium(np.random.default_rng(0)), kind="oil", radius=0, contrast=1.0, lift=0.0, tint=(1.0, 1.0, 1.0),
        grey=0.0, weave=(0.0, 3.0), crack=(0.0, 12.0), hatch=(0.0, 0.0), grain=(0.0, 1.0), halation=0.0,
    )  # fmt: skip
    picture = np.full((48, 48, 3), 128, np.uint8)
    np.testing.assert_array_equal(render(plain, picture), picture)
    changes: dict[str, tuple[float, float]] = {"weave": (0.1, 3.0), "crack": (0.4, 12.0), "grain": (0.1, 0.8)}
    one = replace(plain, **{kind: changes[kind]})  # type: ignore[arg-type]
    assert render(one, picture).std() > 1
    assert not np.array_equal(render(one, picture), render(replace(one, seed=one.seed + 1), picture))
