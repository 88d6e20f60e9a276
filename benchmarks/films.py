"""mien's own films: one portrait driven by one clip, judged again, and drawn as contact sheet and video."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from benchmarks import pairs
from benchmarks.judge import Agreement, Judge, Measures, compare, read_clip
from benchmarks.sheets import ContactSheet, SideBySide, close_up
from benchmarks.tearing import Tears, tears
from mien.image import load_image
from mien.reenact import Reenactor
from mien.reenact.motion import Motion
from mien.reenact.studio import Studio

Image = npt.NDArray[np.uint8]

TEAR_STEP = 6
"""Every so many frames are looked over for tears."""


def film(
    reenactor: Reenactor, judge: Judge, portrait: Path, clip: Path, driver: Measures, out: Path, keep: bool = False
) -> tuple[list[Agreement], dict[str, float]]:
    """Make, draw and judge one film; its agreement with the driver, and its other figures.

    Written beside each other: out.png, out.mp4, and what was measured as out.npz and out.json, from which a film that
    is kept is read instead of being made anew.
    """
    measured, facts = out.with_name(out.name + ".npz"), out.with_name(out.name + ".json")
    if not (keep and measured.exists() and facts.exists()):
        driven = Driven(reenactor, judge, portrait, clip, driver, out)
        result = judge.measure(driven)
        result.save(measured)
        facts.write_text(json.dumps({"YuNet finds a face": float(result.found.mean()), **driven.facts}, indent=2))
    known: dict[str, float] = json.loads(facts.read_text())
    return compare(driver.quantities(), Measures.load(measured).quantities()), known


class Driven:
    """The frames of one portrait driven by one clip; while they pass by, sheet and video are drawn from them."""

    def __init__(
        self, reenactor: Reenactor, judge: Judge, portrait: Path, clip: Path, driver: Measures, out: Path
    ) -> None:
        self.reenactor, self.judge = reenactor, judge
        self.portrait, self.clip, self.driver, self.out = portrait, clip, driver, out
        self.facts: dict[str, float] = {}

    def __iter__(self) -> Iterator[Image]:
        picture = load_image(self.portrait)
        self.reenactor.set_source(picture)
        looked = Overlooked.of(self.reenactor, picture)
        rows, columns = close_up(self.judge.detect(picture), picture)
        rate = clip_rate(self.clip)
        sheet, tracked = ContactSheet(len(self.driver.boxes)), 0
        with SideBySide(Path(f"{self.out}.mp4"), rate) as beside:
            for index, frame in enumerate(read_clip(self.clip)):
                result = self.reenactor.step(frame, float(index / rate))
                tracked += result.status == "tracked"
                if index == 0:
                    self.facts["frame 0 (dB)"] = pairs.decibel(result.image, picture)
                if looked is not None and isinstance(result.motion, Motion) and result.status == "tracked":
                    looked.look(index, result.motion)
                sheet.add(index, frame, result.image[rows, columns])
                beside.add(frame, result.image)
                yield result.image
        sheet.save(Path(f"{self.out}.png"))
        self.facts["driver tracked"] = tracked / len(self.driver.boxes)
        if looked is not None:
            self.facts |= looked.figures()


class Overlooked:
    """Looks a film over for tears, beside its making: the studio family's own flow, every few frames."""

    def __init__(self, model: Studio, picture: Image) -> None:
        self._model, self._source = model, model.source(picture)
        self._first: Motion | None = None
        self._found: list[Tears] = []

    @classmethod
    def of(cls, reenactor: Reenactor, picture: Image) -> Overlooked | None:
        """None for a family without that flow."""
        return cls(reenactor.family, picture) if isinstance(reenactor.family, Studio) else None

    def look(self, index: int, motion: Motion) -> None:
        """The frame of this number, in which the driver moved so."""
        self._first = self._first or motion
        if index % TEAR_STEP == 0:
            points = self._model.drive(self._source, motion, self._first)
            self._found.append(tears(pairs.maps_of(self._model, self._source, points), points))

    def figures(self) -> dict[str, float]:
        """Shares of the face in the worst frame."""
        worst = max(self._found, key=lambda t: t.both, default=Tears(0.0, 0.0))
        return {"torn, worst frame": worst.torn, "folded, worst frame": worst.folded}


def clip_rate(clip: Path) -> Fraction:
    """Frames per second."""
    with av.open(str(clip)) as container:
        return container.streams.video[0].average_rate or Fraction(25)
