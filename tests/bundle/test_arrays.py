"""Arrays come back as they were, the format is the public one, and a broken file is refused before it is used."""

import json

import numpy as np
import pytest

from mien.bundle.arrays import DTYPES, read_arrays, write_arrays
from mien.errors import BundleInvalid


def raw(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_comes_back(name: str) -> None:
    array = np.random.default_rng(0).integers(0, 2, (3, 4)).astype(DTYPES[name])
    found = read_arrays(write_arrays({"a": array, "b": array[0]}))
    assert found["a"].dtype == array.dtype
    assert np.array_equal(found["a"], array)
    assert np.array_equal(found["b"], array[0])


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1, 1, 1)])
def test_every_shape_comes_back(shape: tuple[int, ...]) -> None:
    found = read_arrays(write_arrays({"before": np.zeros(3), "a": np.ones(shape, np.float32)}))
    assert found["a"].shape == shape
    assert np.array_equal(found["a"], np.ones(shape))


def test_views_and_transposed_arrays() -> None:
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    assert np.array_equal(read_arrays(write_arrays({"a": array[::2].T}))["a"], array[::2].T)


def test_it_is_the_public_format() -> None:
    public = pytest.importorskip("safetensors.numpy")
    arrays = {"a": np.arange(5, dtype=np.float32), "ü": np.ones((2, 3), bool)}
    for name, array in public.load(write_arrays(arrays)).items():
        assert np.array_equal(array, arrays[name])
    for name, array in read_arrays(public.save(arrays, {"made by": "a test"})).items():
        assert np.array_equal(array, arrays[name])


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.zeros(2, complex)], ids=str)
def test_other_types_are_not_written(array: np.ndarray) -> None:
    with pytest.raises(BundleInvalid, match="arrays are one of"):
        write_arrays({"a": array})


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8), **more: object) -> dict[str, object]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1\0\0",
        (2**63).to_bytes(8, "little") + b"{}",
        (100).to_bytes(8, "little") + b"{}",
        raw(b"not JSON"),
        raw([]),
        raw({"a": 3}),
        raw(b'{"a": {}, "a": {}}'),
        raw(entry(dtype="BF16"), bytes(8)),
        raw(entry(dtype="O"), bytes(8)),
        raw(entry(dtype=4), bytes(8)),
        raw(entry(shape=(3,)), bytes(8)),
        raw(entry(shape=(-1, -2)), bytes(8)),
        raw(entry(shape=(2.0,)), bytes(8)),
        raw(entry(shape=(2**40, 2**40)), bytes(8)),
        raw(entry(shape="2"), bytes(8)),
        raw(entry(offsets=(0, 7)), bytes(8)),
        raw(entry(offsets=(1, 9)), bytes(8)),
        raw(entry(offsets=(8, 0)), bytes(8)),
        raw(entry(offsets=(-8, 0)), bytes(8)),
        raw(entry(offsets=(0, 8, 16)), bytes(16)),
        raw(entry(code="x"), bytes(8)),
        raw({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    ],
)
def test_a_broken_file_is_refused(data: bytes) -> None:
    with pytest.raises(BundleInvalid):
        read_arrays(data)
