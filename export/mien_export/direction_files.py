"""Directions from the files that research publishes, torch's among them, as directions of an edit bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from mien.editing.directions import NORMAL_UNIT, WIDTH, Direction, check_fit, read_directions
from mien.errors import InputError
from mien_export.checkpoints import read_stored

COMPONENT_UNIT = 10.0
"""Strength 1 for a GANSpace component, in its standard deviations; its authors go to 20 when they edit few rows."""

SPEC = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<file>.+?)(?::(?P<component>\d+):(?P<first>\d+):(?P<end>\d+))?")


def read_direction_files(specs: Sequence[str], layers: int) -> tuple[Direction, ...]:
    """The directions that ``[NAME=]FILE[:COMPONENT:FIRST:END]`` name, for a generator of ``layers`` rows.

    FILE: mien's .npz; .npy of InterFaceGAN (1, 512) or EOGI (L, 512); .pt of e4e, (1, 512) or (1, L, 512); .pt of
    GANSpace, where COMPONENT is edited on the rows from FIRST to before END. Without NAME it is the file's, lower case.
    Raises InputError for what does not fit the generator, is damaged, or comes twice.
    """
    directions = tuple(direction for spec in specs for direction in _read(spec, layers))
    names = [direction.name for direction in directions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"Two directions are named {', '.join(twice)}. Name one of them: NAME=FILE.")
    return directions


def _read(spec: str, layers: int) -> tuple[Direction, ...]:
    match = SPEC.fullmatch(spec)
    if match is None:
        raise InputError(f"{spec!r} names no direction; [NAME=]FILE[:COMPONENT:FIRST:END] is asked for.")
    path, name = Path(match["file"]), match["name"]
    chosen = tuple(int(match[key]) for key in ("component", "first", "end")) if match["component"] else None
    if path.suffix.lower() in (".pt", ".pth"):
        found: tuple[Direction, ...] = (_of_torch(path, name or path.stem.lower(), chosen, layers),)
    elif chosen is not None:
        raise InputError(f"{path} was given with a component, but only GANSpace's .pt files have components.")
    else:
        found = read_directions(path, layers)
    if name and len(found) != 1:
        raise InputError(f"{path} holds {len(found)} directions; the one name {name!r} cannot be given to them.")
    return tuple(replace(direction, name=name) for direction in found) if name else found


def _of_torch(path: Path, name: str, chosen: tuple[int, ...] | None, layers: int) -> Direction:
    stored = read_stored(path)
    if isinstance(stored, Mapping) and {"mean", "comp", "std"} <= set(stored):
        return _component(path, name, stored["comp"], stored["std"], chosen, layers)
    if not isinstance(stored, Tensor) or not stored.is_floating_point():
        raise InputError(f"{path} holds no direction: a tensor (1, {WIDTH}) or (1, {layers}, {WIDTH}) is asked for.")
    if chosen is not None:
        raise InputError(f"{path} was given with a component, but it holds one direction only.")
    rows = stored[0] if stored.ndim == 3 and len(stored) == 1 else stored.reshape(1, -1) if stored.ndim == 1 else stored
    direction = Direction(name, rows.detach().float().numpy(), NORMAL_UNIT)
    check_fit(direction, layers)
    return direction


def _component(
    path: Path, name: str, components: object, deviations: object, chosen: tuple[int, ...] | None, layers: int
) -> Direction:
    """One principal component (Härkönen et al., 2020) on a range of rows, zero on the others."""
    if not isinstance(components, Tensor) or components.shape[1:] != (1, WIDTH):
        raise InputError(f"{path} is no GANSpace file for this generator: its components should be (K, 1, {WIDTH}).")
    if not isinstance(deviations, Tensor) or deviations.shape != components.shape[:1]:
        raise InputError(f"{path} is no GANSpace file: it should have one deviation for each component.")
    count = len(components)
    if chosen is None:
        raise InputError(
            f"{path} holds {count} components and no direction; say which, and on which rows: "
            f"NAME={path.name}:COMPONENT:FIRST:END, for example smile={path.name}:46:4:5."
        )
    component, first, end = chosen
    if component >= count or not first < end <= layers:
        raise InputError(
            f"Component {component} on the rows {first} to before {end} of {path} was asked for; "
            f"there are the components 0 to {count - 1} and the rows 0 to before {layers}."
        )
    vector = components.new_zeros(layers, WIDTH)
    vector[first:end] = components[component, 0] * deviations[component]
    return Direction(name, vector.detach().float().numpy(), COMPONENT_UNIT)
