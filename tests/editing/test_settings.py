"""Bundles that are no edit bundles, or say nonsense about themselves, are refused when they are opened."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.bundle import Bundle, write_bundle
from mien.editing.editor import Editor
from mien.editing.settings import read_settings
from mien.errors import BundleInvalid
from tests.tiny import tiny_bundle
from tests.tiny_edit import LAYERS, ROLES, SIDE, SPLIT, UNITS, WIDTH, tiny_edit_bundle


def changed(bundle: Bundle, path: Path, extra: dict[str, Any], arrays: dict[str, Any] | None = None) -> Bundle:
    models = {role: bundle.model(role) for role in ROLES}
    manifest = replace(bundle.manifest, arrays=None, extra={**bundle.manifest.extra, **extra})
    return write_bundle(path, manifest, models, {**bundle.arrays, **(arrays or {})})


def test_what_a_bundle_says_is_read(bundle: Bundle) -> None:
    settings = read_settings(bundle)
    assert (settings.resolution, settings.layers, settings.split, settings.steps) == (SIDE, LAYERS, SPLIT, 1)
    assert [direction.name for direction in settings.directions] == list(UNITS)
    assert [direction.difference_class for direction in settings.directions] == [15, 16, -1]
    assert [direction.unit for direction in settings.directions] == list(UNITS.values())
    assert settings.directions[1].parts == "age" and settings.classes == 17


def test_a_bundle_without_attributes_has_none(tmp_path: Path) -> None:
    assert Editor(tiny_edit_bundle(tmp_path / "b", attributes=False)).attributes == ()


def test_a_bundle_of_another_task_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="'reenact'.*'edit'.*mien export edit"):
        Editor(tiny_bundle(tmp_path / "b"))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"resolution": "64"}, "'resolution'"),
        ({"layers": 0}, "'layers'"),
        ({"split": True}, "'split'"),
        ({"split": LAYERS + 1}, "row 11 of 10"),
        ({"attributes": "smile"}, "'attributes'"),
        ({"attribute_class": (1, 2)}, "same number"),
        ({"attributes": ("smile", "old", "gone")}, "direction.gone"),
        ({"attribute_unit": ("much", 1.0, 1.0)}, "'much'"),
        ({"attribute_parts": ("others", "nose", "others")}, "'nose'"),
    ],
)
def test_settings_without_sense_are_refused(bundle: Bundle, tmp_path: Path, extra: dict[str, Any], says: str) -> None:
    with pytest.raises(BundleInvalid, match=says):
        Editor(changed(bundle, tmp_path / "b", extra))


def test_a_mean_latent_of_another_shape_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    other = changed(bundle, tmp_path / "b", {}, {"latent_mean": np.zeros((18, WIDTH), np.float32)})
    with pytest.raises(BundleInvalid, match=r"\(10, 512\).*\(18, 512\)"):
        Editor(other)
