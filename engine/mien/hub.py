"""Public networks that mien can fetch: what there is, and `pull`, which resumes, verifies and then stores them."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from os import PathLike
from pathlib import Path
from typing import IO

from mien.errors import HubError
from mien.files import locked, output_error

TIMEOUT = 30.0
"""Seconds without an answer."""
ATTEMPTS = 4
"""A connection that breaks is taken up again where it broke, this often in all."""
BLOCK = 1 << 16

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A network that can be fetched: its one file, where that is published, and under which licence."""

    name: str
    what: str
    file: str
    bytes: int
    sha256: str
    licence: str
    origin: str
    url: str


REGISTRY = {
    entry.name: entry
    for entry in (
        Entry(
            name="yunet",
            what="YuNet face detector: boxes and five landmarks, any picture size (Wu et al. 2023)",
            file="yunet_n_dynamic.onnx",
            bytes=322906,
            sha256="104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
            licence="Apache-2.0",
            origin="ShiqiYu/libfacedetection.train",
            url="https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/master/onnx/yunet_n_dynamic.onnx",
        ),
        Entry(
            name="face-mesh",
            what="MediaPipe Face Mesh: 468 landmarks in three dimensions (Kartynnik et al. 2019)",
            file="face_mesh_468.onnx",
            bytes=2332284,
            sha256="d543107cfab6a216501b37667ef1520950410dfe02d4c186e6b154fc91345ee1",
            licence="Apache-2.0",
            origin="Google MediaPipe; in ONNX form from iperov/DeepFaceLive",
            url="https://raw.githubusercontent.com/iperov/DeepFaceLive/master/modelhub/onnx/FaceMesh/FaceMesh.onnx",
        ),
    )
}


def find(name: str) -> Entry:
    """The entry of that name. Raises HubError where there is none."""
    if name not in REGISTRY:
        raise HubError(f"There is no network {name!r} to pull; there are: {', '.join(REGISTRY)}.")
    return REGISTRY[name]


@dataclass(frozen=True)
class Stored:
    """What the cache has of a network: ``bytes`` of its file, or of the part of it that came so far."""

    entry: Entry
    path: Path
    bytes: int
    pulled: float
    """Seconds since 1970."""

    @property
    def whole(self) -> bool:
        """Whether all of it came. Its contents are checked when it is used."""
        return self.path.name == self.entry.file


def cache_folder() -> Path:
    """Where all lies that mien keeps between runs: MIEN_CACHE, or mien in XDG_CACHE_HOME, or ~/.cache/mien.

    Pulled networks each have a folder there, TensorRT's engines one together (`mien.sessions.trt_open.engine_cache`).
    """
    if own := os.environ.get("MIEN_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien"


def pull(name: str, mirror: str | PathLike[str] | None = None, progress: Progress | None = None) -> Path:
    """The verified file of a network in the cache; fetched first where it is not there yet.

    ``mirror`` (or else MIEN_MIRROR) is a folder, or the URL of one, that holds the files under the registry's file
    names, and is used instead of the public address. A download that breaks is resumed, now or by the next call. Raises
    HubError where the file cannot be had or is not the promised one, OutputError or DiskFull for an unfit cache.
    """
    return fetch(find(name), mirror or os.environ.get("MIEN_MIRROR") or None, progress)


def stored() -> tuple[Stored, ...]:
    """The registry's networks, and parts of them, that are in the cache."""
    paths = [(entry, path) for entry in REGISTRY.values() for path in _files(entry) if path.is_file()]
    return tuple(Stored(entry, path, path.stat().st_size, path.stat().st_mtime) for entry, path in paths)


def clear() -> int:
    """Removes the registry's networks, and parts of them, from the cache; how many bytes that freed.

    Waits for those that are being pulled. Raises OutputError where one cannot be removed.
    """
    freed = 0
    for file in stored():
        try:
            with locked(_lock_of(file.entry)):
                freed += file.path.stat().st_size if file.path.exists() else 0
                file.path.unlink(missing_ok=True)
        except OSError as error:
            raise output_error(file.path, error) from error
    return freed


def fetch(entry: Entry, mirror: str | PathLike[str] | None, progress: Progress | None = None) -> Path:
    """`pull` for an entry that need not be in the registry."""
    target, part = _files(entry)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(_lock_of(entry)):
            if not _is_whole(target, entry):
                _get(entry, mirror, part, progress or _silent)
                os.replace(part, target)
    except OSError as error:
        raise output_error(target, error) from error
    return target


def _files(entry: Entry) -> tuple[Path, Path]:
    """Where its file lies, and where what came of it so far."""
    folder = cache_folder() / entry.name
    return folder / entry.file, folder / f"{entry.file}.part"


def _lock_of(entry: Entry) -> Path:
    return _files(entry)[0].with_suffix(".lock")


def _get(entry: Entry, mirror: str | PathLike[str] | None, part: Path, progress: Progress) -> None:
    """Fills ``part`` with the verified contents, or removes what is wrong and raises."""
    place = str(mirror) if mirror is not None else ""
    if place and not place.startswith(("http://", "https://")):
        _copy(entry, Path(place), part)
    else:
        _download(entry, f"{place.rstrip('/')}/{entry.file}" if place else entry.url, part, progress)
    progress(entry.bytes, entry.bytes)
    fault = _fault(part, entry)
    if fault:
        part.unlink()
        raise HubError(
            f"What {place or entry.url} gave for {entry.name!r} {fault}. It was thrown away; "
            "try again, or name another mirror with --mirror or MIEN_MIRROR."
        )


def _copy(entry: Entry, folder: Path, part: Path) -> None:
    source = folder / entry.file
    try:
        file = source.open("rb")
    except OSError as error:
        raise HubError(f"The mirror {folder} has no readable file {entry.file!r}: {error.strerror}.") from error
    with file, part.open("wb") as out:
        shutil.copyfileobj(file, out)


def _download(entry: Entry, url: str, part: Path, progress: Progress) -> None:
    resumed = part.exists()
    _download_rest(entry, url, part, progress)
    if resumed and _fault(part, entry):  # what was there may have been of another version of the file
        part.unlink()
        _download_rest(entry, url, part, progress)


def _download_rest(entry: Entry, url: str, part: Path, progress: Progress) -> None:
    """Goes on where ``part`` ends, and does so again when the connection breaks."""
    for _ in range(ATTEMPTS):
        have = part.stat().st_size if part.exists() else 0
        if have >= entry.bytes:
            return
        fault = "the connection closed"
        try:
            _append(entry, url, part, have, progress)
        except urllib.error.HTTPError as error:
            raise HubError(_advice(entry, f"{url} answered {error.code} {error.reason}")) from error
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            fault = str(error)
        if not part.exists() or part.stat().st_size == have:
            raise HubError(_advice(entry, f"{url} cannot be reached ({fault})"))
        _log.info("%s: %s; taking it up again", url, fault)
    if part.stat().st_size < entry.bytes:
        raise HubError(_advice(entry, f"{url} broke off {ATTEMPTS} times; the next try goes on from there"))


def _append(entry: Entry, url: str, part: Path, have: int, progress: Progress) -> None:
    headers = {"User-Agent": "mien"} | ({"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
        if answer.status != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the server sends all of it again
        offered = answer.headers.get("Content-Length")
        if offered is not None and have + int(offered) != entry.bytes:
            part.unlink(missing_ok=True)
            fault = f"{url} offers {have + int(offered)} bytes instead of {entry.bytes}: it is another file"
            raise HubError(_advice(entry, fault))
        with part.open("ab" if have else "wb") as out:
            _pour(answer, out, have, entry.bytes, progress)


def _pour(answer: IO[bytes], out: IO[bytes], done: int, total: int, progress: Progress) -> None:
    # One byte more than promised is enough to know that the file is another one.
    while done <= total and (block := answer.read(min(BLOCK, total + 1 - done))):
        out.write(block)
        done += len(block)
        progress(min(done, total), total)


def _fault(path: Path, entry: Entry) -> str | None:
    """What is wrong with a file, or None."""
    size = path.stat().st_size
    if size != entry.bytes:
        return f"has {size} bytes instead of {entry.bytes}"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return None if found == entry.sha256 else f"has the sha256 {found} instead of {entry.sha256}"


def _is_whole(path: Path, entry: Entry) -> bool:
    return path.is_file() and _fault(path, entry) is None


def _advice(entry: Entry, fault: str) -> str:
    return (
        f"Cannot pull {entry.name!r}: {fault}. Without a network, get {entry.file!r} elsewhere, put it into a folder, "
        "and name that with --mirror or MIEN_MIRROR."
    )


def _silent(done: int, total: int) -> None:
    """No progress is shown."""
