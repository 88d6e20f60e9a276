"""Writing files whole or not at all, and by one process at a time."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process, and one thread of it, at a time; the operating system lets go of it when a process dies.

    The file ``path`` is made where there is none, and stays. OSErrors are left to the caller.
    """
    with path.open("ab") as file:
        take_lock(file.fileno())
        try:
            yield
        finally:
            release_lock(file.fileno())


def take_lock(descriptor: int) -> None:
    """Waits until no other open descriptor holds the file's lock, and takes it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)


def release_lock(descriptor: int) -> None:
    """To be called before closing: a forked child has the file open as well, and would go on holding the lock."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)
