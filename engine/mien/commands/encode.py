"""A folder of faces turned into codes: every photo inverted, in steps that can be taken up again."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.archive import read_arrays
from mien.bundle import Bundle
from mien.commands.pictures import Failure, find_pictures
from mien.editing.codes import Codes, write_codes
from mien.editing.editor import Editor
from mien.errors import DiskFull, EditError, InputError, MienError, OutputError, SessionError
from mien.faces.alignment import aligned_crop, ffhq
from mien.faces.portrait import choose
from mien.files import output_error, write_atomic
from mien.image import load_image
from mien.stream.pipeline import Progress

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class EncodeJob:
    """What `mien directions encode` was asked to do."""

    source: Path
    """A folder, or a list of pictures."""
    bundle: str
    output: Path
    aligned: bool = False
    device: str = "cpu"
    backend: str = "ort"
    threads: int | None = None


@dataclass(frozen=True)
class EncodeReport:
    """What came of all photos."""

    output: str
    done: int
    """Encoded in this run."""
    skipped: int
    """Encoded in an earlier run that did not come to its end."""
    failed: list[Failure]
    seconds: float


def encode(job: EncodeJob, progress: Progress | None = None) -> EncodeReport:
    """Encodes the largest face of every photo; one that fails is reported and never stops the rest.

    Until all are done, the code of each lies in a hidden folder beside the output, and the same job goes on from there.
    Raises InputError where no photo could be encoded, OutputError, DiskFull, BundleError.
    """
    start = time.perf_counter()
    if job.output.suffix.lower() != ".npz" or not job.output.parent.is_dir():
        raise OutputError(f"Codes were to go to {job.output}; name an .npz file in a folder that exists.")
    found = find_pictures(job.source, [])
    work = _Work(job, Bundle.open(job.bundle))
    failed = list(found.failed)
    codes: dict[str, Floats] = {}
    with _way_on_told(job.output, codes):
        for picture in found.pictures:
            name = _name(picture.source, job.source)
            try:
                codes[name] = work.code(picture.source, name)
            except (EditError, DiskFull, OutputError):
                raise  # no other photo would fare better
            except (InputError, SessionError) as error:
                failed.append(Failure(str(picture.source), str(error)))
            if progress is not None:
                progress(len(codes) + len(failed), len(found.pictures) + len(found.failed))
    if not codes:
        raise InputError(f"None of the {len(failed)} photos of {job.source} could be encoded: {failed[0].error}")
    write_codes(job.output, Codes(np.stack(list(codes.values())), tuple(codes)))
    if not failed:
        shutil.rmtree(work.parts, ignore_errors=True)
    return EncodeReport(str(job.output), work.done, len(codes) - work.done, failed, time.perf_counter() - start)


class _Work:
    """One photo after the other; the editor is opened for the first that is not done yet."""

    def __init__(self, job: EncodeJob, bundle: Bundle) -> None:
        self.parts = job.output.with_name(f".{job.output.name}.parts")
        self.done = 0
        self._job, self._bundle = job, bundle
        self._maker = hashlib.sha256(bundle.manifest.to_json()).hexdigest()
        self._editor: Editor | None = None
        try:
            self.parts.mkdir(exist_ok=True)
        except OSError as error:
            raise output_error(self.parts, error) from error

    def code(self, photo: Path, name: str) -> Floats:
        """(L, 512), made or taken from an earlier run."""
        part = self.parts / f"{self._key(photo, name)}.npy"
        if part.is_file():
            return np.asarray(read_arrays(part)[""], np.float32)
        if self._editor is None:
            job = self._job
            self._editor = Editor(self._bundle, device=job.device, backend=job.backend, threads=job.threads)
        code = _invert(self._editor, photo, self._job.aligned)
        write_atomic(part, _npy(code))
        self.done += 1
        return code

    def _key(self, photo: Path, name: str) -> str:
        """Of all that the code depends on; the photo by size and time, since hashing a library takes long."""
        try:
            state = photo.stat()
        except (OSError, ValueError) as error:
            raise InputError(f"Cannot read {photo}: {error}.") from error
        facts = [name, state.st_size, state.st_mtime_ns, self._job.aligned, self._maker]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _invert(editor: Editor, photo: Path, aligned: bool) -> Floats:
    image = load_image(photo)
    if not aligned:
        portrait = choose(editor.finder(image), "largest", image)
        image = aligned_crop(image, ffhq(portrait.landmarks, editor.resolution), editor.resolution)
    return editor.invert(image).codes


def _npy(array: Floats) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _name(photo: Path, source: Path) -> str:
    """The photo's name in a table: its path within the folder, or its file name where a list names it."""
    return photo.relative_to(source).as_posix() if source.is_dir() else photo.name


@contextmanager
def _way_on_told(output: Path, codes: dict[str, Floats]) -> Iterator[None]:
    try:
        yield
    except (MienError, KeyboardInterrupt, SystemExit):
        print(
            f"mien: stopped; {len(codes)} photos are encoded, beside {output}. The same command goes on from there.",
            file=sys.stderr,
        )
        raise
