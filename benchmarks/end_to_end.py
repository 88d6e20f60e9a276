"""How fast is `mien reenact` as a user runs it: decode, track, motion, generate, blend, encode, in fresh processes?

    python -m benchmarks.end_to_end CLIP SOURCE

Also how long it takes to the first frame, and whether a clip ten times as long takes more memory.
"""

import argparse
import contextlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import show, write_json
from mien.commands.demo import FOLDER
from mien.stream.sinks import VideoSink
from mien.stream.sources import open_source

LOOPS = 10
TARGETS = {
    "fps": (">=", 30.0),
    "step p99 (ms)": ("<=", 33.0),
    "start to first frame (s)": ("<=", 1.5),
    "import mien (s)": ("<=", 0.3),
    "peak memory (MB)": ("<=", 700.0),
    "peak memory, 10x clip (MB)": ("<=", 700.0),
}


def looped(clip: Path, path: Path, times: int) -> Path:
    """The clip `times` over, as one video of constant rate."""
    with open_source(clip) as first, VideoSink(path, first.size, first.rate) as sink:
        for turn in range(times):
            with contextlib.nullcontext(first) if turn == 0 else open_source(clip) as source:
                for frame in source:
                    sink.write(frame.image)
    return path


def reenact(source: Path, clip: Path, folder: Path, options: list[str]) -> dict[str, Any]:
    """The JSON of one `mien reenact` in a process of its own."""
    output = folder / "out.mp4"
    command = [sys.executable, "-m", "mien.cli", "reenact", str(source), str(clip), "-o", str(output), "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(done.args)} failed:\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def seconds_to(statement: str) -> float:
    """Wall-clock time of a fresh interpreter that runs a statement, less that of one that does nothing."""
    taken = []
    for code in (statement, "pass"):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        taken.append(time.perf_counter() - start)
    return taken[0] - taken[1]


def median(reports: list[dict[str, Any]], *path: str) -> float:
    """The median of one number over several reports."""
    values = []
    for report in reports:
        value: Any = report
        for key in path:
            value = value[key]
        values.append(float(value))
    return statistics.median(values)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?", default=FOLDER / "driving.mp4", help="driving video")
    parser.add_argument("source", type=Path, nargs="?", default=FOLDER / "source.jpg", help="portrait")
    parser.add_argument("--runs", type=int, default=5, help="fresh processes for the short clip")
    parser.add_argument("--bundle", default="studio")
    parser.add_argument("--backend", default="ort", choices=("ort", "openvino"))
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    options = ["--bundle", asked.bundle, "--backend", asked.backend]
    options += ["--threads", str(asked.threads)] if asked.threads else []
    with tempfile.TemporaryDirectory(prefix="mien-end-to-end-") as place:
        folder = Path(place)
        reports = [reenact(asked.source, asked.clip, folder, options) for _ in range(asked.runs)]
        imports = statistics.median(seconds_to("import mien") for _ in range(asked.runs))
        long = reenact(asked.source, looped(asked.clip, folder / "long.mp4", LOOPS), folder, options)
    measured = {
        "fps": median(reports, "fps"),
        "step p50 (ms)": median(reports, "step_ms", "p50"),
        "step p99 (ms)": median(reports, "step_ms", "p99"),
        "start to first frame (s)": median(reports, "startup_seconds"),
        "import mien (s)": imports,
        "peak memory (MB)": median(reports, "peak_memory_mb"),
        "peak memory, 10x clip (MB)": float(long["peak_memory_mb"]),
        "fps, 10x clip": float(long["fps"]),
    }
    frames = reports[0]["frames"]
    stages = {name: median(reports, "stage_seconds", name) / frames * 1e3 for name in reports[0]["stage_seconds"]}
    show(
        f"{asked.clip.name}, {frames} frames, output {'x'.join(map(str, reports[0]['size']))}, {asked.backend}",
        ("what", "measured", "asked"),
        itertools.chain(
            ((what, value, " ".join(map(str, TARGETS.get(what, ())))) for what, value in measured.items()),
            ((f"{stage} (ms a frame)", value, "") for stage, value in stages.items()),
        ),
    )
    results = {"measured": measured, "stages_ms": stages, "clip": asked.clip.name, "reports": reports, "long": long}
    print(write_json(f"end_to_end_{asked.backend}", results))


if __name__ == "__main__":
    main()
