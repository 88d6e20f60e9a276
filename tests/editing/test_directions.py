"""Directions: what is one, the files of ours and of other people, and how much two of them are the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.archive import write_arrays
from mien.editing.directions import (
    EOGI,
    KIND,
    NORMAL_UNIT,
    Direction,
    Record,
    check_fit,
    correlations,
    read_directions,
    read_records,
    write_directions,
)
from mien.errors import InputError


def vector(rows: int = 1, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, 512)).astype(np.float32)


def test_a_direction_is_read_only_and_its_own_copy() -> None:
    given = vector()
    direction = Direction("smile", given)
    given[:] = 7
    assert np.array_equal(direction.vector, vector())
    with pytest.raises(ValueError):
        direction.vector[0] = 1
    assert (direction.unit, direction.difference_class, direction.parts) == (1.0, -1, "others")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vector": np.zeros((1, 512))}, "zero everywhere"),
        ({"vector": np.full((1, 512), np.nan)}, "not finite"),
        ({"vector": np.full((1, 512), 1e300)}, "not finite"),
        ({"vector": np.ones(512)}, "has shape"),
        ({"vector": np.ones((2, 18, 512))}, "has shape"),
        ({"vector": np.ones((0, 512))}, "has shape"),
        ({"unit": float("nan")}, "unit"),
        ({"unit": 0.0}, "unit"),
        ({"difference_class": -2}, "class"),
        ({"parts": "ears"}, "eyebrows, beard, age, others"),
        ({"name": ""}, "cannot be named"),
        ({"name": "hair=blond"}, "cannot be named"),
    ],
)
def test_what_is_no_direction(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Direction(**{"name": "smile", "vector": vector(), **wrong})


def test_our_own_file_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    smile = Record(Direction("smile", vector(), 2.5, 15, "others"), 0.875, 40, 30, ("age", "gender"))
    age = Direction("age", vector(18, 1), -3.0, 16, "age")
    write_directions(path, [smile, age])
    first, second = read_records(path)
    assert (first.accuracy, first.negative, first.positive, first.given) == (0.875, 40, 30, ("age", "gender"))
    assert (second.accuracy, second.negative, second.given) == (None, 0, ())
    for read, written in zip(read_directions(path, 18), (smile.direction, age), strict=True):
        assert np.array_equal(read.vector, written.vector)
        for name in ("name", "unit", "difference_class", "parts"):
            assert getattr(read, name) == getattr(written, name)
    with np.load(path, allow_pickle=False) as loaded:
        assert json.loads(str(loaded["about"]))["kind"] == KIND
    with pytest.raises(InputError, match="No direction"):
        write_directions(path, [])
    with pytest.raises(InputError, match="'age' has 18 rows of 512 numbers; the generator asks for 1 or 14 rows"):
        read_directions(path, 14)


def test_the_fit_to_a_generator() -> None:
    check_fit(Direction("a", vector(1)), 14)
    check_fit(Direction("a", vector(14)), 14)
    for layers, width in ((18, 512), (14, 256)):
        with pytest.raises(InputError, match="was made for this generator"):
            check_fit(Direction("a", vector(14)), layers, width)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("stylegan_ffhq_age_w_boundary", "age"),
        ("stylegan_ffhq_eyeglasses_c_gender_boundary", "eyeglasses_c_gender"),
        ("pggan_celebahq_smile_boundary", "smile"),
        ("my own", "my_own"),
    ],
)
def test_interfacegan_files(tmp_path: Path, stem: str, name: str) -> None:
    normal = vector().astype(np.float64)
    normal /= np.linalg.norm(normal)
    np.save(tmp_path / f"{stem}.npy", normal)
    (direction,) = read_directions(tmp_path / f"{stem}.npy", 18)
    assert (direction.name, direction.unit, direction.difference_class) == (name, NORMAL_UNIT, -1)
    assert np.allclose(direction.vector, normal, atol=1e-7) and direction.vector.shape == (1, 512)


@pytest.mark.parametrize("stem", EOGI)
def test_eogi_files(tmp_path: Path, stem: str) -> None:
    raw = vector(18).astype(np.float64) * 3
    np.save(tmp_path / f"{stem}.npy", raw)
    (direction,) = read_directions(tmp_path / f"{stem}.npy", 18)
    assert direction.name == stem.lower() and direction.unit == 20.0
    assert (direction.difference_class, direction.parts) == EOGI[stem]
    assert np.allclose(direction.vector, raw / np.linalg.norm(raw), atol=1e-7)
    assert np.linalg.norm(direction.vector) == pytest.approx(1)
    with pytest.raises(InputError, match="18 rows"):
        read_directions(tmp_path / f"{stem}.npy", 14)


def test_the_classes_of_eogi() -> None:
    numbers = {"Bushy_Eyebrows": 6, "Eyeglasses": 7, "Mouth_Open": 10, "Narrow_Eyes": 11, "Beard": 12}
    assert {name: number for name, (number, _) in EOGI.items()} == {**numbers, "Smiling": 15, "Old": 16}
    parts = {name: part for name, (_, part) in EOGI.items() if part != "others"}
    assert parts == {"Bushy_Eyebrows": "eyebrows", "Beard": "beard", "Old": "age"}


@pytest.mark.parametrize("shape", [(512,), (1, 18, 512)])
def test_other_layouts_of_one_direction(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "pose.npy", np.ones(shape))
    (direction,) = read_directions(tmp_path / "pose.npy", 18)
    assert direction.vector.shape == (shape[-2] if len(shape) == 3 else 1, 512) and direction.unit == NORMAL_UNIT


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((18, 512)), "zero everywhere"),
        (np.full((18, 512), np.inf), "not finite"),
        (np.ones((18, 256)), "18 rows of 256"),
        (np.ones((2, 18, 512)), "has shape"),
        (np.ones((1, 512), np.int64), "floating-point"),
        (np.array("words"), "floating-point"),
        (np.zeros((0, 512)), "has shape"),
    ],
)
def test_arrays_that_are_no_direction(tmp_path: Path, array: Any, message: str) -> None:
    np.save(tmp_path / "Old.npy", array)
    with pytest.raises(InputError, match=message):
        read_directions(tmp_path / "Old.npy", 18)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".PT"])
def test_files_of_torch_are_for_the_exporter(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match="needs torch .*mien export edit --directions age"):
        read_directions(tmp_path / f"age{suffix}", 18)


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"directions": 3},
        {"directions": [3]},
        {"directions": [{"name": "a"}]},
        {"directions": [{"name": 3, "unit": 1, "difference_class": 0, "parts": "age", "accuracy": None}]},
        {"directions": [dict(name="a", unit="x", difference_class=0, parts="age", accuracy=None, negative=0)]},
        {"directions": [dict(name="a", unit=1, difference_class=0, parts=[], accuracy=None, negative=0)]},
    ],
)
def test_our_own_file_with_nonsense_in_it(tmp_path: Path, about: dict[str, Any]) -> None:
    write_arrays(tmp_path / "bad.npz", {"kind": KIND, **about}, {"vector_0": vector()})
    with pytest.raises(InputError, match=r"bad\.npz"):
        read_directions(tmp_path / "bad.npz", 18)


def test_garbage(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"not at all")
    with pytest.raises(InputError, match="neither an .npy nor an .npz"):
        read_directions(tmp_path / "bad.npz", 18)
    np.savez(tmp_path / "foreign.npz", a=np.ones(3))
    with pytest.raises(InputError, match="not one of mien directions"):
        read_directions(tmp_path / "foreign.npz", 18)


def test_correlations_are_cosines_and_one_row_counts_for_all() -> None:
    one = np.zeros((1, 512), np.float32)
    one[0, 0] = 3
    other = np.zeros((4, 512), np.float32)
    other[:, 0] = 1
    other[:, 1] = 1
    against = np.zeros((4, 512), np.float32)
    against[0, 0], against[1, 0] = 1, -1
    names = [Direction("a", one), Direction("b", other), Direction("c", against)]
    expected = [[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 1]]
    assert np.allclose(correlations(names), expected, atol=1e-6)
