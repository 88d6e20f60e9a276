"""Codes of faces: shapes, names, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.archive import write_arrays
from mien.editing.codes import KIND, Codes, read_codes, write_codes
from mien.errors import InputError


def numbers(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=(*shape, 512)).astype(np.float32)


def test_files_of_all_kinds(tmp_path: Path) -> None:
    values = numbers(3, 4)
    write_codes(tmp_path / "own.npz", Codes(values, ("a", "b", "ä")))
    np.savez(tmp_path / "foreign.npz", codes=values, files=np.array(["a", "b", "ä"]))
    np.save(tmp_path / "bare.npy", values.astype(np.float64))
    for name, names in {"own.npz": ("a", "b", "ä"), "foreign.npz": ("a", "b", "ä"), "bare.npy": ()}.items():
        codes = read_codes(tmp_path / name)
        assert np.array_equal(codes.values, values) and codes.names == names and len(codes) == 3


def test_the_spaces() -> None:
    values = numbers(3, 4)
    assert np.allclose(Codes(values).points("w"), values.mean(1, keepdims=True))
    assert np.array_equal(Codes(values).points("w+"), values)
    flat = Codes(numbers(3))
    assert flat.values.shape == (3, 1, 512) and np.array_equal(flat.points("w"), flat.values)
    with pytest.raises(InputError, match="one row each"):
        flat.points("w+")


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        (np.ones((3, 256)), (), "got shape"),
        (np.ones(512), (), "got shape"),
        (np.ones((0, 512)), (), "got shape"),
        (np.ones((3, 512)), ("a", "b"), "3 codes and 2 names"),
        (np.ones((3, 512)), ("a", "b", "a"), "name 'a'"),
        (np.array([np.ones(512), np.full(512, np.nan)]), (), "row 1"),
    ],
)
def test_what_are_no_codes(values: Any, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Codes(values, names)


def test_files_that_hold_no_codes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", other=np.ones(3))
    np.save(tmp_path / "b.npy", np.ones((3, 512), np.int64))
    write_arrays(tmp_path / "c.npz", {"kind": "mien directions"}, {})
    write_arrays(tmp_path / "d.npz", {"kind": KIND}, {"codes": numbers(2)})
    for name, message in {"a.npz": "no array", "b.npy": "floating", "c.npz": "it says", "d.npz": "which"}.items():
        with pytest.raises(InputError, match=message):
            read_codes(tmp_path / name)
