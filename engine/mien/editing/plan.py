"""What an edit asks for, held against what the bundle has, before anything is run."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mien.editing.directions import Direction
from mien.editing.latent import WIDTH, Latent
from mien.editing.methods import METHODS, Method, find_method
from mien.errors import EditError


@dataclass(frozen=True)
class Plan:
    """An edit that can be done: its directions and strengths, the way to mask, whether to deghost."""

    moves: tuple[tuple[Direction, float], ...]
    method: Method
    deghost: bool

    @property
    def directions(self) -> tuple[Direction, ...]:
        """What is edited."""
        return tuple(direction for direction, _ in self.moves)


def make_plan(
    directions: Mapping[str, Direction],
    roles: Container[str],
    edits: Mapping[str, float],
    method: str,
    deghost: bool | None,
) -> Plan:
    """Raises EditError for anything that these directions and networks cannot do."""
    chosen = find_method(method)
    require(roles, chosen.roles, f"The method {method!r}")
    if deghost:
        require(roles, ("deghost",), "Deghosting")
    moves = find_moves(directions, edits)
    for direction, _ in moves if chosen.difference else ():
        if direction.difference_class < 0:
            raise EditError(
                f"The method {method!r} looks for the edited attribute with the difference network, which does not "
                f"know {direction.name!r}. Use the method 'parsing' or 'none' for it."
            )
    return Plan(moves, chosen, deghost if deghost is not None else chosen.difference and "deghost" in roles)


def find_moves(directions: Mapping[str, Direction], edits: Mapping[str, float]) -> tuple[tuple[Direction, float], ...]:
    """Directions with their strengths; those of strength 0 are left out. Raises EditError."""
    for name, strength in edits.items():
        if name not in directions:
            there = ", ".join(directions) or "none; add directions of your own"
            raise EditError(f"The attribute {name!r} was to be edited; there are: {there}.")
        if not math.isfinite(strength):
            raise EditError(f"The attribute {name!r} was to be edited by {strength}; a strength is a finite number.")
    return tuple((directions[name], float(strength)) for name, strength in edits.items() if strength)


def moved(latent: Latent, moves: Iterable[tuple[Direction, float]]) -> Latent:
    """w + sum of strength x unit x direction."""
    codes = latent.codes.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # the latent says what is wrong with it
        for direction, strength in moves:
            codes = codes + strength * direction.unit * direction.vector.astype(np.float64)
        return Latent(codes.astype(np.float32))


def by_name(directions: Iterable[Direction], layers: int, classes: int | None = None) -> dict[str, Direction]:
    """``classes``: of the difference network, where there is one.

    Raises EditError for two of one name, and for one that does not fit the generator or the difference network.
    """
    named: dict[str, Direction] = {}
    for direction in directions:
        if direction.name in named:
            raise EditError(f"There are two directions {direction.name!r}; give one of them another name.")
        if direction.vector.shape not in ((layers, WIDTH), (1, WIDTH)):
            raise EditError(
                f"The direction {direction.name!r} is {direction.vector.shape}; this generator takes "
                f"({layers}, {WIDTH}) or (1, {WIDTH})."
            )
        if classes is not None and direction.difference_class >= classes:
            raise EditError(
                f"The direction {direction.name!r} is of class {direction.difference_class} of the difference network; "
                f"this bundle's has the classes 0 to {classes - 1}. Take the bundle that it was made for, or class -1."
            )
        named[direction.name] = direction
    return named


def require(roles: Container[str], needed: Iterable[str], what: str) -> None:
    """Raises EditError where the bundle lacks one of the networks, and says what can be done without it."""
    missing = [role for role in needed if role not in roles]
    if missing:
        able = ", ".join(method.name for method in METHODS.values() if all(role in roles for role in method.roles))
        raise EditError(
            f"{what} needs the network {' and '.join(map(repr, missing))}, which the bundle does not have. Export it "
            f"again with that network, or do without; methods that it can run: {able}."
        )
