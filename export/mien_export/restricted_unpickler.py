"""Whole networks that were pickled (Fader, 2017), read as data: tensors and settings come out, no class is imported.

A pickle names the functions it wants called. Here every class of a network becomes an inert `Stub` that keeps what
the file says about it, tensors are rebuilt by torch's own functions, and any other name is refused before it is
looked up. torch reads both of its file formats through a module with ``Unpickler`` and ``load``: this one.
"""

from __future__ import annotations

import collections
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, ClassVar

import torch
from torch import Tensor

from mien_export.checkpoint_files import BROKEN, CheckpointError, check_container
from mien_export.checkpoints import Checkpoint, State

NETWORK_MODULES = ("src.model", "torch.nn.modules.", "torch.nn.backends.")
"""Whose names become stubs: the Fader code's networks, torch's layers, and what these pointed to in torch 0.3."""

DEEPEST = 64
"""Modules within modules; a file that goes on has a module inside itself."""


class Refused(pickle.UnpicklingError):
    """The file names something that has no place in a network."""


class Stub:
    """Stands where the file has an object of a network's class; keeps its fields and does nothing."""

    named: ClassVar[str] = ""
    dump_patches: ClassVar[bool] = False
    """torch asks it of a class whose source the file carries."""

    fields: dict[str, Any]

    def __new__(cls, *arguments: object) -> Stub:
        if arguments:
            raise Refused(f"it calls {cls.named} with arguments")
        stub = super().__new__(cls)
        stub.fields = {}
        return stub

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise Refused(f"it gives {self.named} a state that is no dictionary")
        self.fields = state


class Rebuilder:
    """Calls one harmless function. The file never gets hold of the function itself, which it could put things on."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise Refused("it changes what rebuilds its tensors")


# The private names are what files call; torch keeps them for that reason.
REBUILDERS = {
    ("collections", "OrderedDict"): Rebuilder(collections.OrderedDict),
    ("builtins", "set"): Rebuilder(set),
    ("__builtin__", "set"): Rebuilder(set),
    ("torch", "Size"): Rebuilder(torch.Size),
    ("torch._utils", "_rebuild_tensor"): Rebuilder(torch._utils._rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Rebuilder(torch._utils._rebuild_tensor_v2),
    ("torch._utils", "_rebuild_parameter"): Rebuilder(torch._utils._rebuild_parameter),
}


class StoredParameter:
    """A parameter of torch 0.3 and before, which was stored as a call of its class; its flags do not matter."""

    def __init__(self, data: Tensor) -> None:
        self.data = data

    def __setstate__(self, state: object) -> None:
        pass


class Unpickler(pickle.Unpickler):
    """Knows the names of `REBUILDERS`, makes stubs of `NETWORK_MODULES`, refuses the rest."""

    def find_class(self, module: str, name: str) -> Any:
        """What the file gets for a name. Raises Refused."""
        if (module, name) in REBUILDERS:
            return REBUILDERS[module, name]
        if (module, name) in (("torch.nn.parameter", "Parameter"), ("torch.autograd.variable", "Variable")):
            return StoredParameter
        if module == "src.model" or module.startswith(NETWORK_MODULES[1:]):
            return type("Stub of the file", (Stub,), {"named": f"{module}.{name}"})
        raise Refused(f"it would call {module}.{name}, which no network needs")


def load(file: IO[bytes], **settings: Any) -> object:
    """One pickle from ``file`` by the same rules; torch calls this for the small ones before and after the network."""
    return Unpickler(file, **settings).load()


def read_module(path: Path) -> Checkpoint:
    """The weights of a network that was pickled whole, by the keys its state_dict would have had.

    ``opts`` has its plain attributes (img_sz, n_skip, ...). Raises CheckpointError, naming what is refused.
    """
    check_container(path)
    try:
        with warnings.catch_warnings():  # old files carry their source code, and torch misses ours to compare it with
            warnings.simplefilter("ignore")
            network = torch.load(path, "cpu", sys.modules[__name__], weights_only=False, mmap=False)
    except BROKEN as error:
        said = str(error).rstrip(".") or type(error).__name__
        raise CheckpointError(f"{path} cannot be read as a pickled network: {said}.") from error
    if not isinstance(network, Stub) or not isinstance(network.fields.get("_modules"), dict):
        raise CheckpointError(f"{path} holds no pickled network.")
    state: State = dict(_tensors(network, path))
    opts = {key: value for key, value in network.fields.items() if not key.startswith("_") and _plain(value)}
    if not state:
        raise CheckpointError(f"{path} holds a pickled network without weights ({network.named}).")
    return Checkpoint(state, None, MappingProxyType(opts), f"pickled {network.named}, {len(state)} tensors")


def _tensors(stub: Stub, path: Path, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """As ``state_dict`` walks: own parameters, own buffers, then the inner modules."""
    if depth > DEEPEST:
        raise CheckpointError(f"{path} has a network inside itself.")
    passing = stub.fields.get("_non_persistent_buffers_set", ())
    for group in ("_parameters", "_buffers"):
        for key, value in _entries(stub, group, path):
            tensor = value.data if isinstance(value, StoredParameter) else value
            if tensor is None or key in passing:
                continue
            if not isinstance(tensor, Tensor):
                raise CheckpointError(f"{path} is damaged: {prefix}{key} is no tensor.")
            plain = tensor.detach()
            yield prefix + key, plain.float() if plain.is_floating_point() else plain
    for key, value in _entries(stub, "_modules", path):
        if isinstance(value, Stub):
            yield from _tensors(value, path, f"{prefix}{key}.", depth + 1)


def _entries(stub: Stub, group: str, path: Path) -> Iterator[tuple[str, Any]]:
    entries = stub.fields.get(group, {})
    if not isinstance(entries, Mapping) or not all(isinstance(key, str) for key in entries):
        raise CheckpointError(f"{path} is damaged: {group} of {stub.named} is no dictionary of names.")
    yield from entries.items()


def _plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(entry) for entry in value)
    return isinstance(value, (bool, int, float, str))
