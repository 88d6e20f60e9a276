"""What mien keeps in its cache: TensorRT's engines and pulled networks, told and removed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from mien import hub
from mien.errors import DeviceError, MienError
from mien.sessions.engine_cache import CacheEntry, EngineCache, EngineKey
from mien.sessions.nvidia import Driver, find_driver
from mien.sessions.stale import why_stale
from mien.sessions.trt_flavour import TITLES, FlavourName, load_flavour


@dataclass(frozen=True)
class CachedFile:
    """``age`` is in seconds. ``stale``: why nothing here will use it any more, empty where it may be used."""

    kind: Literal["engine", "network"]
    what: str
    file: str
    bytes: int
    age: float
    stale: str


@dataclass(frozen=True)
class CacheReport:
    """All of them; ``bytes`` counts what lies beside the engines as well."""

    folder: str
    files: tuple[CachedFile, ...]
    bytes: int


def list_cache(engines: bool, networks: bool) -> CacheReport:
    """Reads every engine in full, since what a file says is believed only once it is verified. Raises OutputError."""
    files: list[CachedFile] = []
    beside = 0
    if engines and (cache := _engines()):
        found = cache.entries()
        files += _told(found)
        beside = cache.use().bytes - sum(entry.bytes for entry in found)
    if networks:
        files += [_network(file) for file in hub.stored()]
    return CacheReport(str(hub.cache_folder()), tuple(files), beside + sum(file.bytes for file in files))


def clear_cache(engines: bool, networks: bool) -> int:
    """Removes them, with the engines' reports and TensorRT's timings; how many bytes that freed. Raises OutputError."""
    cache = _engines() if engines else None
    return (cache.clear() if cache else 0) + (hub.clear() if networks else 0)


def _engines() -> EngineCache | None:
    folder = hub.cache_folder() / "engines"
    return EngineCache(folder) if folder.exists() else None


def _told(entries: tuple[CacheEntry, ...]) -> list[CachedFile]:
    versions = _versions({entry.key.flavour for entry in entries if entry.key})
    driver = _driver()
    return [
        CachedFile("engine", _what(e.key), e.file, e.bytes, e.age, why_stale(e.key, driver, versions)) for e in entries
    ]


def _what(key: EngineKey | None) -> str:
    if key is None:
        return "unknown"
    batches = {shape.most[0] for shape in key.shapes}
    batch = f", batch up to {max(batches)}" if batches else ""
    return f"network {key.model[:12]} for {key.gpu} by {TITLES[key.flavour]} {key.version}{batch}"


def _network(file: hub.Stored) -> CachedFile:
    what = file.entry.name if file.whole else f"{file.entry.name}, the first part of it"
    return CachedFile("network", what, file.path.name, file.bytes, max(0.0, time.time() - file.pulled), "")


def _driver() -> Driver | None:
    try:
        return find_driver()
    except DeviceError:
        return None


def _versions(names: set[FlavourName]) -> dict[FlavourName, str]:
    """Of those that are installed and load, which takes a second each."""
    found: dict[FlavourName, str] = {}
    for name in names:
        try:
            found[name] = load_flavour(name).version
        except MienError:
            continue
    return found
