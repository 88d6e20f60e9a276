"""What a network has to say about itself to be compared with its reference outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class ParityCase:
    """How one architecture is built from a case's ``constructor``, and how its outputs are made.

    ``build`` takes the constructor's values and honours each of them; None for arithmetic without weights. ``run``
    takes the module (loaded, evaluation mode), the whole case as read from its json and the inputs by name; it gives
    the outputs by the golden's names. Those that the case marks as intermediate may be left out, names that the case
    does not hold are ignored.
    """

    build: Callable[[Mapping[str, Any]], nn.Module | None]
    run: Callable[[nn.Module | None, Mapping[str, Any], Mapping[str, Tensor]], Mapping[str, Tensor]]
