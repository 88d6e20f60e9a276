"""From a network to a session on a GPU that is not there: what is built, kept, reported, and what is told instead."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DeviceError, DiskFull, OutputError, SessionError
from mien.sessions import trt_open
from mien.sessions.engine_cache import EngineCache
from mien.sessions.trt import TrtSession
from tests.sessions import fake_trt
from tests.sessions.driver import StandIn
from tests.sessions.gpu_stand_in import Gpu, put_gpu


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return put_gpu(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def opened(store: EngineCache, device: str = "cuda") -> TrtSession:
    return trt_open.open_trt(b"model", "rtx", device, cache=store)


def runs(session: TrtSession) -> bool:
    return session.run({"x": np.ones((1, 3), np.float32)})["y"].tolist() == [[2.0] * 3]


def test_an_engine_is_built_for_this_gpu_once_and_kept(gpu: Gpu, store: EngineCache) -> None:
    for _ in range(2):
        assert runs(opened(store))
    assert [target.compute_capability for target in gpu.built] == [89]  # type: ignore[attr-defined]
    gpu.driver = StandIn(capability=(9, 0))  # a GPU that the flavour does not name: a plan for any
    assert runs(opened(store))
    assert [target.compute_capability for target in gpu.built] == [89, None]  # type: ignore[attr-defined]


def test_a_build_is_announced_because_it_takes_minutes(
    gpu: Gpu, store: EngineCache, caplog: pytest.LogCaptureFixture
) -> None:
    opened(store)
    assert "Building an engine for Stand-in 0" in caplog.text
    caplog.clear()
    opened(store)
    assert not caplog.text


def test_another_driver_builds_again(gpu: Gpu, store: EngineCache) -> None:
    opened(store)
    gpu.driver = StandIn(version=13010)
    opened(store)
    assert len(gpu.built) == 2


def test_the_inspector_s_report_is_kept_beside_the_engine(gpu: Gpu, store: EngineCache) -> None:
    opened(store)
    (entry,) = store.entries()
    assert entry.key is not None
    assert store.report(entry.key) == fake_trt.REPORT
    assert gpu.machine.names().count("information") == 1
    opened(store)
    assert gpu.machine.names().count("information") == 1, "it was there already"


def test_a_network_runs_without_its_report(gpu: Gpu, store: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    gpu.machine.refuses.add("inspector")
    assert runs(opened(store))
    assert "No report of the engine's layers" in caplog.text


def compiled(gpu: Gpu) -> list[object]:
    return [call[1] for call in gpu.machine.calls if call[0] == "compile"]


def test_what_an_engine_compiles_is_kept_so_that_the_next_process_does_not(gpu: Gpu, store: EngineCache) -> None:
    for _ in range(2):
        session = opened(store)
        assert runs(session) and runs(session)
        session.close()
    assert compiled(gpu) == [1]
    session = opened(store)
    session.run({"x": np.ones((2, 3), np.float32)})
    assert compiled(gpu) == [1, 2]
    assert runs(opened(store)) and compiled(gpu) == [1, 2], "both are kept"


def test_kernels_that_are_refused_or_were_touched_are_compiled_again(
    gpu: Gpu, store: EngineCache, caplog: pytest.LogCaptureFixture
) -> None:
    assert runs(opened(store))
    gpu.machine.refuses.add("deserialize kernels")
    assert runs(opened(store)) and compiled(gpu) == [1, 1]
    assert "compiles anew" in caplog.text and "[deserialize kernels] no." in caplog.text
    gpu.machine.refuses.clear()
    (entry,) = store.entries()
    assert entry.key is not None
    kept = store.folder / entry.key.compiled
    data = bytearray(kept.read_bytes())
    data[-1] ^= 1
    kept.write_bytes(data)
    asked = gpu.machine.names().count("deserialize kernels")
    assert runs(opened(store)) and compiled(gpu) == [1, 1, 1]
    assert gpu.machine.names().count("deserialize kernels") == asked, "it was parsed"


def test_a_full_disk_keeps_no_kernels_and_stops_nothing(
    gpu: Gpu, store: EngineCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = opened(store)

    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert runs(session)
    assert "compiled is not kept" in caplog.text
    assert runs(opened(store)) and compiled(gpu) == [1, 1]


def test_a_gpu_that_takes_no_cache_of_kernels_is_told(gpu: Gpu, store: EngineCache) -> None:
    gpu.machine.refuses.add("kernels")
    with pytest.raises(SessionError, match="takes no cache of kernels"):
        opened(store)


def test_an_engine_that_this_gpu_refuses_is_told(gpu: Gpu, store: EngineCache) -> None:
    gpu.machine.refuses.add("deserialize")
    with pytest.raises(SessionError, match="cannot load the engine on Stand-in 0"):
        opened(store)


def test_a_second_gpu_that_is_absent_is_told_with_those_there(gpu: Gpu, store: EngineCache) -> None:
    with pytest.raises(DeviceError, match=r"'cuda:1', but of GPUs there are 1: cuda:0"):
        opened(store, "cuda:1")


def test_a_cache_that_others_can_write_is_refused_before_anything_is_built(gpu: Gpu, store: EngineCache) -> None:
    store.folder.mkdir(mode=0o700)
    store.folder.chmod(0o777)
    with pytest.raises(OutputError, match="let others in"):
        opened(store)
    assert not gpu.built


def test_a_disk_that_is_full_while_an_engine_is_built_is_told_and_leaves_nothing(
    gpu: Gpu, store: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if gpu.built:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    with monkeypatch.context() as patch, pytest.raises(DiskFull, match="no room left to write .*engine"):
        patch.setattr(os, "write", full)
        opened(store)
    assert store.entries() == ()
    assert runs(opened(store))


def test_out_of_memory_names_the_bytes_and_leaves_the_session_usable(gpu: Gpu, store: EngineCache) -> None:
    gpu.machine.most = 10_000
    gpu.driver = StandIn(capability=(8, 9), memory=2000)
    session = opened(store)
    with pytest.raises(DeviceError, match=r"12,000 bytes are needed, [\d,]+ of 2,000 are free"):
        session.run({"x": np.ones((1000, 3), np.float32)})
    assert runs(session)
