"""`mien cache` and what `mien doctor` says of the cache: a real folder, engines of a GPU that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.commands import cached
from mien.errors import DeviceError, OutputError
from mien.hub import REGISTRY
from mien.sessions import trt_open
from mien.sessions.nvidia import Driver, Gpu
from tests.commands.program import Program
from tests.sessions.gpu_stand_in import put_gpu

YUNET = REGISTRY["yunet"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with an engine, its report, timings, a network and a part of one."""
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        put_gpu(patch)
        trt_open.open_trt(b"model", "rtx").close()
    for name, file in (("yunet", YUNET.file), ("face-mesh", REGISTRY["face-mesh"].file + ".part")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(bytes(1000))
    timings = tmp_path / "engines" / "tensorrt-11.4.0.106.timings"
    timings.write_bytes(bytes(50))
    timings.chmod(0o600)
    return tmp_path


def with_driver(monkeypatch: pytest.MonkeyPatch, release: str = "") -> None:
    gpu = Gpu("Stand-in 0", 89, 1 << 20)
    monkeypatch.setattr(cached, "find_driver", lambda: Driver(release, 13000, (gpu,)))
    monkeypatch.setattr(cached, "_versions", lambda names: dict.fromkeys(names, "0.0"))


def sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_everything_is_listed_and_counted(mien: Program, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch)
    report = mien("cache", "list", "--json").report
    assert report["folder"] == str(folder)
    assert report["bytes"] == sizes(folder)
    engine, network, part = report["files"]
    assert engine["what"].endswith("for Stand-in 0 by TensorRT-RTX 0.0, batch up to 8") and not engine["stale"]
    assert (network["what"], network["file"], network["bytes"]) == ("yunet", YUNET.file, 1000)
    assert part["what"] == "face-mesh, the first part of it"
    assert 0 <= engine["age"] < 60


def test_kinds_are_listed_alone(mien: Program, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch)
    for option, kind in (("--engines", "engine"), ("--networks", "network")):
        report = mien("cache", "list", option, "--json").report
        assert {file["kind"] for file in report["files"]} == {kind}
    shown = mien("cache", "list").out
    assert "yunet" in shown and f"{folder}: 0.0 MB" in shown


@pytest.mark.usefixtures("folder")
def test_stale_engines_are_named(mien: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, "590.10")
    engine = mien("cache", "list", "--engines", "--json").report["files"][0]
    assert engine["stale"].endswith("this machine has 590.10, CUDA 13.0")


def test_clearing_engines_takes_all_that_lies_beside_them(mien: Program, folder: Path) -> None:
    before = sizes(folder)
    assert mien("cache", "clear", "--engines", "--json").report["freed_bytes"] == before - 2000
    assert [path.name for path in (folder / "engines").iterdir() if path.stat().st_size] == []
    assert (folder / "yunet" / YUNET.file).exists()


def test_clearing_networks_leaves_engines_and_what_is_not_mien_s(mien: Program, folder: Path) -> None:
    (folder / "yunet" / "letter.txt").write_bytes(b"dear")
    assert mien("cache", "clear", "--networks", "--json").report["freed_bytes"] == 2000
    assert list((folder / "engines").glob("*.engine"))
    assert (folder / "yunet" / "letter.txt").exists()


def test_clearing_without_a_word_takes_both(mien: Program, folder: Path) -> None:
    assert mien("cache", "clear").out.endswith(" MB freed\n")
    assert sizes(folder) == 0


def test_an_empty_cache_is_no_error(mien: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "none"))
    assert mien("cache", "list", "--json").report["files"] == []
    assert mien("cache", "clear", "--json").report == {"freed_bytes": 0}
    assert not (tmp_path / "none").exists()


def test_a_cache_that_others_can_write_is_an_error_and_doctor_says_so(mien: Program, folder: Path) -> None:
    (folder / "engines").chmod(0o777)
    for action in ("list", "clear"):
        shown = mien("cache", action)
        assert shown.code == OutputError.exit_code and "let others in" in shown.err
    facts = {(fact["topic"], fact["name"]): fact for fact in mien("doctor", "--json").report["facts"]}
    assert facts["cache", "engines"]["works"] is False
    assert "let others in" in facts["cache", "engines"]["value"]


def test_doctor_counts_engines_and_their_bytes(mien: Program, folder: Path) -> None:
    (folder / "engines" / ("0" * 64 + ".engine")).write_bytes(bytes(2_500_000))
    facts = {(fact["topic"], fact["name"]): fact["value"] for fact in mien("doctor", "--json").report["facts"]}
    assert facts["cache", "engines"].startswith("2, 2.5 MB")
    assert facts["cache", "folder"] == str(folder)
    assert facts["cache", "yunet"] == "pulled" and facts["cache", "face-mesh"].startswith("not pulled")


@pytest.mark.usefixtures("folder")
def test_without_a_driver_engines_are_listed_and_not_called_stale_for_it(
    mien: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> Driver:
        raise DeviceError("There is no NVIDIA driver.")

    with_driver(monkeypatch)
    monkeypatch.setattr(cached, "find_driver", absent)
    assert mien("cache", "list", "--engines", "--json").report["files"][0]["stale"] == ""
