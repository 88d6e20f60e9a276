"""How well mien follows a driver: its motion network, its videos, and rendered pairs whose right answer is known.

python -m benchmarks.reenact_quality motion CLIP...
python -m benchmarks.reenact_quality video --source PICTURE... --driver CLIP... --out FOLDER
python -m benchmarks.reenact_quality synthetic SHARD...

YuNet and Face Mesh, the judges, are pulled. A gain (regression slope) stands in brackets beside each correlation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import numpy.typing as npt
import typer

from benchmarks import measure, multipie, pairs
from benchmarks.judge import MIRROR_HELP, Agreement, Judge, Measures, compare, read_clip, show_agreement
from benchmarks.sheets import ContactSheet, SideBySide, close_up
from mien.bundle import Bundle
from mien.image import load_image
from mien.reenact import Reenactor
from mien.reenact.studio import Studio

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

app = typer.Typer(help=__doc__, no_args_is_help=True)

Mirror = Annotated[str | None, typer.Option(help=MIRROR_HELP)]
Cache = Annotated[Path | None, typer.Option(help="folder for the driver's measures, so that it is measured once")]
BundleName = Annotated[str, typer.Option(help="name or path")]
Results = Annotated[Path, typer.Option(help="folder for the JSON file")]


@app.command()
def motion(
    clips: list[Path],
    bundle: BundleName = "studio",
    mirror: Mirror = None,
    cache: Cache = None,
    results: Results = measure.RESULTS,
) -> None:
    """The motion network, through the real tracker, against Face Mesh on real clips."""
    judge, model = Judge.pulled(mirror), Studio(Bundle.open(bundle))
    agreements: dict[str, list[Agreement]] = {}
    rows: dict[str, dict[str, float]] = {}
    for clip in clips:
        seen = judge.measure_clip(clip, cache)
        landmarks, poses, moved = track(model, clip)
        agreements[clip.stem] = compare(seen.quantities(), multipie.quantities(landmarks, poses))
        rows[clip.stem] = landmark_row(landmarks, seen)
        rows[clip.stem] |= {
            "frames tracked": float(np.isfinite(poses[:, 0]).mean()),
            "crops that moved": moved,
            "jitter of yaw (degrees)": jitter(multipie.since_first(poses)[:, 0]),
            "jitter of yaw, Face Mesh": jitter(np.radians(seen.quantities()["yaw"])),
        }
    show_agreement("Motion network against Face Mesh", agreements)
    show_rows("Landmark error over eye distance, and the tracker", rows)
    write("reenact_motion", results, agreements, rows)


def track(model: Studio, clip: Path) -> tuple[Floats, Floats, float]:
    """(T, L, 2) landmarks in pixels and (T, 3) poses, NaN where lost; and in how many frames the crop moved (share)."""
    tracker = model.tracker()
    tracked = [tracker.step(frame) for frame in read_clip(clip)]
    known = [t for t in tracked if t is not None]
    if not known:
        raise typer.BadParameter(f"mien sees no face in {clip}")
    nothing = np.full_like(known[0].landmarks, np.nan)
    landmarks = np.array([nothing if t is None else t.landmarks for t in tracked])
    poses = np.array([np.full(3, np.nan) if t is None else t.outputs["pose"] for t in tracked])
    crops = np.array([t.crop.matrix for t in known])
    return landmarks, poses, float((np.diff(crops, axis=0) != 0).any((1, 2)).mean()) if len(known) > 1 else 0.0


def landmark_row(landmarks: Floats, seen: Measures) -> dict[str, float]:
    """Median distance of each group of common points, and median and mean of all."""
    errors = multipie.landmark_errors(landmarks, seen.landmarks)
    every = np.concatenate(list(errors.values()), axis=1)
    medians = {group: float(np.nanmedian(values)) for group, values in errors.items()}
    return medians | {"all, median": float(np.nanmedian(every)), "all, mean": float(np.nanmean(every))}


def jitter(angles: Floats) -> float:
    """Mean size of the second difference between frames, in degrees: what is left is mostly noise."""
    return float(np.degrees(np.nanmean(np.abs(np.diff(angles, 2))))) if len(angles) > 2 else 0.0


@app.command()
def video(
    source: Annotated[list[Path], typer.Option(help="portraits")],
    driver: Annotated[list[Path], typer.Option(help="clips")],
    out: Annotated[Path, typer.Option(help="folder for contact sheets and side-by-side videos")],
    bundle: BundleName = "studio",
    mirror: Mirror = None,
    cache: Cache = None,
    results: Results = measure.RESULTS,
) -> None:
    """mien's own output, measured again by the judges, against its driver."""
    out.mkdir(parents=True, exist_ok=True)
    judge, reenactor = Judge.pulled(mirror), Reenactor(bundle)
    everything: dict[str, list[Agreement]] = {}
    rows: dict[str, dict[str, float]] = {}
    for portrait in source:
        agreements = {}
        for clip in driver:
            name = f"{portrait.stem}-{clip.stem}"
            driven = Driven(reenactor, judge, portrait, clip, judge.measure_clip(clip, cache), out / name)
            result = judge.measure(driven)
            agreements[clip.stem] = everything[name] = compare(driven.driver.quantities(), result.quantities())
            rows[name] = {"YuNet finds a face": float(result.found.mean()), **driven.facts}
        show_agreement(f"{portrait.stem}, measured by Face Mesh", agreements)
    show_rows("Output videos", rows)
    write("reenact_video", results, everything, rows)


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
        rows, columns = close_up(self.judge.detect(picture), picture)
        rate = clip_rate(self.clip)
        sheet, tracked = ContactSheet(len(self.driver.boxes)), 0
        with SideBySide(Path(f"{self.out}.mp4"), rate) as beside:
            for index, frame in enumerate(read_clip(self.clip)):
                result = self.reenactor.step(frame, float(index / rate))
                tracked += result.status == "tracked"
                if index == 0:
                    self.facts["frame 0 (dB)"] = pairs.decibel(result.image, picture)
                sheet.add(index, frame, result.image[rows, columns])
                beside.add(frame, result.image)
                yield result.image
        sheet.save(Path(f"{self.out}.png"))
        self.facts["driver tracked"] = tracked / len(self.driver.boxes)


def clip_rate(clip: Path) -> Fraction:
    """Frames per second."""
    with av.open(str(clip)) as container:
        return container.streams.video[0].average_rate or Fraction(25)


@app.command()
def synthetic(
    shards: Annotated[list[Path], typer.Argument(help="held-out shards of training.make_data")],
    bundle: BundleName = "studio",
    most: Annotated[int, typer.Option(help="how many pairs")] = 200,
    results: Results = measure.RESULTS,
) -> None:
    """Rendered pairs through the whole chain: how near to the right answer, and how much nearer than a copy."""
    model = Studio(Bundle.open(bundle))
    scores = list(pairs.judge_pairs(model, shards, most))
    if not scores:
        raise typer.BadParameter("none of the shards has a pair in which mien sees both faces")
    rows = pairs.summary(scores)
    show_rows(f"{len(scores)} held-out rendered pairs", rows)
    write("reenact_synthetic", results, {}, rows)


def show_rows(title: str, rows: dict[str, dict[str, float]]) -> None:
    """One line for each figure, one column for each clip."""
    figures = list(dict.fromkeys(name for row in rows.values() for name in row))
    if len(rows) <= 5:
        lines = [[name, *(row.get(name, "") for row in rows.values())] for name in figures]
        measure.show(title, ["", *rows], lines)
    else:
        measure.show(title, ["", *figures], [[name, *(row.get(f, "") for f in figures)] for name, row in rows.items()])


def write(name: str, folder: Path, agreements: dict[str, list[Agreement]], rows: dict[str, dict[str, float]]) -> None:
    """The same as JSON."""
    found = {clip: {row.quantity: asdict(row) for row in parts} for clip, parts in agreements.items()}
    measure.write_json(name, {"agreement": found, "figures": rows}, folder)


if __name__ == "__main__":
    app()
