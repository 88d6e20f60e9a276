"""Interleaved timing, a table and a JSON file: what every benchmark here shares.

All contenders take one turn in each round, in an order that changes from round to round. A busy machine then slows all
of them alike, and the median of the per-round ratios holds where two separate runs could not be compared.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("mien", "numpy", "onnxruntime", "openvino", "opencv-python", "av", "torch")


@dataclass(frozen=True)
class Timing:
    """How long one contender took; milliseconds per call."""

    name: str
    median_ms: float
    best_ms: float
    p99_ms: float
    speedup: float
    """Median over the rounds of (time of the baseline / own time); the baseline itself has 1."""
    rounds: int


def compare(
    contenders: Mapping[str, Callable[[], object]],
    baseline: str,
    rounds: int = 50,
    warmup: int = 3,
    calls: int = 1,
    rest: float = 0.0,
) -> list[Timing]:
    """Times all contenders in one interleaved run and compares each with the baseline.

    `calls` is how often a contender is called per turn: more than one where a single call is near the clock's noise.
    `rest`: seconds between turns. Threads of NumPy and torch spin on for up to 0.2 s after their work, at the cost of
    whoever comes next.
    """
    names = list(contenders)
    if baseline not in names:
        raise ValueError(f"The baseline {baseline!r} is not among the contenders {names}.")
    for _ in range(warmup):
        for name in names:
            contenders[name]()
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(rest)
            taken[name].append(_milliseconds(contenders[name], calls))
    reference = np.array(taken[baseline])
    return [_summary(name, np.array(taken[name]), reference) for name in names]


def _milliseconds(function: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) * 1e3 / calls


def _summary(name: str, taken: np.ndarray, reference: np.ndarray) -> Timing:
    speedup = float(np.median(reference / taken))
    return Timing(
        name, float(np.median(taken)), float(taken.min()), float(np.percentile(taken, 99)), speedup, len(taken)
    )


def hardware() -> dict[str, object]:
    """CPU model, usable cores, current load, Python and package versions: what a number means nothing without."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": versions,
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def write_json(name: str, results: Mapping[str, object], folder: Path = RESULTS) -> Path:
    """Writes folder/name.json with the results and the hardware they were taken on, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"hardware": hardware(), **results}, indent=2) + "\n")
    return path


def timings_json(timings: Iterable[Timing]) -> dict[str, object]:
    """The timings by name, ready for `write_json`."""
    return {timing.name: asdict(timing) for timing in timings}


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table; floats with three digits or more, everything but the first column right-aligned."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(_shown(cell) for cell in row))
    console = Console()
    if not console.is_terminal:  # a file has no width to be squeezed into
        console = Console(width=160)
    console.print(table)


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell)


def show_timings(title: str, timings: Iterable[Timing]) -> None:
    """Prints timings as a table, one row per contender."""
    columns = ("what", "median ms", "best ms", "p99 ms", "speed-up")
    show(title, columns, ([t.name, t.median_ms, t.best_ms, t.p99_ms, t.speedup] for t in timings))
