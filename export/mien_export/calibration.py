"""Using a bundle as it will be used, so that what its networks are fed can be recorded; see `lower`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mien.bundle import Bundle
from mien.editing.directions import Direction
from mien.editing.editor import Editor
from mien.editing.methods import METHODS
from mien.editing.settings import read_settings
from mien.errors import InputError
from mien.image import Image, load_image
from mien_export.lower import MOST_FEEDS, Use

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def editing(folder: Path | None) -> Use:
    """Edits the aligned faces of a folder, or else faces that the bundle's own generator draws, one by one.

    Raises InputError for a folder without pictures.
    """

    def use(bundle: Bundle) -> None:
        editor = Editor(bundle)
        edits, method = _strongest(bundle)
        for face in _drawn(editor) if folder is None else _read(folder):
            editor.apply(face, edits, method=method, aligned=True)

    return use


def _drawn(editor: Editor) -> Iterator[Image]:
    return (editor.render(editor.sample(seed)) for seed in range(MOST_FEEDS))


def _read(folder: Path) -> Iterator[Image]:
    pictures = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)[:MOST_FEEDS]
    if not pictures:
        raise InputError(f"Aligned faces to calibrate on were asked for; {folder} has no {', '.join(SUFFIXES)} files.")
    return map(load_image, pictures)


def _strongest(bundle: Bundle) -> tuple[dict[str, float], str]:
    """An edit and a method that run as many of the bundle's networks as possible."""
    directions = read_settings(bundle).directions
    known = [one for one in directions if one.difference_class >= 0]
    roles = bundle.manifest.networks.keys()
    fit = [m for m in METHODS.values() if set(m.roles) <= roles and (known or not m.difference)]
    best = max(fit, key=lambda method: (len(method.roles), method.tta))
    return _one(known or directions), best.name


def _one(directions: Iterable[Direction]) -> dict[str, float]:
    return {one.name: 1.0 for one in list(directions)[:1]}
