"""What a file is before anything parses it: a checkpoint, half of one, or what a failed download left."""

from __future__ import annotations

import pickle
import tarfile
import zipfile
from pathlib import Path

from mien.errors import InputError

# torch reads both of its formats with pickle; a broken stream fails in whatever way the broken place suggests.
BROKEN = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    zipfile.BadZipFile,
)

HEAD = 512
"""Bytes that are enough to tell."""

AGAIN = "Download it again."


class CheckpointError(InputError):
    """A checkpoint is missing, cannot be read safely, or is not the one that was asked for."""


def is_safetensors(path: Path) -> bool:
    """By its name, or by what is in it. Raises CheckpointError where there is no file."""
    return path.suffix == ".safetensors" or _head(path)[8:9] == b"{"  # JSON after eight bytes of its length


def check_container(path: Path) -> None:
    """Raises CheckpointError unless the file may be what torch.save writes, today (zip) or before 2020 (pickles)."""
    head = _head(path)
    if not head:
        raise CheckpointError(f"{path} is empty. {AGAIN}")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is only git-lfs's note of where the checkpoint is. Run: git lfs pull")
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} begins like a checkpoint, but its end is missing: a broken download. {AGAIN}")
    if head.lstrip()[:1] == b"<":
        raise CheckpointError(f"{path} is a web page and no checkpoint: the download wants to be confirmed. {AGAIN}")
    if head.isascii() and all(character.isprintable() or character.isspace() for character in head.decode()):
        raise CheckpointError(f"{path} is a text file and cannot be read as a checkpoint.")
    # torch would unpack the one to disk, and hand the other to its compiler.
    if tarfile.is_tarfile(path):
        raise CheckpointError(f"{path} is a tar archive; mien reads the checkpoint inside. Unpack it first.")
    if zipfile.is_zipfile(path) and _is_program(path):
        raise CheckpointError(f"{path} is a TorchScript program; a checkpoint of weights was asked for.")


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; the checkpoint file in it was asked for.")
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except FileNotFoundError as error:
        raise CheckpointError(f"The checkpoint {path} was asked for, but there is no such file.") from error
    except OSError as error:
        raise CheckpointError(f"The checkpoint {path} cannot be opened: {error.strerror}.") from error


def _is_program(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise CheckpointError(f"{path} is a broken zip file. {AGAIN}") from error
