"""Several faces of one picture: which of them move, and all of them drawn into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from mien.errors import InputError, NoFace
from mien.reenact.family import Family
from mien.reenact.transfer import Transfer
from mien.runners import There

Choice = int | Literal["largest", "all"]
"""A face by its number from 0, the most prominent first; that one; or every one."""


def read_faces(family: Family[Any, Any], image: There, face: Choice = "largest") -> tuple[Any, ...]:
    """The chosen faces of a picture, uint8 (H, W, 3) RGB, each as the family's source; at least one.

    Raises ImageError; NoFace where there is none; InputError for a number that no face has.
    """
    picture = family.runner.take(image)
    if face == "largest":
        return (family.source(picture),)
    found = family.tracker().everyone(picture)
    if not found:
        height, width = picture.shape[:2]
        raise NoFace(
            f"The face {face!r} was asked for, but none was found in the picture of {width} x {height} pixels."
        )
    if face == "all":
        return tuple(family.source(picture, one) for one in found)
    if not isinstance(face, int) or not 0 <= face < len(found):
        raise InputError(
            f"The face {face!r} was asked for; the picture has {len(found)}, numbered from 0, the most prominent "
            'first. Give such a number, "largest" or "all".'
        )
    return (family.source(picture, found[face]),)


def draw_faces(
    family: Family[Any, Any], sources: tuple[Any, ...], driving: Any, reference: Any, transfer: Transfer
) -> There:
    """All sources (one or more) of one picture as the driver moves them, one drawn into what the one before gave.

    The families' generators take one face at a time; their batch is 1. Raises MotionError, SessionError.
    """
    picture = family.render(sources[0], driving, reference, transfer)
    for source in sources[1:]:
        picture = family.render(replace(source, image=picture), driving, reference, transfer)
    return picture
