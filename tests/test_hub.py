"""Pulling: verified, resumed, locked, and nothing wrong is ever left where the right file belongs."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mien import hub
from mien.errors import HubError, OutputError
from mien.files import locked
from mien.hub import REGISTRY, Entry, fetch, find, pull

CONTENTS = bytes(range(256)) * 2000


class Server(ThreadingHTTPServer):
    """One file under /net.onnx, and the ways in which servers misbehave."""

    contents = CONTENTS
    ranges = True
    cut: list[int]
    """Bytes after which each of the next answers breaks off."""
    asked: list[str | None]
    """The Range headers that came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cut, self.asked = [], []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.path != "/net.onnx":
            self.send_error(404)
            return
        body = self.server.contents
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut.pop(0)] if self.server.cut else body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MIEN_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def an_entry(url: str = "http://127.0.0.1:1/net.onnx", contents: bytes = CONTENTS) -> Entry:
    sha256 = hashlib.sha256(contents).hexdigest()
    return Entry("net", "A network", "net.onnx", len(contents), sha256, "Apache-2.0", "here", url)


def left(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_a_download_is_verified_stored_and_not_repeated(server: Server, cache: Path) -> None:
    entry = an_entry(f"{server.url}/net.onnx")
    steps: list[tuple[int, int]] = []
    path = fetch(entry, None, lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == CONTENTS
    assert path.is_relative_to(cache)
    assert steps == sorted(steps)
    assert steps[-1] == (len(CONTENTS), len(CONTENTS))
    assert fetch(entry, None) == path
    assert server.asked == [None]
    assert left(cache) == {"net.onnx"}


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server: Server, cache: Path) -> None:
    server.cut = [100_000, 150_000]
    assert fetch(an_entry(), server.url).read_bytes() == CONTENTS
    assert server.asked == [None, "bytes=100000-", "bytes=250000-"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server: Server, cache: Path) -> None:
    server.cut = [10, 20, 30, 40]
    with pytest.raises(HubError, match="broke off 4 times"):
        fetch(an_entry(), server.url)
    assert left(cache) == {"net.onnx.part"}
    assert fetch(an_entry(), server.url).read_bytes() == CONTENTS
    assert server.asked[-1] == "bytes=100-"
    assert left(cache) == {"net.onnx"}


def test_a_server_without_ranges_starts_again(server: Server) -> None:
    server.ranges = False
    server.cut = [1000]
    assert fetch(an_entry(), server.url).read_bytes() == CONTENTS
    assert server.asked == [None, "bytes=1000-"]


def test_a_part_of_another_version_is_thrown_away(server: Server, cache: Path) -> None:
    (cache / "net").mkdir(parents=True)
    (cache / "net" / "net.onnx.part").write_bytes(b"x" * 5000)
    assert fetch(an_entry(), server.url).read_bytes() == CONTENTS


@pytest.mark.parametrize("size", [len(CONTENTS), len(CONTENTS) + 9], ids=["as long", "longer"])
def test_a_whole_part_of_another_version_is_thrown_away(server: Server, cache: Path, size: int) -> None:
    (cache / "net").mkdir(parents=True)
    (cache / "net" / "net.onnx.part").write_bytes(b"x" * size)
    assert fetch(an_entry(), server.url).read_bytes() == CONTENTS


def test_a_changed_file_is_refused_and_nothing_is_left(server: Server, cache: Path) -> None:
    server.contents = CONTENTS[:-1] + b"!"
    with pytest.raises(HubError, match="sha256"):
        fetch(an_entry(), server.url)
    assert left(cache) == set()


@pytest.mark.parametrize("contents", [CONTENTS[:-1], CONTENTS + b"!"], ids=["shorter", "longer"])
def test_a_file_of_another_size_is_refused_before_it_is_fetched(server: Server, cache: Path, contents: bytes) -> None:
    server.contents = contents
    with pytest.raises(HubError, match=f"offers {len(contents)} bytes instead of {len(CONTENTS)}"):
        fetch(an_entry(), server.url)
    assert left(cache) == set()


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server) -> None:
    path = fetch(an_entry(), server.url)
    path.write_bytes(b"x" + CONTENTS[1:])
    assert fetch(an_entry(), server.url).read_bytes() == CONTENTS


def test_not_found_and_offline_say_what_to_do(server: Server) -> None:
    with pytest.raises(HubError, match=r"404.*MIEN_MIRROR"):
        fetch(replace(an_entry(), file="other.onnx"), server.url)
    with pytest.raises(HubError, match=r"cannot be reached.*--mirror or MIEN_MIRROR"):
        fetch(an_entry(), None)


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:port", "http://no such host"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(HubError, match="MIEN_MIRROR"):
        fetch(an_entry(), url)


def test_a_mirror_may_be_a_folder(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "net.onnx").write_bytes(CONTENTS)
    assert fetch(an_entry(), tmp_path / "mirror").read_bytes() == CONTENTS
    assert left(cache) == {"net.onnx"}


def test_a_mirror_folder_without_the_file_or_with_a_wrong_one(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(HubError, match="no readable file"):
        fetch(an_entry(), tmp_path)
    (tmp_path / "net.onnx").write_bytes(CONTENTS[:7])
    with pytest.raises(HubError, match="has 7 bytes instead of 512000"):
        fetch(an_entry(), tmp_path)
    assert left(cache) == set()


def test_the_mirror_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hub.REGISTRY, "net", an_entry())
    (tmp_path / "net.onnx").write_bytes(CONTENTS)
    monkeypatch.setenv("MIEN_MIRROR", str(tmp_path))
    assert pull("net").read_bytes() == CONTENTS


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(HubError, match=r"'nothing'.*yunet, face-mesh"):
        pull("nothing")
    assert find("yunet").licence == "Apache-2.0"


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError):
        fetch(an_entry(), tmp_path)


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("MIEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hub.cache_folder() == tmp_path / "mien"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert hub.cache_folder() == Path.home() / ".cache" / "mien"


def test_two_at_once_fetch_once(server: Server, cache: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(fetch(an_entry(), server.url).read_bytes())) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENTS, CONTENTS]
    assert server.asked == [None]
    assert os.listdir(cache) == ["net"]


def test_the_registry_is_complete() -> None:
    for name, entry in REGISTRY.items():
        assert entry.name == name
        assert len(entry.sha256) == 64
        assert entry.url.startswith("https://")
        assert entry.licence
        assert entry.bytes > 0


def test_what_is_in_the_cache_is_told_and_removed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = an_entry()
    monkeypatch.setattr(hub, "REGISTRY", {"net": entry})
    assert hub.stored() == () and hub.clear() == 0
    (cache / "net").mkdir(parents=True)
    (cache / "net" / "net.onnx").write_bytes(CONTENTS)
    (cache / "net" / "net.onnx.part").write_bytes(b"half")
    assert [(file.bytes, file.whole) for file in hub.stored()] == [(len(CONTENTS), True), (4, False)]
    assert hub.clear() == len(CONTENTS) + 4
    assert left(cache) == set()


def test_clearing_waits_for_a_pull(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = an_entry()
    monkeypatch.setattr(hub, "REGISTRY", {"net": entry})
    (cache / "net").mkdir(parents=True)
    (cache / "net" / "net.onnx.part").write_bytes(b"half")
    thread = threading.Thread(target=hub.clear)
    with locked(cache / "net" / "net.lock"):
        thread.start()
        thread.join(0.2)
        assert left(cache) == {"net.onnx.part"}
    thread.join(10)
    assert left(cache) == set()


def test_what_cannot_be_removed_is_an_output_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "REGISTRY", {"net": an_entry()})
    (cache / "net" / "net.lock").mkdir(parents=True)
    (cache / "net" / "net.onnx").write_bytes(CONTENTS)
    with pytest.raises(OutputError, match=r"net\.onnx"):
        hub.clear()
