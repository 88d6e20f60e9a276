"""DLPack's protocol on raw addresses; `mien.sessions.device_tensor` is its only reader.

A kind is DLPack's type code and the bits of an element, a place its device type and number. Strides are in elements.
"""

from collections.abc import Sequence
from typing import Any

Kind = tuple[int, int]
Place = tuple[int, int]

def produce(address: int, shape: Sequence[int], kind: Kind, place: Place, owner: object) -> Any:
    """What has ``__dlpack__``; it keeps the owner for as long as a reader has the memory."""

def consume(capsule: object) -> tuple[int, tuple[int, ...], tuple[int, ...], Kind, Place, object]:
    """Takes a capsule over: address, shape, strides, kind, place, and what keeps the memory. Raises TypeError."""
