"""Weights and inputs of a parity case, drawn again from what its json says, so that none need to be stored.

Each random tensor has a stream of its own, numpy's ``default_rng([seed, crc32(name)])``: neither the order of the keys
nor the other tensors matter. Draws are float64 and rounded to the declared dtype at the end.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Entry = Mapping[str, Any]
Draw = Callable[[Entry, tuple[int, ...], np.random.Generator], NDArray[Any]]


def _normal(entry: Entry, shape: tuple[int, ...], stream: np.random.Generator) -> NDArray[Any]:
    values = stream.standard_normal(shape)
    values *= entry.get("std", 1.0)  # in place: the largest tensors are hundreds of megabytes
    values += entry.get("mean", 0.0)
    return values


def _uniform(entry: Entry, shape: tuple[int, ...], stream: np.random.Generator) -> NDArray[Any]:
    return stream.uniform(entry["low"], entry["high"], shape)


def _constant(entry: Entry, shape: tuple[int, ...], stream: np.random.Generator) -> NDArray[Any]:
    return np.full(shape, entry["value"])


def _fixed(entry: Entry, shape: tuple[int, ...], stream: np.random.Generator) -> NDArray[Any]:
    return np.asarray(entry["values"]).reshape(shape)


def _smooth(entry: Entry, shape: tuple[int, ...], stream: np.random.Generator) -> NDArray[Any]:
    """Uniform values on a ``grid`` x ``grid`` lattice, enlarged bilinearly; corners stay at the corners."""
    grid, (height, width) = entry["grid"], shape[-2:]
    coarse = stream.uniform(entry["low"], entry["high"], (*shape[:-2], grid, grid))
    rows, columns = (
        np.maximum(0.0, 1.0 - np.abs(np.linspace(0.0, grid - 1.0, size)[:, None] - np.arange(grid)))
        for size in (height, width)
    )
    large: NDArray[Any] = np.einsum("hi,...ij,wj->...hw", rows, coarse, columns)
    return large


KINDS: Mapping[str, Draw] = {
    "normal": _normal, "uniform": _uniform, "constant": _constant, "fixed": _fixed, "smooth": _smooth
}  # fmt: skip


def drawn(name: str, entry: Entry, seed: int) -> Tensor:
    """One tensor: ``entry`` holds ``shape`` and what its ``kind`` needs. ValueError for an unknown kind."""
    kind = entry.get("kind", "normal")
    if kind not in KINDS:
        raise ValueError(f"{name} is of the kind {kind!r}; known are {', '.join(KINDS)} and, for weights, alias.")
    stream = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = KINDS[kind](entry, tuple(entry["shape"]), stream)
    if entry.get("clip"):
        values = np.clip(values, *entry["clip"])
    return torch.from_numpy(np.array(values, dtype=entry.get("dtype", "float32"), order="C"))


def weights(case: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict of a case, in the json's order; an alias is the very tensor that it names."""
    entries, seed = case.get("tensors", {}), case["seed"]
    own = [key for key, entry in entries.items() if entry.get("kind") != "alias"]
    with ThreadPoolExecutor(2) as pool:  # NumPy draws without the interpreter's lock
        found = dict(zip(own, pool.map(lambda key: drawn(key, entries[key], seed), own), strict=True))
    return {key: found[entry["of"] if entry.get("kind") == "alias" else key] for key, entry in entries.items()}


def inputs(case: Mapping[str, Any]) -> dict[str, Tensor]:
    """The inputs of a case by name; one may have a ``seed`` of its own."""
    return {name: drawn(name, entry, entry.get("seed", case["seed"])) for name, entry in case["inputs"].items()}
