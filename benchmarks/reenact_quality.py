"""How well mien follows a driver: its motion network, its films, and rendered pairs whose right answer is known.

python -m benchmarks.reenact_quality motion CLIP...                  the motion network against Face Mesh
python -m benchmarks.reenact_quality gaze SHARD... --clip CLIP       the turn of the eyes: rendered truth, real irises
python -m benchmarks.reenact_quality steadiness CLIP...              trembling while the driver holds still
python -m benchmarks.reenact_quality video --source PICTURE... --driver CLIP... --out FOLDER
python -m benchmarks.reenact_quality synthetic SHARD...              rendered pairs through the whole chain
python -m benchmarks.reenact_quality identity SHARD...               whether the person stays the same
python -m benchmarks.reenact_quality precision SHARD... --lower BUNDLE --source PICTURE --driver CLIP
python -m benchmarks.reenact_quality table                           asked and reached, from what the others wrote
python -m benchmarks.reenact_quality all SHARD... --source PICTURE... --driver CLIP... --out FOLDER

YuNet and Face Mesh, the judges, are pulled. A gain (regression slope) stands in brackets beside each correlation.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks import gaze as gazes
from benchmarks import goals, likeness, measure, multipie, pairs
from benchmarks import precision as precisions
from benchmarks.films import clip_rate, film
from benchmarks.judge import MIRROR_HELP, Agreement, Judge, compare, show_agreement
from benchmarks.steadiness import steadiness as still_seconds
from benchmarks.tracked import jitter, landmark_row, track
from mien.bundle import Bundle
from mien.reenact import Reenactor
from mien.reenact.studio import Studio

app = typer.Typer(help=__doc__, no_args_is_help=True)

Mirror = Annotated[str | None, typer.Option(help=MIRROR_HELP)]
Cache = Annotated[Path | None, typer.Option(help="folder for the driver's measures, so that it is measured once")]
BundleName = Annotated[str, typer.Option(help="name or path")]
Lower = Annotated[str | None, typer.Option(help="the same bundle in int8")]
Results = Annotated[Path, typer.Option(help="folder for the JSON file")]
Shards = Annotated[list[Path], typer.Argument(help="held-out shards of training.make_data")]
Most = Annotated[int, typer.Option(help="how many pairs")]
Portraits = Annotated[list[Path], typer.Option(help="portraits")]
Drivers = Annotated[list[Path], typer.Option(help="clips")]
Films = Annotated[Path, typer.Option(help="folder for contact sheets and side-by-side videos")]
Keep = Annotated[bool, typer.Option("--keep", help="films that lie in the folder already are not made anew")]
Turned = Annotated[list[str], typer.Option(help="names of portraits in three-quarter view, without their ending")]
TURNED = ["s10"]


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
        seen, tracked = judge.measure_clip(clip, cache), track(model, clip)
        agreements[clip.stem] = compare(seen.quantities(), multipie.quantities(tracked.landmarks, tracked.poses))
        rows[clip.stem] = landmark_row(tracked.landmarks, seen)
        rows[clip.stem] |= {
            "frames tracked": float(np.isfinite(tracked.poses[:, 0]).mean()),
            "crops that moved": tracked.moved,
            "jitter of yaw (degrees)": jitter(multipie.since_first(tracked.poses)[:, 0]),
            "jitter of yaw, Face Mesh": jitter(np.radians(seen.quantities()["yaw"])),
        }
    show_agreement("Motion network against Face Mesh", agreements)
    show_rows("Landmark error over eye distance, and the tracker", rows)
    write("reenact_motion", results, agreements, rows)


@app.command()
def gaze(
    shards: Shards,
    clip: Annotated[list[Path], typer.Option(help="clips in which the driver looks about")],
    bundle: BundleName = "studio",
    most: Most = 200,
    mirror: Mirror = None,
    cache: Cache = None,
    results: Results = measure.RESULTS,
) -> None:
    """The turn of the eyes: the angle to rendered truth, and the side of clear glances against real irises."""
    opened = Bundle.open(bundle)
    judge, model, columns = Judge.pulled(mirror), Studio(opened), gazes.gaze_columns(opened)
    answers = list(gazes.rendered(model, columns, shards, most))
    if not answers:
        raise typer.BadParameter("mien sees no face in any of the shards")
    said, truth = (np.stack(column) for column in zip(*answers, strict=True))
    rows = {"rendered": gazes.angle_figures(said, truth)}
    for path in clip:
        eyes = gazes.judge_yaws(path, judge.measure_clip(path, cache))
        found = gazes.compare_glances(eyes, np.degrees(track(model, path).expressions[:, columns[0]]))
        rows[path.stem] = {
            "frames with open eyes": found.frames,
            "clear glances": found.clear,
            "right side": found.right,
            "correlation of yaw": found.correlation,
            "gain of yaw": found.gain,
        }
    show_rows("Gaze", rows)
    write("reenact_gaze", results, {}, rows)


@app.command()
def steadiness(
    clips: list[Path],
    bundle: BundleName = "studio",
    mirror: Mirror = None,
    cache: Cache = None,
    results: Results = measure.RESULTS,
) -> None:
    """Second difference of landmarks over the eye distance in each clip's stillest seconds, beside Face Mesh's."""
    judge, model = Judge.pulled(mirror), Studio(Bundle.open(bundle))
    rows: dict[str, dict[str, float]] = {}
    for clip in clips:
        seen = judge.measure_clip(clip, cache)
        still = still_seconds(track(model, clip).landmarks, seen.landmarks, float(clip_rate(clip)))
        if still is None:
            raise typer.BadParameter(f"{clip} has no second in which both mien and Face Mesh see a face")
        rows[clip.stem] = {
            "seconds": len(still.starts),
            "movement in them": still.moved,
            "ours": still.ours,
            "Face Mesh": still.theirs,
            "ours / theirs": still.ours / still.theirs,
        }
    show_rows("Trembling on a still driver, over the eye distance", rows)
    write("reenact_steadiness", results, {}, rows)


@app.command()
def video(
    source: Portraits,
    driver: Drivers,
    out: Films,
    bundle: BundleName = "studio",
    mirror: Mirror = None,
    cache: Cache = None,
    keep: Keep = False,
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
            seen = judge.measure_clip(clip, cache)
            agreements[clip.stem], rows[name] = film(reenactor, judge, portrait, clip, seen, out / name, keep)
            everything[name] = agreements[clip.stem]
        show_agreement(f"{portrait.stem}, measured by Face Mesh", agreements)
    show_rows("Output videos", rows)
    write("reenact_video", results, everything, rows)


@app.command()
def synthetic(
    shards: Shards, bundle: BundleName = "studio", most: Most = 200, results: Results = measure.RESULTS
) -> None:
    """Rendered pairs through the whole chain: how near to the right answer, and how much nearer than a copy."""
    model = Studio(Bundle.open(bundle))
    scores = list(pairs.judge_pairs(model, shards, most))
    if not scores:
        raise typer.BadParameter("none of the shards has a pair in which mien sees both faces")
    rows = pairs.summary(scores)
    show_rows(f"{len(scores)} held-out rendered pairs", rows)
    write("reenact_synthetic", results, {}, rows)


@app.command()
def identity(
    shards: Shards, bundle: BundleName = "studio", most: Most = 200, results: Results = measure.RESULTS
) -> None:
    """Similarity of source and output by mien's identity code, against that of source and true render."""
    found = likeness.likeness(Studio(Bundle.open(bundle)), shards, most)
    if not found:
        raise typer.BadParameter("none of the shards has a pair in which mien sees both faces")
    rows = {"pairs": found}
    show_rows("Identity", rows)
    write("reenact_identity", results, {}, rows)


@app.command()
def precision(
    shards: Shards,
    source: Annotated[Path, typer.Option(help="portrait whose steps are timed")],
    driver: Annotated[Path, typer.Option(help="clip whose steps are timed")],
    bundle: BundleName = "studio",
    lower: Lower = None,
    lower_backend: Annotated[str, typer.Option(help="runtime of the int8 bundle")] = "openvino",
    most: Most = 200,
    threads: Annotated[int, typer.Option(help="of each network")] = 2,
    results: Results = measure.RESULTS,
) -> None:
    """What int8 loses on rendered pairs, and how long a whole step takes: float32 in ONNX Runtime, int8 in OpenVINO."""
    bundles = {"fp32": (bundle, "ort")} | ({"lower": (lower, lower_backend)} if lower else {})
    rows = precisions.steps(bundles, source, driver, threads)
    if lower:
        whole, less = (precisions.quality(*bundles[name], shards, most) for name in ("fp32", "lower"))
        rows["lower"] |= {f"{part}, lost (dB)": lost for part, lost in precisions.losses(whole, less).items()}
    show_rows("A whole step, and what the lower precision loses", rows)
    write("reenact_precision", results, {}, rows)


@app.command()
def table(turned: Turned = TURNED, results: Results = measure.RESULTS) -> None:
    """What was asked beside what was reached, from the JSON files of the other commands; as JSON and Markdown."""
    rows = goals.table(goals.read_parts(results), turned)
    lines = [[row.quantity, row.asked, row.reached, goals.MARK[row.met].strip("*")] for row in rows]
    measure.show("Asked and reached", ["", "asked", "reached", "met"], lines)
    measure.write_json("reenact_table", {"rows": [asdict(row) for row in rows]}, results)
    (results / "reenact_table.md").write_text(goals.markdown(rows))


@app.command("all")
def everything(
    shards: Shards,
    source: Portraits,
    driver: Drivers,
    out: Films,
    glancing: Annotated[str, typer.Option(help="the driver who looks about, by name")] = "d14",
    turned: Turned = TURNED,
    bundle: BundleName = "studio",
    lower: Lower = None,
    most: Most = 200,
    mirror: Mirror = None,
    cache: Cache = None,
    keep: Keep = False,
    results: Results = measure.RESULTS,
) -> None:
    """Every part one after the other, then the table."""
    lookers = [clip for clip in driver if clip.stem == glancing]
    if not lookers:
        raise typer.BadParameter(f"none of the drivers is {glancing!r}", param_hint="--glancing")
    motion(driver, bundle, mirror, cache, results)
    gaze(shards, lookers, bundle, most, mirror, cache, results)
    steadiness(driver, bundle, mirror, cache, results)
    synthetic(shards, bundle, most, results)
    identity(shards, bundle, most, results)
    precision(shards, source[0], driver[0], bundle, lower, most=most, results=results)
    video(source, driver, out, bundle, mirror, cache, keep, results)
    table(turned, results)


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
