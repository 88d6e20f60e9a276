"""Inversion in one pass and in ReStyle's rounds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.bundle import write_bundle
from mien.editing.editor import Editor
from mien.editing.networks import Networks
from mien.errors import BundleInvalid, SessionError
from tests.editing.conftest import Runs
from tests.tiny_edit import LAYERS, MEAN, ROLES, SIDE, tiny_edit_bundle

COLOUR = np.array([204, 51, 102], np.uint8)
FACE = np.tile(COLOUR, (SIDE, SIDE, 1))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_every_round_goes_half_of_the_way_that_is_left(tmp_path: Path, steps: int) -> None:
    codes = Editor(tiny_edit_bundle(tmp_path / "b", stepped=steps)).invert(FACE).codes
    expected = MEAN + (COLOUR / 255 - MEAN) * (1 - 0.5**steps)
    np.testing.assert_allclose(codes[:, :3], np.tile(expected, (LAYERS, 1)), atol=1e-4)
    assert not codes[:, 3:].any()


def test_the_first_round_starts_from_the_mean_face_and_the_last_is_not_drawn(tmp_path: Path, runs: Runs) -> None:
    bundle = tiny_edit_bundle(tmp_path / "b", stepped=3)
    Editor(bundle).invert(FACE)
    assert [role for role, _ in runs] == ["encoder", *["synthesis_early", "synthesis_late", "encoder"] * 2]
    first = runs[0][1]
    np.testing.assert_array_equal(first["current"][0], bundle.array("average_image"))
    np.testing.assert_array_equal(first["latents_in"][0], bundle.array("latent_mean"))
    second = runs[3][1]
    halfway = MEAN + (COLOUR / 255 - MEAN) / 2
    np.testing.assert_allclose(second["current"][0].mean((1, 2)), halfway, atol=1e-4)


def test_one_pass_sees_the_face_averaged_down(tmp_path: Path, runs: Runs) -> None:
    editor = Editor(tiny_edit_bundle(tmp_path / "b", [role for role in ROLES if role != "heat"]))
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[::2] = 200
    editor.invert(stripes)
    np.testing.assert_allclose(runs[0][1]["image"], 100 / 255, atol=1e-6)


def test_an_encoder_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = Editor(tiny_edit_bundle(tmp_path / "b"))
    broken = {"latents": np.full((1, LAYERS, 512), np.nan, np.float32)}
    monkeypatch.setattr(Networks, "answer", lambda self, role, feeds: broken)
    with pytest.raises(SessionError, match="not finite"):
        editor.invert(FACE)


def test_a_restyle_bundle_without_its_mean_face_is_refused(tmp_path: Path) -> None:
    whole = tiny_edit_bundle(tmp_path / "whole", stepped=2)
    arrays = {name: array for name, array in whole.arrays.items() if name != "average_image"}
    models = {role: whole.model(role) for role in whole.manifest.networks}
    less = write_bundle(tmp_path / "less", replace(whole.manifest, arrays=None), models, arrays)
    with pytest.raises(BundleInvalid, match="average_image"):
        Editor(less)
