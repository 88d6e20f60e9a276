"""Arrays in files: what was written is read again, and nothing that a file says is ever run."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien import archive
from mien.archive import read_about, read_arrays, write_arrays
from mien.errors import InputError, OutputError


class Trap:
    """Unpickled, it would leave a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("trapped"),)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.npz"
    write_arrays(path, {"kind": "a test", "n": 3}, {"a": np.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 4))})
    return path


def test_what_was_written_is_read(file: Path) -> None:
    arrays = read_arrays(file)
    assert np.array_equal(arrays["a"], np.arange(6.0).reshape(2, 3)) and arrays["empty"].shape == (0, 4)
    assert not arrays["a"].flags.writeable
    assert read_about(arrays, "a test", file) == {"kind": "a test", "n": 3}
    with pytest.raises(InputError, match="asked for as another kind; it says that it holds 'a test'"):
        read_about(arrays, "another kind", file)
    assert [path.name for path in file.parent.iterdir()] == ["file.npz"]


def test_numpy_reads_the_file_without_pickle(file: Path) -> None:
    with np.load(file, allow_pickle=False) as loaded:
        assert sorted(loaded) == ["a", "about", "empty"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_single_array_keeps_its_order_and_type(tmp_path: Path, order: Any) -> None:
    array = np.array(np.random.default_rng(0).normal(size=(3, 5)), np.float64, order=order)
    np.save(tmp_path / "one.npy", array)
    assert np.array_equal(read_arrays(tmp_path / "one.npy")[""], array)


def test_python_objects_are_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = np.array([Trap()], object)
    np.save("bad.npy", objects, allow_pickle=True)
    np.savez("bad.npz", a=objects, allow_pickle=True)
    Path("bad.pkl").write_bytes(pickle.dumps(Trap()))
    for name in ("bad.npy", "bad.npz", "bad.pkl"):
        with pytest.raises(InputError):
            read_arrays(Path(name))
    assert not Path("trapped").exists()


def test_every_cut_is_an_error_of_our_own(file: Path) -> None:
    whole = file.read_bytes()
    for end in range(0, len(whole), 7):
        file.write_bytes(whole[:end])
        with pytest.raises(InputError):
            read_arrays(file)


@pytest.mark.parametrize("kind", ["npz", "npy"])  # the latter has no checksum
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_wrong_byte_is_an_error_of_our_own_or_reads(file: Path, kind: str, data: st.DataObject) -> None:
    np.save(file.with_name("file.npy"), np.arange(3.0))
    whole = bytearray(file.with_name(f"file.{kind}").read_bytes())
    for _ in range(3):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    broken = file.with_name("broken.npz")
    broken.write_bytes(whole)
    try:
        read_arrays(broken)
    except InputError as error:
        assert "broken.npz" in str(error)


def test_a_header_that_promises_more_than_follows_takes_no_memory(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)})
    (tmp_path / "huge.npy").write_bytes(head.getvalue())
    with pytest.raises(InputError, match="is cut off"):
        read_arrays(tmp_path / "huge.npy")


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1 << 16)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", bytes(1 << 20))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 16
    with pytest.raises(InputError, match="unpacks to more"):
        read_arrays(tmp_path / "bomb.npz")


def test_places_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_arrays(tmp_path / "none.npz")
    with pytest.raises(InputError, match="Cannot read"):
        read_arrays(tmp_path)
    with pytest.raises(OutputError, match="does not exist"):
        write_arrays(tmp_path / "none" / "file.npz", {"kind": "a test"}, {})


@pytest.mark.parametrize("text", ["{", "[1]", '"words"', "[" * 5000])
def test_broken_words_about_the_arrays(tmp_path: Path, text: str) -> None:
    np.savez(tmp_path / "file.npz", about=np.array(text))
    with pytest.raises(InputError):
        read_about(read_arrays(tmp_path / "file.npz"), "a test", tmp_path / "file.npz")
