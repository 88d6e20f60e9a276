"""Maps of codes: faces that are alike lie together, and each panel shows its attribute."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.editing.codes_map import draw_map, place_codes
from mien.editing.tables import Column, make_column
from mien.errors import InputError, MissingDependency
from mien.image import Image, load_image

Array = NDArray[Any]


def two_crowds(count: int = 60) -> Array:
    points = np.random.default_rng(0).normal(size=(count, 2, 64)).astype(np.float32)
    points[::2] += 5
    return points


def columns(count: int = 60) -> list[Column]:
    rng = np.random.default_rng(1)
    crowd = make_column("crowd", ["left" if i % 2 else "right" for i in range(count)])
    number = make_column("number", ["" if i < 5 else str(i) for i in range(count)])
    return [crowd, number, make_column("many", [f"word{i}" for i in rng.integers(0, 14, count)])]


@pytest.fixture(scope="module")
def places() -> Array:
    return place_codes(two_crowds())


def picture(folder: Path, data: bytes) -> Image:
    (folder / "map.png").write_bytes(data)
    return load_image(folder / "map.png")


def test_faces_that_are_alike_lie_together(places: Array) -> None:
    assert places.shape == (60, 2) and np.isfinite(places).all()
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(60)
    assert (distances.argmin(1) % 2 == np.arange(60) % 2).all()


def test_the_same_seed_gives_the_same_places(places: Array) -> None:
    assert np.array_equal(place_codes(two_crowds()), places)


@pytest.mark.parametrize("count", [5, 7])
def test_few_codes(count: int) -> None:
    assert np.isfinite(place_codes(two_crowds(count))).all()


def test_codes_that_make_no_map() -> None:
    with pytest.raises(InputError, match="at least 5 codes; there are 4"):
        place_codes(two_crowds(4))
    with pytest.raises(InputError, match="all the same"):
        place_codes(np.ones((9, 1, 64), np.float32))


def test_pictures_differ_by_attribute(tmp_path: Path, places: Array) -> None:
    crowd, number, many = (picture(tmp_path, draw_map(places, [column])) for column in columns())
    assert crowd.shape == number.shape == many.shape == (600, 600, 3)
    for one, other in ((crowd, number), (number, many), (crowd, many)):
        assert ((one != other).any(2)).mean() > 0.01
    # The two crowds have the first two colours of the palette, and no third.
    blue, orange, green = (
        255 * np.array(c) for c in ((0.122, 0.467, 0.706), (1.0, 0.498, 0.055), (0.173, 0.627, 0.173))
    )
    near = [(np.abs(crowd - colour).max(2) < 4).sum() for colour in (blue, orange, green)]
    assert min(near[:2]) > 500 and near[2] == 0


def test_one_panel_for_each(tmp_path: Path, places: Array) -> None:
    three = picture(tmp_path, draw_map(places, columns()))
    assert three.shape == (600, 1800, 3)
    assert all((three[:, i : i + 600] < 200).any() for i in (0, 600, 1200))
    assert picture(tmp_path, draw_map(places, columns() * 2)).shape == (1200, 1800, 3)
    assert picture(tmp_path, draw_map(places, [*columns(), columns()[0]])).shape == (1200, 1800, 3)


def test_drawing_leaves_nothing_behind(places: Array) -> None:
    before = set(sys.modules)
    first = draw_map(places, columns()[:1])
    assert draw_map(places, columns()[:1]) == first
    assert "matplotlib.pyplot" not in set(sys.modules) - before


@pytest.mark.parametrize("package", ["sklearn", "matplotlib"])
def test_what_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch, places: Array) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"'{package}'.*mien\[directions\]"):
        place_codes(two_crowds()) if package == "sklearn" else draw_map(places, columns())
