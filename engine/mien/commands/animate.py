"""The continuous film of an edit: one face of one photograph, its strengths moving along a curve."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from mien.commands.curve import Strengths, read_curve, strongest, there, there_and_back
from mien.commands.edit import Wanted, changed_share
from mien.commands.reenact import unfinished_work_named
from mien.commands.usage import peak_memory
from mien.editing.editor import Editor
from mien.editing.result import EditResult
from mien.errors import EditError
from mien.image import Image, load_image
from mien.stream.pipeline import Progress
from mien.stream.sinks import open_sink
from mien.timing import Stopwatch

CURVES = {"there-and-back": there_and_back, "there": there}
SECONDS = 4.0
RATE = Fraction(25)
KEPT_BYTES = 512 << 20
"""Pictures that come again on the way back are kept up to this, and made anew beyond it."""


@dataclass(frozen=True)
class FilmJob:
    """What `mien animate` was asked to do."""

    photo: Path
    output: Path
    """A video, a GIF, or a folder for PNG files."""
    wanted: Wanted
    curve: str = "there-and-back"
    """A name in CURVES, or a CSV file with times and strengths."""
    seconds: float | None = None
    """SECONDS unless given; a file has its own length."""
    rate: Fraction = RATE


@dataclass(frozen=True)
class FilmReport:
    """What came out; seconds and milliseconds are wall-clock time."""

    output: str
    frames: int
    size: tuple[int, int]
    """Width and height of the photograph."""
    rate: str
    """Frames per second, as a fraction."""
    edits: dict[str, float]
    """The furthest that each attribute goes."""
    method: str
    changed: float
    """Share of the photograph's pixels, 0 to 1, that differ where the edit is strongest."""
    rendered: int
    """Frames that were not the photograph itself, nor one that had been made before."""
    seconds: float
    """From opening the bundle to the finished film."""
    timings_ms: dict[str, float]
    """prepare and mask, once a film; frame, the median of those rendered."""
    peak_memory_mb: float
    sessions: dict[str, object]
    """What ran each network."""
    synthetic: bool = True


def animate(job: FilmJob, progress: Progress | None = None) -> FilmReport:
    """Makes the film. Raises the MienErrors of its parts; an error or Ctrl-C half way leaves what was made so far."""
    start = time.perf_counter()
    names, curve = _curve(job)
    edits = strongest(names, curve)
    editor = job.wanted.open()
    photo = load_image(job.photo)
    height, width = photo.shape[:2]
    watch = Stopwatch()
    sink = open_sink(job.output, (width, height), job.rate)
    with unfinished_work_named(sink), sink:
        film = Film(editor, photo, job.wanted, edits, Counter(curve), watch)
        changed = 0.0
        furthest = max(curve, key=lambda strengths: sum(map(abs, strengths)))
        for done, strengths in enumerate(curve, 1):
            frame = film.frame(strengths)
            sink.write(frame)
            if strengths is furthest:
                changed = changed_share(photo, frame)
            if progress is not None:
                progress(done, len(curve))
    timings = watch.summary()
    return FilmReport(
        output=str(sink.result),
        frames=sink.frames,
        size=(width, height),
        rate=str(job.rate),
        edits=edits,
        method=job.wanted.method,
        changed=changed,
        rendered=timings["frame"].count,
        seconds=time.perf_counter() - start,
        timings_ms={name: stage.p50 for name, stage in timings.items()},
        peak_memory_mb=peak_memory(),
        sessions={role: asdict(info) for role, info in editor.info.items()},
    )


class Film:
    """The frames of one edit of one photograph at any strengths, read and masked once.

    All frames share the mask of the strongest edit: one drawn for each would follow every flutter of the difference
    network, and its rim would flicker. What the inversion lost is given back as the strengths go to 0 (the photograph
    minus the unedited inversion, by the share that is not edited yet), so the film starts with the photograph's own
    pixels and ends, at the strongest, with what `mien edit` makes, and never jumps between.
    """

    def __init__(
        self,
        editor: Editor,
        photo: Image,
        wanted: Wanted,
        edits: dict[str, float],
        uses: Counter[Strengths],
        watch: Stopwatch,
    ) -> None:
        """``edits``: the furthest each attribute goes. ``uses``: how often frames of those strengths will be asked."""
        self._editor, self._photo, self._wanted, self._edits, self._watch = editor, photo, wanted, edits, watch
        with watch("prepare"):
            self._subject = editor.prepare(photo, face=wanted.face, aligned=wanted.aligned)
        with watch("mask"):
            self._mask = editor.mask(self._subject, edits, method=wanted.method)
        unedited = self._altered((0.0,) * len(edits))
        self._box = _bounds(unedited.mask)
        self._lost = photo[self._box].astype(np.int16) - unedited.image[self._box]
        self._uses = uses
        self._kept: dict[Strengths, Image] = {}

    def frame(self, strengths: Strengths) -> Image:
        """uint8 (H, W, 3) RGB; the photograph itself, byte for byte, where all strengths are 0."""
        if not any(strengths):
            return self._photo
        self._uses[strengths] -= 1
        if strengths in self._kept:
            return self._kept[strengths] if self._uses[strengths] > 0 else self._kept.pop(strengths)
        with self._watch("frame"):
            made = self._made(strengths)
        if self._uses[strengths] > 0 and (len(self._kept) + 1) * made.nbytes <= KEPT_BYTES:
            self._kept[strengths] = made
        return made

    def _made(self, strengths: Strengths) -> Image:
        furthest = self._edits.values()
        share = max(abs(s / most) for s, most in zip(strengths, furthest, strict=True) if most)
        image = self._altered(strengths).image
        part = image[self._box]
        np.clip(part + np.rint(self._lost * np.float32(1 - share)).astype(np.int16), 0, 255, out=part, casting="unsafe")
        return image

    def _altered(self, strengths: Strengths) -> EditResult:
        edits = dict(zip(self._edits, strengths, strict=True))
        wanted = self._wanted
        return self._editor.alter(self._subject, edits, method=wanted.method, deghost=wanted.deghost, mask=self._mask)


def _bounds(mask: Image) -> tuple[slice, slice]:
    """The smallest part of a picture with all that is not 0 in its mask (H, W)."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _curve(job: FilmJob) -> tuple[tuple[str, ...], list[Strengths]]:
    if job.curve in CURVES:
        seconds = SECONDS if job.seconds is None else job.seconds
        return tuple(job.wanted.edits), CURVES[job.curve](job.wanted.edits, seconds, job.rate)
    path = Path(job.curve)
    if path.suffix.lower() != ".csv":
        raise EditError(f"The curve {job.curve!r} was asked for; there are: {', '.join(CURVES)}, or a .csv file.")
    if job.wanted.edits or job.seconds is not None:
        raise EditError(f"{path} says all strengths and times itself; leave out --set and --seconds.")
    return read_curve(path, job.rate)
