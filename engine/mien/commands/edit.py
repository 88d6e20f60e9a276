"""A photograph's face edited: from the file that comes in to the picture and the mask that go out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from mien.bundle import Bundle
from mien.commands.usage import peak_memory
from mien.editing.directions import read_directions
from mien.editing.editor import Editor
from mien.editing.settings import read_settings
from mien.errors import OutputError
from mien.image import Image, load_image, save_image

PICTURES = (".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class Wanted:
    """What is to be done to a face, with what, and where it runs: all that `Editor` and its `apply` are told."""

    bundle: str
    edits: Mapping[str, float]
    """Strength by attribute."""
    method: str = "diffcam++"
    deghost: bool | None = None
    """None: where the bundle has the network and the method looks for differences."""
    face: int | Literal["largest"] = "largest"
    aligned: bool = False
    directions: tuple[Path, ...] = ()
    """Files with directions beside those of the bundle."""
    device: str = "cpu"
    backend: str = "ort"
    threads: int | None = None

    def open(self, bundle: Bundle | None = None) -> Editor:
        """The editor. Raises BundleError, DeviceError, MissingDependency, EditError, InputError."""
        bundle = bundle or Bundle.open(self.bundle)
        layers = read_settings(bundle).layers
        added = [direction for path in self.directions for direction in read_directions(path, layers)]
        return Editor(bundle, device=self.device, backend=self.backend, threads=self.threads, directions=added)


@dataclass(frozen=True)
class EditJob:
    """What `mien edit` was asked to do with one photograph."""

    photo: Path
    output: Path
    wanted: Wanted
    mask_output: Path | None = None


@dataclass(frozen=True)
class EditReport:
    """What came out; seconds and milliseconds are wall-clock time."""

    output: str
    mask: str | None
    size: tuple[int, int]
    """Width and height."""
    edits: dict[str, float]
    method: str
    changed: float
    """Share of the photograph's pixels, 0 to 1, that are not what they were."""
    seconds: float
    """From opening the bundle to the last file written."""
    timings_ms: dict[str, float]
    """Of the stages that were run: align, invert, synthesise, mask, deghost, paste."""
    peak_memory_mb: float
    sessions: dict[str, object]
    """What ran each network."""
    synthetic: bool = True


def edit(job: EditJob) -> EditReport:
    """Does the job. Raises the MienErrors of its parts, OutputError before anything is run."""
    start = time.perf_counter()
    check_output(job.output, PICTURES, job.photo)
    if job.mask_output is not None:
        check_output(job.mask_output, (".png",), job.photo, job.output)
    editor = job.wanted.open()
    photo = load_image(job.photo)
    timings, changed = edit_one(editor, photo, job.wanted, job.output, job.mask_output)
    return EditReport(
        output=str(job.output),
        mask=str(job.mask_output) if job.mask_output is not None else None,
        size=(photo.shape[1], photo.shape[0]),
        edits=dict(job.wanted.edits),
        method=job.wanted.method,
        changed=changed,
        seconds=time.perf_counter() - start,
        timings_ms=dict(timings),
        peak_memory_mb=peak_memory(),
        sessions={role: asdict(info) for role, info in editor.info.items()},
    )


def edit_one(
    editor: Editor, photo: Image, wanted: Wanted, output: Path, mask_output: Path | None
) -> tuple[Mapping[str, float], float]:
    """Edits a photograph, uint8 (H, W, 3) RGB, and writes it; milliseconds by stage and the share of changed pixels."""
    result = editor.apply(
        photo,
        wanted.edits,
        method=wanted.method,
        deghost=wanted.deghost,
        face=wanted.face,
        aligned=wanted.aligned,
    )
    if mask_output is not None:
        save_mask(mask_output, result.mask)
    save_image(output, result.image)
    return result.timings, changed_share(photo, result.image)


def changed_share(before: Image, after: Image) -> float:
    """The share of pixels, 0 to 1, that differ between two pictures of one size."""
    return float((before != after).any(axis=2).mean())


def save_mask(path: Path, mask: Image) -> None:
    """Writes uint8 (H, W) as a grey picture; it says that it is synthetic, too."""
    save_image(path, np.asarray(cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB), np.uint8))


def check_output(path: Path, suffixes: tuple[str, ...], *taken: Path) -> None:
    """Raises OutputError, before any work is done, where a picture cannot go; ``taken``: files it may not replace."""
    if path.suffix.lower() not in suffixes or path.is_dir():
        kinds = " or ".join(suffixes)
        raise OutputError(f"{path} is to be a picture; name a file that ends in {kinds}.")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: the folder {path.parent} does not exist; create it first.")
    for other in taken:
        if path.resolve() == other.resolve():
            raise OutputError(f"{path} would replace {other}, which is needed; name another file.")
