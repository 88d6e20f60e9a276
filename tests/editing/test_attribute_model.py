"""Attribute models: what a setting means, and the file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.archive import read_arrays, write_arrays
from mien.editing.attribute_model import Attribute, AttributeModel, read_model, write_model
from mien.editing.tables import make_column
from mien.errors import InputError

AGE = Attribute.measured(make_column("age", ["20", "40", "60", ""]))
SMILE = Attribute.measured(make_column("smile", ["-1", "1", "1", "1"]))
HAIR = Attribute.measured(make_column("hair", ["red", "blond", "black", "black"]))
GENDER = Attribute.measured(make_column("gender", ["female", "male"]))


def model(rows: int = 1, **changes: Any) -> AttributeModel:
    """Its four attributes have six features, each of which is one number of the latent."""
    eye = np.eye(6, 512, dtype=np.float32)[:, None].repeat(rows, 1)
    parts = {"coefficients": eye, "intercept": np.zeros((rows, 512), np.float32), "components": eye[:2]}
    parts |= {"spreads": np.array([2, 1], np.float32), **changes}
    return AttributeModel((AGE, SMILE, HAIR, GENDER), alpha=3.0, r2=0.25, **parts)


def test_settings_become_features() -> None:
    assert np.allclose(model().codes({}), 0)
    older = model().codes({"age": "60"})[0, :6]
    assert np.allclose(older, [20 / np.std([20, 40, 60]), 0, 0, 0, 0, 0])
    assert np.allclose(model().codes({"smile": -1, "hair": "blond"})[0, :6], [0, -0.75, -0.5, 0.75, -0.25, 0])
    assert np.allclose(model().codes({"smile": 0.0})[0, 1], 0.5 - 0.75)  # half way between -1 and 1
    assert np.allclose(model().codes({"gender": "male"})[0, 5], 0.5)
    assert np.allclose(model().codes({"gender": 0.5})[0, 5], 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beard": 1}, "'beard' was set; this model knows: age, smile, hair, gender"),
        ({"age": "old"}, "'age' was set to 'old'; it takes a finite number"),
        ({"age": float("nan")}, "finite number"),
        ({"age": "inf"}, "finite number"),
        ({"hair": "green"}, "one of: black, blond, red"),
        ({"hair": 1.0}, "one of: black, blond, red"),
        ({"gender": "robot"}, "one of: female, male"),
    ],
)
def test_settings_that_mean_nothing(settings: dict[str, float | str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model().codes(settings)


@pytest.mark.parametrize(("seed", "spread"), [(-1, 0.7), (0, float("nan"))])
def test_seeds_and_spreads_that_are_none(seed: int, spread: float) -> None:
    with pytest.raises(InputError, match="A seed is"):
        model().codes({}, seed, spread)


@pytest.mark.parametrize("rows", [1, 18])
def test_the_file(tmp_path: Path, rows: int) -> None:
    write_model(tmp_path / "model.npz", model(rows))
    read = read_model(tmp_path / "model.npz")
    assert read.attributes == model().attributes and (read.alpha, read.r2) == (3.0, 0.25)
    settings: dict[str, float | str] = {"age": 33, "hair": "red"}
    assert np.array_equal(read.codes(settings, 5), model(rows).codes(settings, 5))


def test_files_that_do_not_hold_together(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    wrong: dict[str, Any] = {
        "coefficients": np.zeros((5, 1, 512), np.float32),
        "intercept": np.full((1, 512), np.nan, np.float32),
        "components": np.zeros((3, 1, 512), np.float32),
        "spreads": np.array(1, np.float32),
    }
    for name, array in wrong.items():
        write_model(path, model(**{name: array}))
        with pytest.raises(InputError, match="do not fit|not finite"):
            read_model(path)
    write_model(path, model())
    arrays = dict(read_arrays(path))
    arrays.pop("about")
    good = {"name": "age", "kind": "number", "words": [], "means": [1], "scale": 1, "importance": 0}
    for bad in ({"kind": "other"}, {"scale": 0}, {"means": [1, 2]}, {"words": ["a"]}, {"kind": "binary"}, {"means": 3}):
        about = {"kind": "mien attribute model", "alpha": 1, "r2": 0, "attributes": [{**good, **bad}]}
        write_arrays(path, about, arrays)
        with pytest.raises(InputError, match="cannot be read"):
            read_model(path)
