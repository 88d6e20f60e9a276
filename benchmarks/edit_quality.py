"""What is lost and what is kept when faces are edited: inversion alone, and every step from Diff-CAM to Diff-CAM++.

python -m benchmarks.edit_quality FOLDER --bundle B [--bundle B2 ...] --set smile=1 --out OUT
    [--lpips-weights alexnet-owt-7be5be79.pth] [--inception-weights weights-inception-2015-12-05-6726825d.pth]

FOLDER holds aligned faces. The inversion of every bundle, and the edits of the first one by every method, are held
against the original crop at the generator's size: the mean absolute difference (MAE) of all pixels in [0, 1], and of
those that the mask leaves; the share of those that changed, which must be 0; the share of the crop that the mask
touches; LPIPS (AlexNet, at most 256 pixels); FID to the originals; identity; milliseconds (median; an inversion from
the crop to its picture, an edit from the inverted face to the result). A mask's result is deghosted where the bundle
can, the whole crop ("none") is not. Every row is of the same pictures: one that fails anywhere counts nowhere.

For comparison, the source paper (Song et al., ECCV 2022) quotes LPIPS 0.304, MAE 0.0457 and FID 19.3 to 27.7, of 1,000
pictures of CelebA-HQ. A FID depends on how many pictures there are: compare only with one of as many.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer

import mien
from benchmarks import measure
from benchmarks.edit_report import ORIGINAL, Report, missing, sheet, show, summary
from benchmarks.edit_scores import Comparison, Judges, Memory, Score, Shown, file_hash
from mien.bundle import Bundle
from mien.commands.options import SetOption, strengths
from mien.commands.pictures import Failure, find_pictures
from mien.commands.show import working
from mien.editing.editor import Editor
from mien.editing.methods import METHODS
from mien.editing.plan import by_name, find_moves, make_plan
from mien.editing.result import Subject
from mien.editing.settings import read_settings
from mien.errors import EditError, InputError, MienError, SessionError
from mien.geometry import Similarity
from mien.image import Image, load_image, save_image

DRAWN = 8
"""So many pictures, the first ones, are on the contact sheet."""

app = typer.Typer(help=__doc__)


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="folder of aligned faces, or a list of them (.txt)")],
    bundle: Annotated[list[str], typer.Option(help="edit bundle; the first one edits, all invert")],
    out: Annotated[Path, typer.Option(help="folder for JSON, contact sheet and the figures of each picture")],
    edits: SetOption = None,
    most: Annotated[int, typer.Option(min=1, help="how many pictures")] = 1000,
    lpips_weights: Annotated[Path | None, typer.Option(help="torchvision's AlexNet")] = None,
    inception_weights: Annotated[Path | None, typer.Option(help="torch-fidelity's Inception v3")] = None,
    identity_from: Annotated[str | None, typer.Option(help="bundle with the role identity, if none above")] = None,
    threads: int | None = None,
) -> None:
    """Measure, print the table, write OUT/edit_quality.json and OUT/edit_quality.png."""
    try:
        identity = Bundle.open(identity_from) if identity_from else None
        bundles = tuple(Bundle.open(name) for name in bundle)
        job = Job(folder, bundles, strengths(edits), out, most, lpips_weights, inception_weights, identity, threads)
        report = run(job)
    except MienError as error:
        raise typer.BadParameter(str(error)) from error
    show(report)
    measure.write_json("edit_quality", report.json(), out)
    if report.broken:
        raise typer.Exit(1)


@dataclass(frozen=True)
class Job:
    """What is to be measured, as on the command line."""

    folder: Path
    bundles: tuple[Bundle, ...]
    edits: Mapping[str, float]
    out: Path
    most: int = 1000
    lpips: Path | None = None
    inception: Path | None = None
    identity: Bundle | None = None
    threads: int | None = None


def run(job: Job) -> Report:
    """All figures; a picture that fails is reported and never stops the rest. What was measured before is not again.

    Raises InputError, EditError, BundleError for what no picture could do, OutputError, and typer.BadParameter.
    """
    found = find_pictures(job.folder, [job.out])
    methods, notes = runnable(job.bundles[0], job.edits)
    judge = job.identity or next((one for one in job.bundles if "identity" in one.manifest.networks), None)
    known = (judge.session("identity", threads=job.threads), manifest_hash(judge)) if judge else None
    judges = Judges.opened(job.lpips, job.inception, known)
    memory = Memory(job.out / "edit_quality")
    chains = [
        Chain(name, bundle, () if index else methods, job.edits, judges, memory, job.threads)
        for index, (name, bundle) in enumerate(inversions(job.bundles).items())
    ]
    scores, failed = measure_all([picture.source for picture in found.pictures[: job.most]], chains)
    failed = [*found.failed, *failed]
    if not scores:
        raise InputError(f"None of the pictures of {job.folder} could be measured. The first: {failed[0].error}")
    save_image(job.out / "edit_quality.png", sheet(scores[:DRAWN]))
    rows = {
        name: summary([picture[place][name] for picture in scores], [picture[place][ORIGINAL] for picture in scores])
        for place, chain in enumerate(chains)
        for name in chain.rows[1:]
    }
    hashes = {chain.rows[1]: manifest_hash(chain.bundle) for chain in chains}
    return Report(
        len(scores), failed, job.edits, hashes, rows, notes + missing(job.lpips, job.inception, judge)
    )  # fmt: skip


def measure_all(
    pictures: Sequence[Path], chains: Sequence[Chain]
) -> tuple[list[list[dict[str, Score]]], list[Failure]]:
    """For each picture the scores of each chain, by row; and the pictures that failed."""
    scores: list[list[dict[str, Score]]] = []
    failed: list[Failure] = []
    with working("pictures", shown=True) as progress:
        for picture in pictures:
            try:
                scores.append([chain.scores(picture, drawn=len(scores) < DRAWN) for chain in chains])
            except (InputError, SessionError) as error:
                failed.append(Failure(str(picture), str(error).replace(str(picture), picture.name)))
            if progress is not None:
                progress(len(scores) + len(failed), len(pictures))
    return scores, failed


class Chain:
    """The rows of the table that one bundle makes; its editor is opened when the first one is to be measured."""

    def __init__(
        self, inversion: str, bundle: Bundle, methods: Sequence[str], edits: Mapping[str, float], judges: Judges,
        memory: Memory, threads: int | None,
    ) -> None:  # fmt: skip
        self.bundle = bundle
        self.rows = (ORIGINAL, inversion, *methods)
        self._methods, self._edits, self._judges, self._memory = methods, edits, judges, memory
        self._threads = threads
        self._hash = manifest_hash(bundle)

    @cached_property
    def editor(self) -> Editor:
        """The bundle's."""
        return Editor(self.bundle, threads=self._threads)

    def scores(self, picture: Path, drawn: bool) -> dict[str, Score]:
        """By row, measured now or remembered. Raises ImageError, SessionError, EditError, OutputError."""
        digest = file_hash(picture)
        keys = {name: self._key(digest, name, drawn) for name in self.rows}
        known = {name: self._memory.get(key) for name, key in keys.items()}
        scores = {name: score for name, score in known.items() if score is not None}
        if len(scores) < len(self.rows):
            face = Face(self.editor, load_image(picture))
            comparison = Comparison(self._judges, face.original)
            for name in self.rows:
                if name not in scores:
                    scores[name] = comparison.score(self._shown(face, name), drawn)
                    self._memory.put(keys[name], scores[name])
        return {name: scores[name] for name in self.rows}

    def _shown(self, face: Face, name: str) -> Shown:
        if name == ORIGINAL:
            return Shown(face.original)
        if name in self._methods:
            return face.edited(self._edits, name, deghosts(self.bundle, name))
        return face.inverted()

    def _key(self, digest: str, name: str, drawn: bool) -> dict[str, object]:
        edited = name in self._methods
        return {
            "picture": digest, "bundle": self._hash, "row": name if edited or name == ORIGINAL else "inversion",
            "edits": dict(self._edits) if edited else {}, "judges": dict(self._judges.hashes), "drawn": drawn,
            "mien": mien.__version__,
        }  # fmt: skip


class Face:
    """One picture in one editor: what is compared, each with the time that it took."""

    def __init__(self, editor: Editor, photo: Image) -> None:
        self._editor = editor
        side = editor.resolution
        read = editor.prepare(photo, aligned=True)
        here = Similarity.from_crop((side / 2, side / 2), side, side)
        # At the generator's size, so that nothing but the edit is measured; parsed anew by each method that needs it.
        self._subject: Subject = replace(read, photo=read.aligned, place=here, labels=None)
        self.original = read.aligned

    def inverted(self) -> Shown:
        """What the generator makes of the face."""
        return timed(lambda: Shown(self._editor.render(self._editor.invert(self.original))))

    def edited(self, edits: Mapping[str, float], method: str, deghost: bool) -> Shown:
        """The edit by a method, and where it may have changed something."""

        def alter() -> Shown:
            result = self._editor.alter(self._subject, edits, method=method, deghost=deghost)
            return Shown(result.image, result.mask)

        return timed(alter)


def timed(make: Callable[[], Shown]) -> Shown:
    """With the milliseconds that it took."""
    start = time.perf_counter()
    shown = make()
    return replace(shown, milliseconds=(time.perf_counter() - start) * 1e3)


def runnable(bundle: Bundle, edits: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """The methods that a bundle has the networks for, and a line about each of the others; none without edits.

    Raises EditError for an attribute that it does not have, and for strengths that are no numbers.
    """
    settings = read_settings(bundle)
    directions = by_name(settings.directions, settings.layers)
    if not find_moves(directions, edits):
        return [], ["Inversions alone: name an edit, for example --set smile=1, for the methods."]
    able, notes = [], []
    for name in METHODS:
        try:
            make_plan(directions, bundle.manifest.networks, edits, name, deghosts(bundle, name))
            able.append(name)
        except EditError as error:
            notes.append(f"{name}: {error}")
    return able, notes


def deghosts(bundle: Bundle, method: str) -> bool:
    """Every mask leaves seams; the whole crop has none."""
    return "deghost" in bundle.manifest.networks and bool(METHODS[method].roles)


def inversions(bundles: Sequence[Bundle]) -> dict[str, Bundle]:
    """By the name of the row: the encoder's, numbered where there are several of a kind."""
    named, seen = {}, Counter[str]()
    for bundle in bundles:
        encoder = str(bundle.manifest.extra.get("encoder", bundle.manifest.name))
        seen[encoder] += 1
        named[f"inversion, {encoder}" + (f" ({seen[encoder]})" if seen[encoder] > 1 else "")] = bundle
    return named


def manifest_hash(bundle: Bundle) -> str:
    """SHA-256 of the manifest, which holds those of all files."""
    return hashlib.sha256(bundle.manifest.to_json()).hexdigest()


if __name__ == "__main__":
    app()
