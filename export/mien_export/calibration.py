"""Using a bundle as it will be used, so that what its networks are fed can be recorded; see `lower`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

import mien
from mien.bundle import Bundle
from mien.editing.directions import Direction
from mien.editing.editor import Editor
from mien.editing.methods import METHODS
from mien.editing.settings import read_settings
from mien.errors import InputError
from mien.image import Image, load_image
from mien.reenact import Reenactor
from mien.reenact.transfer import Transfer
from mien.stream.sources import open_source
from mien_export.lower import MOST_FEEDS, Use

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
"""A portrait and a clip that come with mien."""

FACES = 8
"""Most faces that are edited."""

LOOKS = (0.6, 1.0, 1.6)
"""Gammas of the light on a portrait: bright, as it is, dark."""

MOVED = 2
"""Frames that move each portrait, after the one that it takes as still."""

STRIDE = 10
"""Frames of a clip from one that is used to the next: neighbours look the same."""


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


def reenacting(portrait: Path = DEMO / "source.jpg", clip: Path = DEMO / "driving.mp4") -> Use:
    """Moves a portrait, and the clip's own face as another, by frames of the clip, both in three kinds of light: one
    picture does not fill the ranges that the next one needs.

    A family that retargets does so, too. Raises ImageError, VideoError, NoFace for a portrait or a clip that cannot be
    used.
    """

    def use(bundle: Bundle) -> None:
        reenactor = Reenactor(bundle, transfer=_fullest(bundle), smooth=False)
        with open_source(clip) as source:
            first, *frames = islice(source, 0, STRIDE * MOST_FEEDS, STRIDE)
        pictures = [lit(picture, gamma) for picture in (load_image(portrait), first.image) for gamma in LOOKS]
        for number, picture in enumerate(pictures):
            reenactor.set_source(picture)
            for frame in (first, *frames[number :: len(pictures)][:MOVED]):
                reenactor.step(frame.image, frame.time)

    return use


def lit(picture: Image, gamma: float) -> Image:
    """The same picture in other light: darker above 1."""
    table = np.round(np.linspace(0, 1, 256) ** gamma * 255).astype(np.uint8)
    return table[picture]


def _fullest(bundle: Bundle) -> Transfer:
    """What runs as many of the bundle's networks as possible."""
    retargets = {"retarget_eye", "retarget_lip"} <= bundle.manifest.networks.keys()
    return Transfer(retarget_eyes=retargets, retarget_lips=retargets)


def _drawn(editor: Editor) -> Iterator[Image]:
    return (editor.render(editor.sample(seed)) for seed in range(FACES))


def _read(folder: Path) -> Iterator[Image]:
    pictures = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)[:FACES]
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
