"""The engine cache: built once, refused after any change, unharmed by kills and full disks, and the user's alone."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import DeviceError, DiskFull, OutputError
from mien.sessions import engine_cache
from mien.sessions.engine_cache import SECRET, CacheUse, EngineCache, EngineKey, ShapeRange
from mien.sessions.own_folder import OwnFolder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no owner that could be checked")

BATCH = ShapeRange("image", (1, 3, 256, 256), (1, 3, 256, 256), (4, 3, 256, 256))
KEY = EngineKey(
    model="0" * 64,
    flavour="rtx",
    version="1.7.1.116",
    gpu="NVIDIA H100 80GB HBM3",
    compute_capability=90,
    driver="580.95.05",
    precision="fp16",
    shapes=(BATCH,),
    options=(("builder_optimization_level", 3), ("workspace", 1 << 30)),
)
PLAN = bytes(range(256)) * 5

context = multiprocessing.get_context("fork")  # nothing has to be imported again: a few milliseconds each


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "mien" / "engines")


@pytest.fixture
def filled(cache: EngineCache) -> EngineCache:
    cache.build(KEY, lambda: PLAN)
    return cache


@contextmanager
def filled_anew() -> Iterator[EngineCache]:
    """For examples of hypothesis, which share a test's fixtures."""
    with tempfile.TemporaryDirectory() as folder:
        cache = EngineCache(Path(folder) / "engines")
        cache.build(KEY, lambda: PLAN)
        yield cache


def not_again() -> bytes:
    raise AssertionError("it is built again")


def engine(cache: EngineCache) -> Path:
    return cache.folder / KEY.file


def left(cache: EngineCache) -> set[str]:
    """What is in the folder besides the lock's file, which stays."""
    return set(os.listdir(cache.folder)) - {OwnFolder.LOCK}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Keeping


def test_an_engine_is_built_once_and_kept(cache: EngineCache) -> None:
    assert cache.load(KEY) is None
    assert not cache.folder.parent.exists(), "looking makes nothing"
    assert cache.build(KEY, lambda: PLAN) == PLAN
    assert cache.build(KEY, not_again) == PLAN
    assert EngineCache(cache.folder).load(KEY) == PLAN
    assert left(cache) == {KEY.file, SECRET}


def test_everything_is_the_owner_s_alone_whatever_the_umask(cache: EngineCache) -> None:
    old = os.umask(0)
    try:
        cache.build(KEY, lambda: PLAN)
    finally:
        os.umask(old)
    assert mode(cache.folder) == 0o700
    assert {mode(path) for path in cache.folder.iterdir()} == {0o600}


def test_a_build_that_fails_leaves_nothing_and_the_next_one_runs(cache: EngineCache) -> None:
    def failing() -> bytes:
        raise PermissionError("the builder's own")

    with pytest.raises(PermissionError, match="the builder's own"):
        cache.build(KEY, failing)
    assert left(cache) == {SECRET}
    assert cache.build(KEY, lambda: PLAN) == PLAN


def test_an_empty_plan_is_a_plan(cache: EngineCache) -> None:
    assert cache.build(KEY, lambda: b"") == b""
    assert cache.load(KEY) == b""


def test_one_call_need_not_write_everything(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:100]))
    cache.build(KEY, lambda: PLAN)
    assert cache.load(KEY) == PLAN


# Keys

words = st.text(max_size=12)
sizes = st.lists(st.integers(1, 4), max_size=3).map(tuple)
shapes = st.lists(st.builds(ShapeRange, words, sizes, sizes, sizes), max_size=2).map(tuple)
options = st.lists(st.tuples(words, st.booleans() | st.integers() | words), max_size=3).map(tuple)
values: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("model", "version", "gpu", "driver", "precision"), words),
    "flavour": st.sampled_from(["tensorrt", "rtx"]),
    "compute_capability": st.integers(0, 999),
    "shapes": shapes,
    "options": options,
}
keys = st.builds(EngineKey, **values)


def test_the_properties_cover_every_field() -> None:
    assert set(values) == {field.name for field in fields(EngineKey)}


@pytest.mark.parametrize("field", values)
@given(data=st.data())
def test_any_changed_field_is_another_engine(field: str, data: st.DataObject) -> None:
    key = data.draw(keys)
    value = data.draw(values[field])
    other = replace(key, **{field: value})
    assert (other.file == key.file) == (repr(value) == repr(getattr(key, field)))


def changed(field: str) -> EngineKey:
    """The key of these tests with the least change to one field."""
    value = getattr(KEY, field)
    if field == "flavour":
        return replace(KEY, flavour="tensorrt")
    if field == "shapes":
        return replace(KEY, shapes=(replace(BATCH, most=(5, 3, 256, 256)),))
    if field == "options":
        return replace(KEY, options=(("builder_optimization_level", 4), *KEY.options[1:]))
    other: dict[str, Any] = {field: value + 1 if isinstance(value, int) else f"{value}1"}
    return replace(KEY, **other)


@pytest.mark.parametrize("field", values)
def test_any_changed_field_builds_again(filled: EngineCache, field: str) -> None:
    other = changed(field)
    assert filled.load(other) is None
    assert filled.build(other, lambda: b"other") == b"other"
    assert (filled.load(KEY), filled.load(other)) == (PLAN, b"other")


def test_a_key_s_file_is_the_same_in_every_process(cache: EngineCache) -> None:
    assert KEY.file == "8bd86beadc9552dc707942af5e007b785f039ab82f0d269bdd92aec7fdf9d128.engine"


@given(first=keys, second=keys)
def test_fields_do_not_run_into_each_other(first: EngineKey, second: EngineKey) -> None:
    assert (first.header == second.header) == (repr(first) == repr(second))


# Tampering


def refused(cache: EngineCache) -> None:
    """`load` gives nothing and removes the file; a new one is then built."""
    assert cache.load(KEY) is None
    assert not engine(cache).exists()
    assert cache.build(KEY, lambda: b"anew") == b"anew"
    assert cache.load(KEY) == b"anew"


@given(data=st.data())
def test_one_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    with filled_anew() as cache:
        contents = bytearray(engine(cache).read_bytes())
        bit = data.draw(st.integers(0, 8 * len(contents) - 1))
        contents[bit // 8] ^= 1 << bit % 8
        engine(cache).write_bytes(contents)
        refused(cache)


@given(data=st.data())
def test_a_truncated_or_longer_file_is_refused(data: st.DataObject) -> None:
    with filled_anew() as cache:
        contents = engine(cache).read_bytes()
        end = data.draw(st.integers(0, len(contents) - 1))
        engine(cache).write_bytes(contents[:end] if data.draw(st.booleans()) else contents + contents[end:])
        refused(cache)


@pytest.mark.parametrize("bit", [0, 100, 255])
def test_one_flipped_bit_of_the_secret_refuses_every_engine(filled: EngineCache, bit: int) -> None:
    secret = bytearray((filled.folder / SECRET).read_bytes())
    secret[bit // 8] ^= 1 << bit % 8
    (filled.folder / SECRET).write_bytes(secret)
    refused(filled)


@pytest.mark.parametrize("field", values)
def test_another_key_s_file_under_this_name_is_refused(cache: EngineCache, field: str) -> None:
    other = changed(field)
    cache.build(other, lambda: PLAN)
    os.rename(cache.folder / other.file, engine(cache))
    refused(cache)


def test_a_file_of_another_cache_is_refused(filled: EngineCache, tmp_path: Path) -> None:
    other = EngineCache(tmp_path / "other")
    other.build(KEY, lambda: b"hostile")
    engine(filled).write_bytes(engine(other).read_bytes())
    refused(filled)


def test_nothing_of_a_file_is_read_as_anything_before_it_is_verified(
    filled: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(filled).write_bytes(engine(filled).read_bytes()[:-1])
    monkeypatch.setattr(engine_cache, "_Content", None)
    assert filled.entries()[0].key is None
    assert filled.load(KEY) is None


def test_a_refused_file_goes_although_the_build_fails(filled: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    engine(filled).write_bytes(b"")
    with pytest.raises(AssertionError):
        filled.build(KEY, not_again)
    assert left(filled) == {SECRET}
    assert KEY.file in caplog.text


@pytest.mark.parametrize("size", [None, 0, 31, 33])
def test_without_a_whole_secret_nothing_is_trusted_and_a_new_one_is_made(filled: EngineCache, size: int | None) -> None:
    secret = filled.folder / SECRET
    old = secret.read_bytes()
    if size is None:
        secret.unlink()
    else:  # engines sealed with just this secret: it must not be used all the same
        secret.write_bytes((old + b"x")[:size])
        mac, head, plan = engine_cache._sealed(secret.read_bytes(), KEY.header, PLAN)
        engine(filled).write_bytes(mac + head + plan)
    refused(filled)
    assert len(secret.read_bytes()) == 32
    assert secret.read_bytes() != old
    assert mode(secret) == 0o600


def test_two_caches_have_two_secrets(filled: EngineCache, tmp_path: Path) -> None:
    other = EngineCache(tmp_path / "other")
    other.build(KEY, lambda: PLAN)
    assert (other.folder / SECRET).read_bytes() != (filled.folder / SECRET).read_bytes()


# Owners, permissions, kinds

uses: dict[str, Callable[[EngineCache], object]] = {
    "load": lambda cache: cache.load(KEY),
    "build": lambda cache: cache.build(KEY, not_again),
    "entries": lambda cache: cache.entries(),
}
every_use = pytest.mark.parametrize("use", uses.values(), ids=uses)


@every_use
@pytest.mark.parametrize("bits", [0o770, 0o702, 0o1777])
def test_a_folder_that_others_can_write_is_refused(
    filled: EngineCache, bits: int, use: Callable[[EngineCache], object]
) -> None:
    filled.folder.chmod(bits)
    with pytest.raises(OutputError, match=f"engines: its permissions .{bits:04o}. let others in.*MIEN_CACHE"):
        use(filled)


def test_a_folder_that_others_can_only_read_will_do(filled: EngineCache) -> None:
    filled.folder.chmod(0o755)
    assert filled.load(KEY) == PLAN


@every_use
@pytest.mark.parametrize("bits", [0o640, 0o602, 0o660])
@pytest.mark.parametrize("name", [KEY.file, SECRET])
def test_a_file_that_is_open_to_others_is_refused(
    filled: EngineCache, name: str, bits: int, use: Callable[[EngineCache], object]
) -> None:
    (filled.folder / name).chmod(bits)
    with pytest.raises(OutputError, match=f"{name}: its permissions .{bits:04o}. let others in"):
        use(filled)
    assert (filled.folder / name).exists(), "what was found is left for the user to see"


@every_use
def test_a_folder_of_another_user_is_refused(
    filled: EngineCache, monkeypatch: pytest.MonkeyPatch, use: Callable[[EngineCache], object]
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(OutputError, match=rf"engines: it belongs to the user {me}, not to you \({me + 1}\)"):
        use(filled)


@every_use
@pytest.mark.parametrize("name", [KEY.file, SECRET])
def test_a_file_of_another_user_is_refused(
    filled: EngineCache, monkeypatch: pytest.MonkeyPatch, name: str, use: Callable[[EngineCache], object]
) -> None:
    foreign, fstat = (filled.folder / name).stat().st_ino, os.fstat

    def told(descriptor: int) -> os.stat_result:
        info = fstat(descriptor)
        if info.st_ino != foreign:
            return info
        return os.stat_result((*info[:4], info.st_uid + 1, *info[5:]))

    monkeypatch.setattr(os, "fstat", told)
    with pytest.raises(OutputError, match=f"{name}: it belongs to the user"):
        use(filled)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", KEY.file, SECRET])
def test_a_file_or_folder_that_was_really_given_away_is_refused(filled: EngineCache, name: str) -> None:
    os.chown(filled.folder / name, 12345, -1)
    with pytest.raises(OutputError, match="it belongs to the user 12345"):
        filled.load(KEY)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may open everything")
def test_what_may_not_be_opened_is_refused(filled: EngineCache) -> None:
    engine(filled).chmod(0)
    with pytest.raises(OutputError, match="it may not be opened by you"):
        filled.load(KEY)


@every_use
def test_a_link_in_the_folder_s_place_is_refused(
    filled: EngineCache, use: Callable[[EngineCache], object], tmp_path: Path
) -> None:
    filled.folder.rename(tmp_path / "elsewhere")
    filled.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="engines: it is a symbolic link"):
        use(filled)


def test_a_link_to_nowhere_in_the_folder_s_place_is_refused(cache: EngineCache, tmp_path: Path) -> None:
    cache.folder.parent.mkdir()
    cache.folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="symbolic link"):
        cache.build(KEY, not_again)
    assert not (tmp_path / "nowhere").exists()


def test_a_file_in_the_folder_s_place_is_refused(cache: EngineCache) -> None:
    cache.folder.parent.mkdir()
    cache.folder.write_bytes(b"")
    for use in uses.values():
        with pytest.raises(OutputError, match="of another kind"):
            use(cache)


def test_a_link_above_the_folder_is_the_user_s_choice(filled: EngineCache, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(filled.folder.parent)
    assert EngineCache(tmp_path / "link" / "engines").load(KEY) == PLAN


def put_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def put_socket(path: Path) -> None:
    path.unlink()
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's whole address has a hundred characters at most
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("put", [put_link, put_folder, put_pipe, put_socket])
@pytest.mark.parametrize("name", [KEY.file, SECRET])
def test_what_is_no_plain_file_is_refused(filled: EngineCache, name: str, put: Callable[[Path], None]) -> None:
    put(filled.folder / name)
    for use in uses.values():
        with pytest.raises(OutputError, match=f"{name}: it is (a symbolic link|no plain file)"):
            use(filled)


@pytest.mark.parametrize("put", [put_link, put_folder, put_pipe])
def test_the_lock_s_file_is_held_against_the_same_rules(filled: EngineCache, put: Callable[[Path], None]) -> None:
    put(filled.folder / OwnFolder.LOCK)
    assert filled.load(KEY) == PLAN, "looking takes no lock"
    with pytest.raises(OutputError, match=OwnFolder.LOCK):
        filled.build(changed("model"), not_again)


def test_windows_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(DeviceError, match="WSL 2"):
        EngineCache(tmp_path)


# The inspector's report


def test_a_report_lies_beside_its_engine_and_is_the_owner_s_alone(filled: EngineCache) -> None:
    assert filled.report(KEY) is None
    filled.keep_report(KEY, '{"Layers": []}')
    assert filled.report(KEY) == '{"Layers": []}'
    assert mode(filled.folder / KEY.report) == 0o600
    assert filled.report(changed("driver")) is None
    assert [entry.key for entry in filled.entries()] == [KEY], "a report is no engine"


def test_what_was_compiled_lies_beside_its_engine_sealed_for_it_alone(filled: EngineCache) -> None:
    assert filled.compiled(KEY) == b""
    filled.keep_compiled(KEY, b"kernels")
    assert filled.compiled(KEY) == b"kernels" and mode(filled.folder / KEY.compiled) == 0o600
    assert [entry.key for entry in filled.entries()] == [KEY], "kernels are no engine"
    other = changed("driver")
    (filled.folder / other.compiled).write_bytes((filled.folder / KEY.compiled).read_bytes())
    (filled.folder / other.compiled).chmod(0o600)
    assert filled.compiled(other) == b"", "it is another engine's"
    (filled.folder / KEY.compiled).write_bytes(engine(filled).read_bytes())
    assert filled.compiled(KEY) == b"", "an engine is no kernels"


def test_what_was_compiled_goes_with_its_engine(filled: EngineCache) -> None:
    filled.keep_compiled(KEY, b"old")
    engine(filled).write_bytes(b"touched")
    filled.build(KEY, lambda: PLAN)
    assert filled.compiled(KEY) == b""
    filled.keep_compiled(KEY, b"new")
    filled.clear()
    assert left(filled) == set()


def test_a_report_goes_with_its_engine(filled: EngineCache) -> None:
    filled.keep_report(KEY, "old")
    engine(filled).write_bytes(b"broken")
    assert filled.load(KEY) is None
    filled.build(KEY, lambda: PLAN)
    assert filled.report(KEY) is None
    filled.keep_report(KEY, "old")
    engine(filled).unlink()
    assert filled.report(KEY) is None
    filled.build(KEY, lambda: PLAN)
    assert filled.report(KEY) is None, "it is of the engine that was there before"


# A full disk


def full_after(room: int) -> Callable[[int, memoryview], int]:
    """An os.write for a disk with so many bytes of room."""
    write = os.write

    def limited(descriptor: int, data: memoryview) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(descriptor, data[:room])
        room -= done
        return done

    return limited


@pytest.mark.parametrize("room", [0, 1, 32, 40, 1000])
def test_a_full_disk_is_named_and_leaves_what_was_there(
    filled: EngineCache, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    other = changed("driver")
    with monkeypatch.context() as patch, pytest.raises(DiskFull, match=f"no room left to write .*{other.file}"):
        patch.setattr(os, "write", full_after(room))
        filled.build(other, lambda: PLAN)
    assert left(filled) == {KEY.file, SECRET}
    assert filled.load(KEY) == PLAN
    assert filled.build(other, lambda: PLAN) == PLAN


def test_a_disk_too_full_for_the_secret_shows_before_anything_is_built(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", full_after(31))
    with pytest.raises(DiskFull):
        cache.build(KEY, not_again)
    assert left(cache) == set()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="engines"):
        EngineCache(tmp_path / "file" / "engines").build(KEY, not_again)


# Several processes


def in_process(target: Callable[[], object]) -> ForkProcess:
    """Not started yet; it ends with the tests at the latest, so that a lock that is never free hangs nothing."""
    return context.Process(target=target, daemon=True)


def test_processes_that_want_the_same_engine_build_it_once(cache: EngineCache, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def make() -> bytes:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.2)
        return str(os.getpid()).encode()

    receive, send = context.Pipe(duplex=False)
    builders = [in_process(lambda: send.send(cache.build(KEY, make))) for _ in range(6)]
    for builder in builders:
        builder.start()
    plans = set()
    for _ in builders:
        assert receive.poll(20), "a process gave nothing"
        plans.add(receive.recv())
    for builder in builders:
        builder.join()
    assert log.read_text().encode().split() == list(plans), "one build, and its result for all"
    assert cache.load(KEY) in plans
    assert left(cache) == {KEY.file, SECRET}


def test_another_process_waits_for_the_build_and_takes_its_result(cache: EngineCache) -> None:
    receive, send = context.Pipe(duplex=False)
    waiting = in_process(lambda: send.send(cache.build(KEY, not_again)))

    def make() -> bytes:
        waiting.start()
        assert not receive.poll(0.3), "it did not wait"
        assert cache.load(KEY) is None, "looking does not wait"
        return PLAN

    cache.build(KEY, make)
    assert receive.poll(10)
    assert receive.recv() == PLAN
    waiting.join()


def test_threads_build_once_as_well(cache: EngineCache) -> None:
    built: list[None] = []
    plans: list[bytes] = []

    def make() -> bytes:
        built.append(None)
        time.sleep(0.1)
        return PLAN

    threads = [threading.Thread(target=lambda: plans.append(cache.build(KEY, make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(built), plans) == (1, [PLAN] * 4)


def test_an_engine_that_is_there_does_not_wait_for_the_build_of_another(filled: EngineCache) -> None:
    plan = filled.build(changed("gpu"), lambda: b"other" + filled.build(KEY, not_again))
    assert plan == b"other" + PLAN


def test_a_child_that_was_forked_in_the_build_does_not_keep_the_lock(cache: EngineCache) -> None:
    children: list[subprocess.Popen[bytes]] = []

    def make() -> bytes:
        held = [int(name) for name in os.listdir("/dev/fd") if int(name) > 2]
        children.append(subprocess.Popen(["sleep", "60"], close_fds=True, pass_fds=[fd for fd in held if is_open(fd)]))
        return PLAN

    cache.build(KEY, make)
    try:
        with (cache.folder / OwnFolder.LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        children[0].kill()
        children[0].wait()


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


# Killing


def die(*arguments: object) -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def run_and_die(target: Callable[[], object]) -> bool:
    """Runs something in a process of its own; whether it was killed (and did not come to its end)."""
    process = in_process(target)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def unharmed(cache: EngineCache) -> None:
    assert cache.load(KEY) in (None, PLAN)
    assert cache.build(KEY, lambda: PLAN) == PLAN
    assert EngineCache(cache.folder).load(KEY) == PLAN
    assert left(cache) == {KEY.file, SECRET}


def test_a_process_killed_while_building_leaves_nothing_and_lets_the_next_one_build(cache: EngineCache) -> None:
    assert run_and_die(lambda: cache.build(KEY, die))
    assert left(cache) == {SECRET}
    unharmed(cache)


def test_one_that_waits_builds_when_the_builder_is_killed(cache: EngineCache) -> None:
    receive, send = context.Pipe(duplex=False)
    waiting = in_process(lambda: send.send(cache.build(KEY, lambda: PLAN)))
    started, starting = context.Pipe(duplex=False)

    def make() -> bytes:
        starting.send(None)
        time.sleep(60)
        return b"never"

    builder = in_process(lambda: cache.build(KEY, make))
    builder.start()
    assert started.poll(10)
    waiting.start()
    assert not receive.poll(0.2), "it did not wait"
    builder.kill()
    builder.join()
    assert receive.poll(10)
    assert receive.recv() == PLAN
    waiting.join()
    unharmed(cache)


def test_a_process_killed_in_the_middle_of_writing_leaves_nothing_that_is_loaded(cache: EngineCache) -> None:
    write = os.write

    def half(descriptor: int, data: memoryview) -> int:
        if len(data) == len(PLAN):
            write(descriptor, data[: len(data) // 2])
            die()
        return write(descriptor, data)

    def build() -> None:
        os.write = half  # type: ignore[assignment]
        cache.build(KEY, lambda: PLAN)

    assert run_and_die(build)
    assert left(cache) == {SECRET, OwnFolder.PART}
    assert cache.load(KEY) is None
    assert cache.entries() == ()
    unharmed(cache)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_process_killed_at_any_call_to_the_system_harms_nothing(tmp_path: Path, before: bool) -> None:
    names = ("mkdir", "open", "write", "close", "replace", "unlink")

    def build(cache: EngineCache, calls: int) -> None:
        """Dies at that call, counted over all of them."""

        def wrapped(call: Callable[..., object]) -> Callable[..., object]:
            def dying(*arguments: Any, **options: Any) -> object:
                nonlocal calls
                calls -= 1
                if before and calls == 0:
                    die()
                try:
                    return call(*arguments, **options)
                finally:
                    if calls == 0:
                        die()

            return dying

        for name in names:
            setattr(os, name, wrapped(getattr(os, name)))
        cache.build(KEY, lambda: PLAN)

    for calls in range(1, 100):
        cache = EngineCache(tmp_path / str(calls) / "engines")
        killed = run_and_die(lambda cache=cache, calls=calls: build(cache, calls))  # type: ignore[misc]
        unharmed(cache)
        if not killed:
            break
    assert 10 < calls < 99


# Reporting and clearing


def test_the_entries_are_reported_newest_first(filled: EngineCache) -> None:
    other = changed("options")
    filled.build(other, lambda: b"other")
    os.utime(engine(filled), (0, time.time() - 3600))
    first, second = filled.entries()
    assert (first.key, second.key) == (other, KEY)
    assert 0 <= first.age < 60 < 3600 <= second.age < 3660
    assert second.bytes == engine(filled).stat().st_size > len(PLAN)


@given(key=keys)
def test_every_key_is_reported_as_it_was(key: EngineKey) -> None:
    with filled_anew() as cache:
        cache.build(key, lambda: b"")
        assert repr(key) in {repr(entry.key) for entry in cache.entries()}


def test_what_would_be_refused_is_reported_without_a_key(filled: EngineCache) -> None:
    engine(filled).write_bytes(b"short")
    (entry,) = filled.entries()
    assert (entry.key, entry.bytes) == (None, 5)
    (filled.folder / SECRET).unlink()
    assert filled.entries()[0].key is None


def test_keys_of_another_version_of_mien_are_not_read(filled: EngineCache) -> None:
    secret = (filled.folder / SECRET).read_bytes()
    engine(filled).write_bytes(b"".join(engine_cache._sealed(secret, b"mien engine 0\n{}", PLAN)))
    assert filled.entries()[0].key is None
    refused(filled)


def test_a_clock_that_went_back_makes_no_negative_age(filled: EngineCache) -> None:
    os.utime(engine(filled), (0, time.time() + 3600))
    assert filled.entries()[0].age == 0


def test_no_cache_has_no_entries_and_nothing_to_clear(cache: EngineCache) -> None:
    assert cache.entries() == ()
    assert cache.clear() == 0
    assert cache.use() == CacheUse(0, 0)
    assert cache.report(KEY) is None
    assert not cache.folder.exists()


def test_clearing_removes_what_mien_made_and_nothing_else(filled: EngineCache) -> None:
    (filled.folder / "letter.txt").write_bytes(b"dear")
    filled.keep_report(KEY, "layers")
    (filled.folder / OwnFolder.PART).write_bytes(b"half")
    (filled.folder / "tensorrt-11.4.0.106.timings").write_bytes(b"slow")
    size = engine(filled).stat().st_size
    assert filled.use() == CacheUse(1, size + 32 + 4 + 4 + 6)
    assert filled.clear() == size + 32 + 4 + 4 + 6
    assert left(filled) == {"letter.txt"}
    assert filled.load(KEY) is None
    assert filled.build(KEY, lambda: PLAN) == PLAN


@pytest.mark.parametrize("put", [put_link, put_pipe, lambda path: path.chmod(0o666)])
@pytest.mark.parametrize("name", [KEY.file, SECRET])
def test_clearing_is_the_way_out_of_an_unfit_file(filled: EngineCache, name: str, put: Callable[[Path], None]) -> None:
    put(filled.folder / name)
    filled.clear()
    assert left(filled) <= {"elsewhere"}, "what a link points to is not mien's to remove"
    assert filled.build(KEY, lambda: PLAN) == PLAN


def test_clearing_a_folder_in_a_file_s_place_is_an_error_of_ours(filled: EngineCache) -> None:
    put_folder(engine(filled))
    with pytest.raises(OutputError, match=KEY.file):
        filled.clear()


def test_clearing_refuses_an_unfit_folder(filled: EngineCache) -> None:
    filled.folder.chmod(0o777)
    with pytest.raises(OutputError, match="let others in"):
        filled.clear()
    assert engine(filled).exists()


def test_clearing_waits_for_a_build(filled: EngineCache) -> None:
    receive, send = context.Pipe(duplex=False)
    clearing = in_process(lambda: send.send(filled.clear()))

    def make() -> bytes:
        clearing.start()
        assert not receive.poll(0.2), "it did not wait"
        return b"other"

    assert filled.build(changed("gpu"), make) == b"other"
    assert receive.poll(10)
    clearing.join()
    assert left(filled) == set()
