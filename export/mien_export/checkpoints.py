"""Reading checkpoints without running what is in them: any public layout to one plain state, loaded strictly."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mien_export.checkpoint_files import BROKEN, CheckpointError, check_container, is_safetensors
from mien_export.recognise import described, recognise

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "State",
    "load",
    "part",
    "network_of",
    "read_state",
    "read_stored",
    "read_weights",
]

State = dict[str, Tensor]

AVERAGED = ("g_ema", "params_ema", "state_dict_ema", "ema")
"""Where public trainers keep the averaged weights, which are the ones to use."""

PLAIN = ("state_dict", "params", "g")

COUNTER = "num_batches_tracked"
"""Added to batch normalisation in torch 0.4.1; counts training steps and means nothing to a finished network."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights of a file and what lay beside them. Floating-point tensors are float32."""

    state: State
    """By the file's own keys. Where it holds several networks, each key starts with its network's name and a dot."""
    latent_avg: Tensor | None = None
    """Mean latent, (512,), (1, 512) or (L, 512) float32, where the file has one."""
    opts: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """The trainer's settings, where the file has them."""
    what: str = ""
    """The layout found, and the precision the weights were stored in where it was not float32."""


def read_state(path: Path) -> Checkpoint:
    """The weights of a public checkpoint: .safetensors, or what torch.save wrote, today or in 2019.

    Only tensors and plain containers are unpickled (``weights_only``), and ``argparse.Namespace``, which becomes a
    mapping. Averaged weights are preferred, a ``module.`` before every key is taken off. Raises CheckpointError.
    """
    return _of_safetensors(path) if is_safetensors(path) else _of_layout(read_stored(path), path)


def read_stored(path: Path) -> object:
    """What torch.save stored, on the CPU: tensors, plain containers and ``argparse.Namespace``; nothing else is
    unpickled (``weights_only``). Raises CheckpointError.
    """
    check_container(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except BROKEN as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint of tensors: {_reason(error)}") from error


def part(checkpoint: Checkpoint, prefix: str) -> State:
    """One network of the checkpoint, for example "encoder.": its keys without the prefix. Raises CheckpointError."""
    start = prefix.rstrip(".") + "."
    state = {key[len(start) :]: value for key, value in checkpoint.state.items() if key.startswith(start)}
    if not state:
        raise CheckpointError(f"The checkpoint has no weights under {start!r}. It holds {described(checkpoint.state)}.")
    return state


def network_of(state: State, name: str) -> State:
    """Those weights that are ``name``, as `recognise` calls it: all, or the ones under a prefix (``generator_ema.``),
    averaged ones first. All of them where none are: `load` then says what they look like instead.
    """
    if recognise(state) == name:
        return state
    parts: dict[str, State] = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        parts.setdefault(first, {})[rest] = value
    found = [prefix for prefix, weights in parts.items() if recognise(weights) == name]
    return parts[min(found, key=lambda prefix: not prefix.endswith("ema"))] if found else state


def load(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Put ``state`` into ``module``, every key and shape as it should be; ``what`` names the network in the error.

    Only counters of batch normalisation may be missing. Raises CheckpointError that says which keys do not fit and
    what the weights look like instead.
    """
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith(COUNTER)]
    left = [key for key in state if key not in wanted]
    odd = [
        f"{key} {list(value.shape)} for {list(wanted[key].shape)}"
        for key, value in state.items()
        if key in wanted and value.shape != wanted[key].shape
    ]
    complaints = [
        _listed(missing, f"of {len(wanted)} tensors are missing"),
        _listed(left, "are left over"),
        _listed(odd, "have another shape"),
    ]
    if any(complaints):
        raise CheckpointError(
            f"The weights do not fit {what}: {'; '.join(filter(None, complaints))}. They look like {described(state)}."
        )
    sick = [key for key, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if sick:
        raise CheckpointError(f"The weights of {what} are damaged: {_listed(sick, 'hold NaN or infinity')}.")
    counters = {key: value for key, value in wanted.items() if key.endswith(COUNTER)}
    module.load_state_dict({**counters, **state})


def read_weights(path: Path, module: str) -> State:
    """The averaged weights of one module of a training checkpoint of mien, by the module's own keys.

    Raises CheckpointError.
    """
    stored = read_stored(path)
    averaged = stored.get("averaged") if isinstance(stored, dict) else None
    if not isinstance(averaged, dict):
        raise CheckpointError(f"{path} is no checkpoint of mien's training: it has no averaged weights.")
    prefix = f"{module}."
    weights = {key[len(prefix) :]: value for key, value in averaged.items() if key.startswith(prefix)}
    if not weights:
        there = sorted({key.split(".")[0] for key in averaged})
        raise CheckpointError(f"{path} holds {', '.join(there)}; {module!r} was asked for.")
    return weights


def _reason(error: BaseException) -> str:
    """What a person can use of torch's message, which recommends to load without the check."""
    text = str(error)
    for word in text.split():
        if "." in word and f"GLOBAL {word}" in text:
            return (
                f"it would call {word}. A file of plain tensors does not. If it is a whole pickled network (Fader), "
                "read it as one."
            )
    tail = text.split("WeightsUnpickler error:")[-1].split("Check the documentation")[0].strip()
    return (tail or type(error).__name__).rstrip(".") + ". It is damaged, or no checkpoint. Download it again."


def _of_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
            opts = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}. Download it again.") from error
    return _checkpoint(state, state.pop("latent_avg", None), opts, "safetensors")


def _of_layout(stored: object, path: Path) -> Checkpoint:
    if not isinstance(stored, Mapping):
        raise CheckpointError(f"{path} holds a {type(stored).__name__}; a dictionary of tensors was expected.")
    latent, opts = stored.get("latent_avg"), stored.get("opts")
    latent = latent if isinstance(latent, Tensor) else None
    settings = vars(opts) if isinstance(opts, argparse.Namespace) else opts if isinstance(opts, Mapping) else {}
    networks = {key: _weights(value) for key, value in stored.items() if isinstance(key, str) and _weights(value)}
    for key in (*AVERAGED, *PLAIN):
        if key in networks:
            return _checkpoint(networks[key], latent, settings, key)
    if networks:
        joined = {f"{name}.{key}": value for name, state in networks.items() for key, value in state.items()}
        return _checkpoint(joined, latent, settings, f"several networks: {', '.join(networks)}")
    bare = _weights({key: value for key, value in stored.items() if key not in ("latent_avg", "opts")})
    if not bare:
        keys = ", ".join(map(str, list(stored)[:8])) or "nothing"
        raise CheckpointError(f"{path} is a dictionary, but no weights were found in it; it has {keys}.")
    return _checkpoint(bare, latent, settings, "bare state_dict")


def _weights(value: object) -> State:
    """The state if it is one, without the ``module.`` that DataParallel puts before every key; else nothing."""
    if not isinstance(value, Mapping) or not value:
        return {}
    if not all(isinstance(key, str) and isinstance(entry, Tensor) for key, entry in value.items()):
        return {}
    wrapped = all(key.startswith("module.") for key in value)
    return {key.removeprefix("module.") if wrapped else key: entry for key, entry in value.items()}


def _checkpoint(state: State, latent: Tensor | None, opts: Mapping[str, object], layout: str) -> Checkpoint:
    kinds = {value.dtype for value in state.values() if value.is_floating_point()} - {torch.float32}
    stored_in = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    whole = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    what = f"{layout}, {len(state)} tensors" + (f", stored in {stored_in}" if kinds else "")
    mean = None if latent is None else latent.detach().float()
    return Checkpoint(whole, mean, MappingProxyType(dict(opts)), what)


def _listed(names: list[str], verb: str) -> str:
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} {verb} ({', '.join(names[:3])}{more})" if names else ""
