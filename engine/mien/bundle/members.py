"""The files of a bundle, in a folder or in a zip, and nothing that lies outside of it."""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from pathlib import Path
from typing import Protocol

from mien.errors import BundleInvalid, BundleNotFound, BundleTampered

MOST_BYTES = 1 << 31
"""No file of a bundle is larger: protobuf, and so ONNX, ends here."""
MOST_MEMBERS = 1000
BOMB_RATIO = 200
"""Weights hardly compress. A zip member that expands further than this is not read."""


class Members(Protocol):
    """The files of one bundle."""

    def read(self, name: str, most: int) -> bytes:
        """A file's contents. Raises BundleInvalid where it is missing, BundleTampered where it is not a plain file
        inside the bundle or has more than ``most`` bytes.
        """


def open_members(path: Path) -> Members:
    """The folder or zip at ``path``. Raises BundleNotFound where there is none, BundleInvalid for another file."""
    if path.is_dir():
        return Folder(path.resolve())
    if not path.exists():
        raise BundleNotFound(f"There is no bundle at {path}. A bundle is a folder or a .zip that holds bundle.json.")
    return Archive(path)


def check_name(name: str) -> tuple[str, ...]:
    """The parts of a relative path with forward slashes. Raises BundleTampered for one that could lead elsewhere."""
    parts = tuple(name.split("/"))
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\\:\x00-\x1f]", name):
        raise BundleTampered(f"The bundle names the file {name!r}; it must be a plain relative path inside the bundle.")
    return parts


class Folder:
    """A bundle that is a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, most: int) -> bytes:
        """See `Members.read`."""
        path = self.root
        for part in check_name(name):
            path = path / part
            if path.is_symlink():
                raise BundleTampered(
                    f"The bundle's file {name!r} is reached through a symbolic link. Copy the file in."
                )
        # O_NONBLOCK: a named pipe in the file's place must not hang us.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(path, flags), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise BundleTampered(f"The bundle's {name!r} is not a plain file.")
                if status.st_size > most:
                    raise _too_large(name, status.st_size, most)
                return file.read(most + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BundleInvalid(f"The bundle {self.root} lacks the file {name!r}.") from error
        except IsADirectoryError as error:
            raise BundleTampered(f"The bundle's {name!r} is not a plain file.") from error
        except OSError as error:
            raise BundleInvalid(f"Cannot read {name!r} of the bundle {self.root}: {error.strerror}.") from error


class Archive:
    """A bundle that is a zip; its members are read in memory and never unpacked to disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
            raise BundleInvalid(f"{path} is neither a folder nor a readable zip: {error}.") from error
        entries = self._zip.infolist()
        if len(entries) > MOST_MEMBERS:
            raise BundleInvalid(f"{path} has {len(entries)} members; a bundle has at most {MOST_MEMBERS}.")
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            check_name(entry.filename.removesuffix("/"))
            if entry.filename in self._entries:
                raise BundleTampered(f"{path} has the member {entry.filename!r} twice.")
            self._entries[entry.filename] = entry

    def read(self, name: str, most: int) -> bytes:
        """See `Members.read`."""
        check_name(name)
        entry = self._entries.get(name)
        if entry is None:
            there = ", ".join(sorted(self._entries)[:10]) or "nothing"
            raise BundleInvalid(f"The bundle {self.path} lacks the file {name!r}; it has: {there}.")
        if stat.S_ISLNK(entry.external_attr >> 16) or entry.is_dir():
            raise BundleTampered(f"The bundle's {name!r} is not a plain file.")
        if entry.file_size > most:
            raise _too_large(name, entry.file_size, most)
        if entry.file_size > max(1 << 24, BOMB_RATIO * entry.compress_size):
            raise BundleTampered(f"The bundle's {name!r} expands more than {BOMB_RATIO} times; it is not read.")
        try:
            with self._zip.open(entry) as file:
                return file.read(most + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            # RuntimeError: the member has a password.
            raise BundleInvalid(f"Cannot read {name!r} of the bundle {self.path}: {error}.") from error


def _too_large(name: str, size: int, most: int) -> BundleTampered:
    return BundleTampered(f"The bundle's file {name!r} has {size} bytes; at most {most} were expected.")
