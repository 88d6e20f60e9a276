"""The check of tensors names the fault, and a function session is a session."""

from pathlib import Path

import numpy as np
import pytest

from mien.errors import SessionError
from mien.sessions import FunctionSession, TensorSpec, base
from mien.sessions.base import check_tensors, choose_threads, usable_cores

IMAGE = TensorSpec("image", "float32", ("N", 3, 8, 8))
POINTS = TensorSpec("points", "float32", ("N", "K", 2))


def image(count: int = 1) -> np.ndarray:
    return np.zeros((count, 3, 8, 8), np.float32)


def test_what_fits_is_accepted() -> None:
    check_tensors((IMAGE, POINTS), {"points": np.zeros((4, 9, 2), np.float32), "image": image(4)})


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "should be the arrays image; got nothing"),
        ({"picture": image()}, r"image; got picture"),
        ({"image": image(), "more": image()}, r"got image \(ndarray\), more"),
        ({"image": [[0.0]]}, r"image \(list\)"),
        (
            {"image": image().astype(np.float64)},
            r"'image' should be float32 \(N, 3, 8, 8\); got float64 \(1, 3, 8, 8\)",
        ),
        ({"image": image()[0]}, r"got float32 \(3, 8, 8\)"),
        ({"image": image()[:, :2]}, r"got float32 \(1, 2, 8, 8\)"),
        ({"image": image()[..., :7]}, r"got float32 \(1, 3, 8, 7\)"),
    ],
    ids=["missing", "unknown", "too many", "no array", "dtype", "rank", "channels", "size"],
)
def test_what_does_not_fit_is_named(feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(SessionError, match=message):
        check_tensors((IMAGE,), feeds)


def test_a_named_size_is_one_size() -> None:
    with pytest.raises(SessionError, match="'points'"):
        check_tensors((IMAGE, POINTS), {"image": image(2), "points": np.zeros((3, 9, 2), np.float32)})


def doubling() -> FunctionSession:
    out = TensorSpec("doubled", "float32", IMAGE.shape)
    return FunctionSession(lambda feeds: {"doubled": feeds["image"] * np.float32(2)}, (IMAGE,), (out,))


def test_a_function_session_calls_the_function() -> None:
    session = doubling()
    assert session.run({"image": image() + 1})["doubled"].max() == 2
    assert session.info.backend == "function"


def test_a_function_session_checks_what_goes_in_and_out() -> None:
    with pytest.raises(SessionError, match="input 'image'"):
        doubling().run({"image": image()[0]})
    liar = FunctionSession(lambda feeds: {"doubled": np.zeros(3)}, (IMAGE,), doubling().outputs)
    with pytest.raises(SessionError, match="output 'doubled'"):
        liar.run({"image": image()})


def test_a_closed_session_does_not_run() -> None:
    session = doubling()
    session.close()
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run({"image": image()})


def test_threads_are_never_more_than_cores() -> None:
    assert choose_threads(10_000) == usable_cores() >= 1
    assert choose_threads(1) == 1
    assert 1 <= choose_threads(None) <= min(base.MOST_THREADS, usable_cores())


@pytest.mark.parametrize("count", [0, -3])
def test_no_threads_are_no_session(count: int) -> None:
    with pytest.raises(SessionError, match="at least 1"):
        choose_threads(count)


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 64), ("150000 100000", 2), ("50000 100000", 1), ("?", 64)])
def test_a_container_s_quota_counts(monkeypatch: pytest.MonkeyPatch, quota: str, cores: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda self: quota)
    assert usable_cores() == cores
