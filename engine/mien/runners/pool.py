"""Memory that is used again: what nobody holds any more is handed out the next time the same is asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


class Block:
    """A piece of memory; goes back to its pool when the last reference to it goes."""

    __slots__ = ("_home", "memory")

    def __init__(self, memory: Any, home: list[Any]) -> None:
        self.memory = memory
        self._home = home

    def __del__(self) -> None:
        self._home.append(self.memory)  # atomic: this may run in any thread at any time


class Pool:
    """Pieces of memory by what they are for and how large they are.

    Naming the use keeps addresses the same from frame to frame, which is what captured graphs need.
    """

    def __init__(self, allocate: Callable[[int], Any]) -> None:
        self._allocate = allocate
        self._free: dict[tuple[Hashable, int], list[Any]] = {}

    def lease(self, use: Hashable, count: int) -> Block:
        """A piece of that many bytes (at least 1), whatever is in it."""
        home = self._free.setdefault((use, count), [])
        try:
            memory = home.pop()
        except IndexError:
            memory = self._allocate(max(count, 1))
        return Block(memory, home)

    def clear(self) -> list[Any]:
        """Forgets all that nobody holds, and gives it."""
        forgotten = []
        for home in list(self._free.values()):
            while home:
                forgotten.append(home.pop())
        return forgotten
