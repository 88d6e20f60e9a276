"""Reading checkpoints without running what is in them."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from mien.errors import InputError


class CheckpointError(InputError):
    """A checkpoint is missing, cannot be read safely, or is not the one that was asked for."""


def read_weights(path: Path, module: str) -> dict[str, Tensor]:
    """The averaged weights of one module of a training checkpoint, by the module's own keys.

    Only tensors and plain containers are unpickled (``weights_only``). Raises CheckpointError.
    """
    if not path.is_file():
        raise CheckpointError(f"The checkpoint {path} was asked for, but there is no such file. Train it first.")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} cannot be read as a checkpoint: it is not a file as torch.save writes it.")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint of tensors: {error}") from error
    averaged = stored.get("averaged") if isinstance(stored, dict) else None
    if not isinstance(averaged, dict):
        raise CheckpointError(f"{path} is no checkpoint of mien's training: it has no averaged weights.")
    prefix = f"{module}."
    weights = {key[len(prefix) :]: value for key, value in averaged.items() if key.startswith(prefix)}
    if not weights:
        there = sorted({key.split(".")[0] for key in averaged})
        raise CheckpointError(f"{path} holds {', '.join(there)}; {module!r} was asked for.")
    return weights
