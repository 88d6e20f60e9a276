"""A folder that belongs to one user alone: files of the user's own, written whole, by one process at a time."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from mien.errors import OutputError
from mien.files import output_error, release_lock, take_lock


def make_folder(path: Path) -> None:
    """Makes a folder (0700) where there is nothing, and those above it as usual."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        return  # no folder: `OwnFolder` says so
    except OSError as error:
        raise output_error(path, error) from error


class OwnFolder:
    """A folder that only the user can write, held open: what is put into its place later is not looked at.

    Opening it and `read` raise OutputError where it, or a file, is of another owner, open to others (a folder may be
    read by them), a symbolic link, or of the wrong kind; writing raises OutputError or DiskFull. POSIX only.
    """

    LOCK: ClassVar = "engines.lock"
    PART: ClassVar = "engines.part"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise _refusal(path, error) from error
        fault = _fault(os.fstat(self._descriptor), 0o022)
        if fault:
            os.close(self._descriptor)
            raise _unfit(path, fault)

    def __enter__(self) -> OwnFolder:
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._descriptor)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Waits for all others. Not to be entered twice."""
        with self._open(self.LOCK, os.O_RDWR | os.O_CREAT) as descriptor:
            with self._told(self.LOCK):
                take_lock(descriptor)
            try:
                yield
            finally:
                release_lock(descriptor)

    def read(self, name: str) -> bytes | None:
        """A file's contents, or None where there is none."""
        try:
            with self._open(name, os.O_RDONLY) as descriptor, open(descriptor, "rb", closefd=False) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(f"Cannot read {self.path / name}: {error.strerror or error}.") from error

    def write(self, name: str, *parts: bytes) -> None:
        """Puts a file (0600) in its place whole or not at all. The caller holds the lock.

        Nothing is flushed to the disk: after a power cut a file that is not whole is refused like any other.
        """
        self.remove(self.PART)  # of a process that was killed
        with self._told(name):
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                descriptor = os.open(self.PART, flags, 0o600, dir_fd=self._descriptor)
                try:
                    for part in parts:
                        _write_all(descriptor, part)
                finally:
                    os.close(descriptor)
                os.replace(self.PART, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            finally:
                self.remove(self.PART)

    def remove(self, name: str) -> int:
        """Removes a file, or a symbolic link, where there is one; how many bytes that freed."""
        with self._told(name):
            try:
                size = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_size
                os.unlink(name, dir_fd=self._descriptor)
            except FileNotFoundError:
                return 0
            return size

    def names(self) -> list[str]:
        """Of everything that is in the folder."""
        with self._told(""):
            return os.listdir(self._descriptor)

    def size(self, name: str) -> int:
        """The bytes of a file, 0 where there is none."""
        try:
            return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    def changed(self, name: str) -> float | None:
        """When a file was written, in seconds since 1970, or None where there is none."""
        try:
            return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mtime
        except FileNotFoundError:
            return None

    @contextmanager
    def _open(self, name: str, flags: int) -> Iterator[int]:
        """A descriptor of a plain file that is the user's alone. FileNotFoundError where there is none."""
        try:  # without O_NONBLOCK a pipe in the file's place would be waited for
            descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=self._descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refusal(self.path / name, error) from error
        try:
            info = os.fstat(descriptor)
            fault = _fault(info, 0o077) if stat.S_ISREG(info.st_mode) else "it is no plain file"
            if fault:
                raise _unfit(self.path / name, fault)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise output_error(self.path / name, error) from error


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:  # one call writes 2 GiB at most
        view = view[os.write(descriptor, view) :]


def _fault(info: os.stat_result, forbidden: int) -> str | None:
    """What is wrong with a file's or folder's owner or permissions, or None."""
    if info.st_uid != os.geteuid():
        return f"it belongs to the user {info.st_uid}, not to you ({os.geteuid()})"
    if info.st_mode & forbidden:
        return f"its permissions ({stat.S_IMODE(info.st_mode):04o}) let others in"
    return None


def _refusal(path: Path, error: OSError) -> OutputError:
    """What to tell where ``path`` cannot even be opened."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
        return _unfit(path, "it is a symbolic link, or of another kind than mien makes there")
    if error.errno in (errno.EACCES, errno.EPERM):
        return _unfit(path, "it may not be opened by you")
    return output_error(path, error)


def _unfit(path: Path, fault: str) -> OutputError:
    return OutputError(
        f"The engine cache does not use {path}: {fault}. An engine is code, so it must be yours alone. "
        "Remove it, and mien makes it anew; or set MIEN_CACHE to another folder."
    )
