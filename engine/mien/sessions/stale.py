"""Which engines in the cache nothing on this machine will open any more."""

from __future__ import annotations

from collections.abc import Mapping

from mien.sessions.engine_cache import EngineKey
from mien.sessions.nvidia import Driver
from mien.sessions.trt_flavour import TITLES, FlavourName


def why_stale(key: EngineKey | None, driver: Driver | None, versions: Mapping[FlavourName, str]) -> str:
    """Why an engine will not be opened; empty where it may be. ``key`` None: it would be refused (`CacheEntry`).

    ``driver`` None: there is none, which says nothing of the engine. ``versions``: of the flavours that are installed.
    """
    if key is None:
        return "not as this version of mien wrote it: it would be refused"
    title, version = TITLES[key.flavour], versions.get(key.flavour)
    if version is None:
        return f"built by {title} {key.version}, which is not installed"
    if version != key.version:
        return f"built by {title} {key.version}; this machine has {version}"
    if driver is None:
        return ""
    if str(driver) != key.driver:
        return f"built for driver {key.driver}; this machine has {driver}"
    if (key.gpu, key.compute_capability) not in {(gpu.name, gpu.compute_capability) for gpu in driver.gpus}:
        return f"built for {key.gpu}, which is not in this machine"
    return ""
