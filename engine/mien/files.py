"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mien.errors import DiskFull, OutputError


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file beside its place and moves it there: readers see the old file or the new one, never a part.

    Raises DiskFull, or OutputError where the folder is missing or may not be written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_bytes(data)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(path, error) from error


def output_error(path: Path, error: OSError) -> OutputError:
    """What to tell about an OSError that came up while writing ``path``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"There is no room left to write {path}. Free some and try again.")
    if not path.parent.exists():
        return OutputError(f"Cannot write {path}: the folder {path.parent} does not exist. Make it first.")
    return OutputError(f"Cannot write {path}: {error.strerror or error}.")
