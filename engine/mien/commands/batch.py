"""Many photographs edited alike: a folder or a list, in steps that can be taken up again, past pictures that fail."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mien.bundle import Bundle
from mien.commands.edit import Wanted, edit_one
from mien.commands.journal import Journal
from mien.commands.pictures import Failure, Found, Picture, as_png, find_pictures
from mien.commands.usage import peak_memory
from mien.editing.editor import Editor
from mien.errors import DiskFull, EditError, InputError, MienError, OutputError, SessionError
from mien.files import output_error
from mien.image import load_image
from mien.stream.pipeline import Progress

JOURNAL = "mien-edit.jsonl"


@dataclass(frozen=True)
class BatchJob:
    """What `mien edit` was asked to do with a folder or a list of pictures."""

    source: Path
    output: Path
    wanted: Wanted
    masks: Path | None = None
    """A folder for the masks."""


@dataclass(frozen=True)
class BatchReport:
    """What came of all pictures."""

    output: str
    done: int
    """Edited in this run."""
    skipped: int
    """Done before, from the same picture with the same bundle, edits and settings."""
    ignored: int
    """Files that are no pictures by their names."""
    failed: list[Failure]
    edits: dict[str, float]
    method: str
    seconds: float
    peak_memory_mb: float
    sessions: dict[str, object]
    """What ran each network; empty where nothing was left to do."""
    synthetic: bool = True


@dataclass
class _Tally:
    done: int = 0
    skipped: int = 0
    failed: list[Failure] = field(default_factory=list)

    @property
    def seen(self) -> int:
        return self.done + self.skipped + len(self.failed)


def edit_all(job: BatchJob, progress: Progress | None = None) -> BatchReport:
    """Does what is not done yet; a picture that fails is reported and never stops the rest.

    Raises InputError for a source without pictures, EditError and BundleError for what no picture could do, OutputError
    for folders that would mix results and originals, DiskFull. These and Ctrl-C leave what was finished, and the same
    job goes on from there.
    """
    start = time.perf_counter()
    bundle = Bundle.open(job.wanted.bundle)
    outputs = [job.output] if job.masks is None else [job.output, job.masks]
    found = find_pictures(job.source, outputs)
    _check_outputs(job, found)
    for folder in outputs:
        _make(folder)
    work = _Work(job, bundle)
    tally = _Tally(failed=list(found.failed))
    total = len(found.pictures) + len(found.failed)
    with _way_on_told(job.output, tally, total):
        for picture in found.pictures:
            work.do(picture, tally)
            if progress is not None:
                progress(tally.seen, total)
    return BatchReport(
        output=str(job.output),
        done=tally.done,
        skipped=tally.skipped,
        ignored=found.ignored,
        failed=tally.failed,
        edits=dict(job.wanted.edits),
        method=job.wanted.method,
        seconds=time.perf_counter() - start,
        peak_memory_mb=peak_memory(),
        sessions={role: asdict(info) for role, info in work.editor.info.items()} if work.editor else {},
    )


class _Work:
    """One job on one picture after the other; the editor is opened for the first that is not done yet."""

    def __init__(self, job: BatchJob, bundle: Bundle) -> None:
        self.editor: Editor | None = None
        self._job = job
        self._bundle = bundle
        self._settings = _settings(job.wanted, bundle)
        self._journal = Journal(job.output / JOURNAL)

    def do(self, picture: Picture, tally: _Tally) -> None:
        """Edits the picture unless it is done, and counts it."""
        try:
            record = self._record(picture)
            if self._is_done(picture, record):
                tally.skipped += 1
                return
            self._edit(picture)
            self._journal.add(picture.name, record)
            tally.done += 1
        except (EditError, DiskFull):
            raise  # no other picture would fare better
        except (InputError, OutputError, SessionError) as error:
            tally.failed.append(Failure(str(picture.source), str(error)))
        except MemoryError:
            tally.failed.append(Failure(str(picture.source), "There is not enough memory for a picture of this size."))

    def _edit(self, picture: Picture) -> None:
        if self.editor is None:
            self.editor = self._job.wanted.open(self._bundle)
        output, mask = self._job.output / picture.name, self._mask(picture)
        for path in (output, mask):
            if path is not None:
                _make(path.parent)
        edit_one(self.editor, load_image(picture.source), self._job.wanted, output, mask)

    def _is_done(self, picture: Picture, record: object) -> bool:
        mask = self._mask(picture)
        there = (self._job.output / picture.name).is_file() and (mask is None or mask.is_file())
        return there and self._journal.has(picture.name, record)

    def _record(self, picture: Picture) -> dict[str, object]:
        """All that the result depends on; the picture by size and time, since hashing a library takes long."""
        mask = self._mask(picture)
        try:
            state = picture.source.stat()
            source = {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
        except (OSError, ValueError):
            source = {}  # reading it will say what is wrong
        beside = os.path.relpath(mask, self._job.output) if mask is not None else None
        return {"source": source, "mask": beside, **self._settings}

    def _mask(self, picture: Picture) -> Path | None:
        return self._job.masks / as_png(picture.name) if self._job.masks is not None else None


def _settings(wanted: Wanted, bundle: Bundle) -> dict[str, object]:
    manifest = bundle.manifest
    return {
        "bundle": {"name": manifest.name, "sha256": hashlib.sha256(manifest.to_json()).hexdigest()},
        "directions": [_digest(path) for path in wanted.directions],
        "edits": dict(wanted.edits),
        "method": wanted.method,
        "deghost": wanted.deghost,
        "face": wanted.face,
        "aligned": wanted.aligned,
    }


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"The directions {path} cannot be read: {error.strerror}.") from error


def _check_outputs(job: BatchJob, found: Found) -> None:
    """Results go to a folder of their own: never over an original, a mask never over a result."""
    root = job.output.resolve()
    for folder in (job.output, job.masks):
        if folder is not None and folder.resolve() == job.source.resolve():
            raise OutputError(f"{folder} holds the originals; name another folder for the results.")
    if job.masks is not None and job.masks.resolve() == root:
        raise OutputError(f"Pictures and masks would both go to {job.output}; name another folder for the masks.")
    originals = {picture.source.resolve() for picture in found.pictures}
    for picture in found.pictures:
        results = [root / picture.name]
        if job.masks is not None:
            results.append(job.masks.resolve() / as_png(picture.name))
        if not originals.isdisjoint(results):
            raise OutputError(f"The result of {picture.source} would replace an original; name another folder.")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"Results of several pictures go to a folder, and {folder} is a file.") from error
    except OSError as error:
        raise output_error(folder, error) from error


@contextmanager
def _way_on_told(output: Path, tally: _Tally, total: int) -> Iterator[None]:
    try:
        yield
    except (MienError, KeyboardInterrupt, SystemExit):
        finished = tally.done + tally.skipped
        if finished:
            print(
                f"mien: stopped; {finished} of {total} pictures are finished, in {output}. "
                "The same command goes on from there.",
                file=sys.stderr,
            )
        raise
