"""A bundle of any reenactment family used for a moment as in real life: what lower precisions are tuned to."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import mien
from mien.bundle import Bundle
from mien.reenact import Reenactor
from mien.stream.sources import open_source

FRAMES = 12

DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"


def reenact_demo(bundle: Bundle) -> None:
    """The portrait that comes with mien, moved by the first frames of the clip that does."""
    reenactor = Reenactor(bundle)
    reenactor.set_source(DEMO / "source.jpg")
    with open_source(DEMO / "driving.mp4") as clip:
        for frame in islice(clip, FRAMES):
            reenactor.step(frame.image, frame.time)
