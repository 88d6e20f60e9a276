"""What the manifest and arrays of an edit bundle say about its generator and its directions, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from mien.bundle import Bundle
from mien.editing.directions import Direction
from mien.editing.latent import WIDTH
from mien.errors import BundleInvalid, InputError

T = TypeVar("T", str, int, float)


@dataclass(frozen=True)
class Settings:
    """``resolution``: side of the generator's pictures, pixels. ``layers``: rows of a latent. ``split``: the early half
    of the synthesis reads the rows before this one. ``steps``: rounds of a ReStyle encoder, else 1. ``directions``: the
    bundle's own. ``classes``: attributes that the difference network tells apart, None where there is none.
    """

    resolution: int
    layers: int
    split: int
    steps: int
    directions: tuple[Direction, ...]
    classes: int | None


def read_settings(bundle: Bundle) -> Settings:
    """Raises BundleInvalid for a bundle of another task, and for settings that are missing or make no sense."""
    manifest = bundle.manifest
    if manifest.task != "edit":
        raise BundleInvalid(
            f"The bundle {bundle.place!r} is for the task {manifest.task!r}; an Editor needs one for 'edit'. "
            "`mien export edit` makes it from public checkpoints."
        )
    resolution, layers, split, steps = (_count(bundle, key) for key in ("resolution", "layers", "split", "steps"))
    if split > layers:
        raise BundleInvalid(f"The bundle {bundle.place!r} splits its synthesis at row {split} of {layers}.")
    mean = bundle.array("latent_mean").shape
    if mean != (layers, WIDTH):
        raise BundleInvalid(f"The mean latent of {bundle.place!r} should be ({layers}, {WIDTH}); it is {mean}.")
    return Settings(resolution, layers, split, steps, _directions(bundle), _classes(bundle))


def _classes(bundle: Bundle) -> int | None:
    spec = bundle.manifest.networks.get("difference")
    shapes = [info.shape for info in spec.outputs if info.name == "scores"] if spec else []
    return next((size for shape in shapes for size in shape[1:] if isinstance(size, int)), None)


def _directions(bundle: Bundle) -> tuple[Direction, ...]:
    names = _list(bundle, "attributes", str)
    units = _list(bundle, "attribute_unit", float)
    classes = _list(bundle, "attribute_class", int)
    parts = _list(bundle, "attribute_parts", str)
    if not len(names) == len(units) == len(classes) == len(parts):
        raise BundleInvalid(f"The bundle {bundle.place!r} does not say the same number of things of each attribute.")
    try:
        return tuple(
            Direction(name, bundle.array(f"direction.{name}"), unit, number, part)
            for name, unit, number, part in zip(names, units, classes, parts, strict=True)
        )
    except InputError as error:
        raise BundleInvalid(f"The bundle {bundle.place!r} has a direction that cannot be used. {error}") from error


def _count(bundle: Bundle, key: str) -> int:
    value = bundle.manifest.extra.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BundleInvalid(f"The bundle {bundle.place!r} should say {key!r}, a number above zero; it says {value!r}.")
    return value


def _list(bundle: Bundle, key: str, kind: type[T]) -> tuple[T, ...]:
    """The settings of that name; none where there is no such list."""
    values = bundle.manifest.extra.get(key, ())
    accepted = (int, float) if kind is float else kind
    if not isinstance(values, tuple) or not all(isinstance(value, accepted) for value in values):
        raise BundleInvalid(
            f"The bundle {bundle.place!r} should give a list of {kind.__name__} for {key!r}; it gives {values!r}."
        )
    return tuple(kind(value) for value in values)
