"""Built TensorRT engines, kept between runs: files of the owner alone, verified before anything looks at them.

A serialized engine is code that runs. So every file carries an HMAC-SHA256 under a secret that never leaves the cache,
and nothing of a file is interpreted before that has been checked: only what this user's mien built is ever loaded. (Who
can write the folder as its owner can run code as that owner anyway; do not unpack somebody else's cache into yours.)

    0        32            36          36 + n
    | HMAC   | n, big-end. | header    | plan        the HMAC is over all that follows it

Beside an engine lie what TensorRT-RTX compiled when it first ran, sealed in the same way, and what TensorRT's inspector
told of its layers: text to be read, which nothing depends on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

from mien.errors import DeviceError
from mien.sessions.own_folder import OwnFolder, make_folder

MAGIC = b"mien engine 1\n"
MAC_BYTES = 32
SECRET_BYTES = 32

SECRET = "engines.secret"
ENGINE = re.compile(r"[0-9a-f]{64}\.engine")
REPORT = re.compile(r"[0-9a-f]{64}\.layers\.json")
COMPILED = re.compile(r"[0-9a-f]{64}\.compiled")
TIMINGS = re.compile(r"tensorrt-[0-9A-Za-z.-]+\.timings")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShapeRange:
    """What an engine takes at one dynamic input: the smallest shape, the one it is tuned for, and the largest."""

    input: str
    least: tuple[int, ...]
    best: tuple[int, ...]
    most: tuple[int, ...]


@dataclass(frozen=True)
class EngineKey:
    """Everything that an engine depends on: where any of it differs, another engine has to be built."""

    model: str
    """The sha256 of the ONNX file, in hexadecimal."""
    flavour: Literal["tensorrt", "rtx"]
    version: str
    """Of the flavour's package, all of it: 1.7.1.116."""
    gpu: str
    """The name that the driver gives."""
    compute_capability: int
    """89 for 8.9."""
    driver: str
    precision: str
    shapes: tuple[ShapeRange, ...]
    """Of the inputs with dynamic shapes."""
    options: tuple[tuple[str, bool | int | str], ...]
    """The builder's, by name."""

    @property
    def header(self) -> bytes:
        """The key as it stands in the file: equal for equal keys only."""
        return MAGIC + json.dumps(asdict(self), sort_keys=True).encode()

    @property
    def file(self) -> str:
        """The file's name in the cache."""
        return f"{hashlib.sha256(self.header).hexdigest()}.engine"

    @property
    def report(self) -> str:
        """The name of the inspector's report beside it."""
        return f"{self.file.removesuffix('.engine')}.layers.json"

    @property
    def compiled(self) -> str:
        """The name of what was compiled of it."""
        return f"{self.file.removesuffix('.engine')}.compiled"


@dataclass(frozen=True)
class CacheEntry:
    """An engine in the cache. ``key`` is None where it would be refused; ``age`` is in seconds since it was built."""

    file: str
    key: EngineKey | None
    bytes: int
    age: float


@dataclass(frozen=True)
class CacheUse:
    """How many engines there are, and the bytes of all that the cache holds."""

    engines: int
    bytes: int


class EngineCache:
    """Engines by key, in a folder that is made (0700) with the first of them, each in a file of its own (0600).

    Every method raises OutputError where others than the user can write the folder, and where something in it is of
    another owner, open to others, or no plain file; DiskFull where there is no room.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        if sys.platform == "win32":
            raise DeviceError(
                "TensorRT engines are kept in files of one user's own, which mien cannot check on Windows. "
                "Run mien under WSL 2, or use the backend 'ort' with the device 'cuda'."
            )
        self.folder = Path(folder)

    def load(self, key: EngineKey) -> bytes | None:
        """The verified plan, or None where there is none. A file that is not as it was written is removed."""
        if not os.path.lexists(self.folder):
            return None
        with OwnFolder(self.folder) as folder:
            data = folder.read(key.file)
            if data is None:
                return None
            plan = _plan(data, _secret(folder), key)
            if plan is not None:
                return plan
            with folder.locked():
                return _plan_or_removed(folder, key)

    def build(self, key: EngineKey, make: Callable[[], bytes]) -> bytes:
        """The verified plan; where there is none, what ``make`` gives, which is kept.

        One build runs at a time, over all threads and processes and whatever the key, since a builder measures kernels
        on the GPU; the others wait, and those with the same key take the result. So ``make`` must not use the cache.
        """
        plan = self.load(key)
        if plan is not None:
            return plan
        make_folder(self.folder)
        with OwnFolder(self.folder) as folder, folder.locked():
            plan = _plan_or_removed(folder, key)
            if plan is None:
                secret = _secret(folder) or _new_secret(folder)  # an unfit folder shows before the minutes of building
                plan = make()
                _remove_beside(folder, key)  # of an engine that was there before
                folder.write(key.file, *_sealed(secret, key.header, plan))
            return plan

    def keep_report(self, key: EngineKey, report: str) -> None:
        """Puts what the inspector told beside an engine, which has to be there already."""
        with OwnFolder(self.folder) as folder, folder.locked():
            folder.write(key.report, report.encode())

    def report(self, key: EngineKey) -> str | None:
        """What the inspector told of that engine, None where there is no such engine, or nothing was kept."""
        if not os.path.lexists(self.folder):
            return None
        with OwnFolder(self.folder) as folder:
            if folder.changed(key.file) is None:
                return None
            data = folder.read(key.report)
            return None if data is None else data.decode(errors="replace")

    def keep_compiled(self, key: EngineKey, data: bytes) -> None:
        """Puts what TensorRT-RTX compiled beside an engine, which has to be there already."""
        with OwnFolder(self.folder) as folder, folder.locked():
            secret = _secret(folder)
            if secret is not None:
                folder.write(key.compiled, *_sealed(secret, _compiled_header(key), data))

    def compiled(self, key: EngineKey) -> bytes:
        """The verified kernels of an engine; none where nothing was kept, or where it is not as it was written."""
        if not os.path.lexists(self.folder):
            return b""
        with OwnFolder(self.folder) as folder:
            data = folder.read(key.compiled)
            content = None if data is None else _unsealed(data, _secret(folder))
            return content.plan.tobytes() if content and content.header == _compiled_header(key) else b""

    def use(self) -> CacheUse:
        """Counts without reading: quick, and says nothing of whether an engine would be refused."""
        if not os.path.lexists(self.folder):
            return CacheUse(0, 0)
        with OwnFolder(self.folder) as folder:
            names = _own_names(folder)
            return CacheUse(sum(bool(ENGINE.fullmatch(name)) for name in names), sum(map(folder.size, names)))

    def entries(self) -> tuple[CacheEntry, ...]:
        """All engines, the newest first. Reads every file in full, because the key, too, must be verified first."""
        if not os.path.lexists(self.folder):
            return ()
        with OwnFolder(self.folder) as folder:
            secret = _secret(folder)
            names = [name for name in folder.names() if ENGINE.fullmatch(name)]
            found = [entry for name in names if (entry := _entry(folder, name, secret))]
        return tuple(sorted(found, key=lambda entry: entry.age))

    def clear(self) -> int:
        """Removes all engines, their reports, TensorRT's timings and the secret, fit or not, once no build is running;
        how many bytes that freed. Other files are left alone. Raises OutputError where one cannot be removed.
        """
        if not os.path.lexists(self.folder):
            return 0
        with OwnFolder(self.folder) as folder, folder.locked():
            return sum(map(folder.remove, _own_names(folder)))


def _own_names(folder: OwnFolder) -> list[str]:
    """Of the files that mien made there, but for the lock's, which is empty and stays."""
    kinds = (ENGINE, REPORT, COMPILED, TIMINGS)
    return [
        name
        for name in folder.names()
        if name in (SECRET, OwnFolder.PART) or any(kind.fullmatch(name) for kind in kinds)
    ]


def _remove_beside(folder: OwnFolder, key: EngineKey) -> None:
    folder.remove(key.report)
    folder.remove(key.compiled)


def _compiled_header(key: EngineKey) -> bytes:
    """What was compiled of an engine is never taken for the engine."""
    return b"compiled of " + key.header


def _plan_or_removed(folder: OwnFolder, key: EngineKey) -> bytes | None:
    """The plan; a file that is refused goes. Under the lock, so that no good file goes that has just come."""
    data = folder.read(key.file)
    if data is None:
        return None
    plan = _plan(data, _secret(folder), key)
    if plan is None:
        folder.remove(key.file)
        _remove_beside(folder, key)
        _log.warning("%s was not as mien wrote it: it was not used, and is removed", folder.path / key.file)
    return plan


def _plan(data: bytes, secret: bytes | None, key: EngineKey) -> bytes | None:
    """The plan in a file, or None where the file is not the one that was written for this key."""
    content = _unsealed(data, secret)
    return content.plan.tobytes() if content and content.header == key.header else None


def _entry(folder: OwnFolder, name: str, secret: bytes | None) -> CacheEntry | None:
    """What a file is, or None where it was removed meanwhile."""
    changed, data = folder.changed(name), folder.read(name)
    if changed is None or data is None:
        return None
    return CacheEntry(name, _key(data, secret), len(data), max(0.0, time.time() - changed))


def _key(data: bytes, secret: bytes | None) -> EngineKey | None:
    """Whose file that is, or None where it would be refused, or was written by a mien with other keys."""
    content = _unsealed(data, secret)
    if content is None or not content.header.startswith(MAGIC):
        return None
    fields = json.loads(content.header.removeprefix(MAGIC))
    fields["shapes"] = tuple(
        ShapeRange(shape["input"], tuple(shape["least"]), tuple(shape["best"]), tuple(shape["most"]))
        for shape in fields["shapes"]
    )
    fields["options"] = tuple((name, value) for name, value in fields["options"])
    return EngineKey(**fields)


@dataclass(frozen=True)
class _Content:
    header: bytes
    plan: memoryview


def _sealed(secret: bytes, header: bytes, plan: bytes) -> tuple[bytes, bytes, bytes]:
    """The parts of a file, in order."""
    head = len(header).to_bytes(4, "big") + header
    return _mac(secret, head, plan), head, plan


def _unsealed(data: bytes, secret: bytes | None) -> _Content | None:
    """What is in a file, or None where it is not exactly what was written with this secret."""
    view = memoryview(data)
    if secret is None or not hmac.compare_digest(_mac(secret, view[MAC_BYTES:]), view[:MAC_BYTES]):
        return None
    start = MAC_BYTES + 4
    end = start + int.from_bytes(view[MAC_BYTES:start], "big")
    return _Content(view[start:end].tobytes(), view[end:])


def _mac(secret: bytes, *parts: bytes | memoryview) -> bytes:
    mac = hmac.new(secret, digestmod="sha256")
    for part in parts:
        mac.update(part)
    return mac.digest()


def _secret(folder: OwnFolder) -> bytes | None:
    """The secret, or None where there is none. A shorter one could be guessed and counts as none."""
    secret = folder.read(SECRET)
    return secret if secret is not None and len(secret) == SECRET_BYTES else None


def _new_secret(folder: OwnFolder) -> bytes:
    secret = secrets.token_bytes(SECRET_BYTES)
    folder.write(SECRET, secret)
    return secret
