"""How loops over pixels, vertices and triangles are compiled: kept on disk, one thread, divisors not checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(function: Loop) -> Loop:
    """The same function as machine code; what it divides by must not be 0."""
    return cast(Loop, numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(function))


def inlined(function: Loop) -> Loop:
    """The same for a piece of other compiled functions, into which it is copied."""
    return cast(Loop, numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy", inline="always")(function))
