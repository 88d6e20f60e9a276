"""What TensorRT measured while building, kept in a file beside the engines. TensorRT-RTX measures nothing.

The same rules as for engines: the file is the user's alone, and `EngineCache.clear` removes it with them. Never
executed with TensorRT 11.
"""

from __future__ import annotations

import re

from mien.sessions.own_folder import OwnFolder
from mien.sessions.trt_build import Timings


def read_timings(folder: OwnFolder, version: str) -> Timings:
    """Those of earlier builds with this version of TensorRT, none where there are none. Raises OutputError."""
    return Timings(folder.read(_file(version)) or b"")


def write_timings(folder: OwnFolder, version: str, timings: Timings) -> None:
    """Keeps them for later builds. The caller holds the folder's lock. Raises OutputError, DiskFull."""
    if timings.data:
        folder.write(_file(version), timings.data)


def _file(version: str) -> str:
    return f"tensorrt-{re.sub(r'[^0-9A-Za-z.]', '-', version)}.timings"
