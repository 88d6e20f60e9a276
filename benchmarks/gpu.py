"""How fast is everything on an NVIDIA GPU, and are the goals reached? Not executed yet: there was no GPU.

    python -m benchmarks.gpu [--bundles studio FOLDER ...] [--runs 200] [--output FOLDER]

For each bundle: every network at batch 1 between two CUDA events, on tensors that are on the GPU already; images a
second over batches and over 1, 2 and 4 streams; the networks of a whole frame or edit one after the other on one
stream; the frame and the edit as `Reenactor` and `Editor` give them, from pictures on the host and on the GPU.
Contenders: ONNX Runtime's CUDA provider, TensorRT and TensorRT-RTX through mien's sessions, torch eager and
torch.compile in fp16. Then the kernels (`benchmarks.kernels_gpu`), the memory that a frame takes, and the goals. What
cannot be measured is in the table and in the JSON with its reason. `benchmarks.full_size` makes bundles of the public
sizes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import kernels_gpu
from benchmarks.gpu_goals import COMPILED, EAGER, goals
from benchmarks.gpu_timing import Bench, Measured, Report, Run
from benchmarks.gpu_torch import half_run
from benchmarks.measure import RESULTS, show, write_json
from benchmarks.networks import feeds_for
from mien.bundle import Bundle
from mien.commands.demo import FOLDER
from mien.editing.editor import Editor
from mien.errors import DeviceError, InputError, MienError
from mien.geometry import Similarity
from mien.image import load_image
from mien.kernels import device
from mien.reenact import Reenactor
from mien.sessions.base import Array
from mien.sessions.cuda import Cuda, Stream
from mien.sessions.device_tensor import DeviceTensor
from mien.sessions.ort import OrtSession
from mien.sessions.trt_flavour import FlavourName
from mien.sessions.trt_open import open_trt

BATCHES = (1, 2, 4, 8)
STREAMS = (1, 2, 4)
BACKENDS = ("tensorrt", "rtx", "ort")
CONTENDERS = (*BACKENDS, EAGER, COMPILED)
PORTRAIT = FOLDER / "source.jpg"

Feeds = Mapping[str, Array]


@dataclass(frozen=True)
class Step:
    """A network's turn in a chain."""

    role: str
    batch: int = 1


FRAMES: Mapping[str, tuple[Step, ...]] = {
    "studio": (Step("motion"), Step("generator")),
    "liveportrait": (Step("motion"), Step("generator")),
    "lia": (Step("motion"), Step("generator")),
    "fomm": (Step("keypoints"), Step("generator")),
    "tpsmm": (Step("keypoints"), Step("generator")),
}
"""What each driving frame costs, by family; what a source costs once is not in it."""

EDIT = (Step("encoder"), Step("synthesis_early", 2), Step("synthesis_late", 2), Step("difference"), Step("heat"))
"""Inverted and edited are one batch of two."""


def queue(bench: Bench, bundle: Bundle, step: Step, contender: str, stream: Stream, kept: ExitStack) -> Run:
    """A call that queues one run of a network on a stream, with inputs that are on the GPU already."""
    feeds = batched(bundle, step)
    data, place = bundle.model(step.role), f"cuda:{bench.cuda.ordinal}"
    if contender in (EAGER, COMPILED):
        return half_run(bundle, step.role, feeds, stream.handle, contender == COMPILED)
    given = {name: bench.up(array) for name, array in feeds.items()}
    if contender == "ort":
        session = OrtSession(data, place, stream=stream, graphs=True)
        kept.callback(session.close)
        shown = session.run_device(given)
        stream.synchronize()
        room = {name: bench.up(np.zeros(one.shape, one.dtype)) for name, one in shown.items()}
        return partial(session.run_device, given, room)  # a graph is captured for memory that stays where it is
    flavour: FlavourName = "rtx" if contender == "rtx" else "tensorrt"
    engine = open_trt(data, flavour, place, most_batch=max(BATCHES), stream=stream)
    kept.callback(engine.close)
    return partial(engine.run_device, given)


def batched(bundle: Bundle, step: Step) -> Feeds:
    """Random inputs for that batch."""
    spec = bundle.network(step.role)
    free = {info.name for info in spec.inputs if info.shape[:1] == ("batch",)}
    return {
        name: np.repeat(array, step.batch, 0) if name in free and step.batch > 1 else array
        for name, array in feeds_for(spec).items()
    }


def takes_batches(bundle: Bundle, role: str) -> bool:
    """Whether a network's batch is free."""
    return any(info.shape[:1] == ("batch",) for info in bundle.network(role).inputs)


def networks(bench: Bench, bundle: Bundle, report: Report) -> None:
    """Every network by every contender: latency, batches, streams."""
    for role in bundle.manifest.networks:
        for contender in CONTENDERS:
            for batch in BATCHES if takes_batches(bundle, role) else BATCHES[:1]:
                step, task = Step(role, batch), f"{bundle.manifest.name} {role}"
                if report.attempt(task, contender, partial(alone, bench, bundle, task, step, contender)) is None:
                    break  # what fails once would fail, slowly, for each batch
            else:
                several = partial(side_by_side, bench, bundle, task, (Step(role),), contender)
                for count in STREAMS:
                    report.attempt(task, contender, partial(several, count))


def alone(bench: Bench, bundle: Bundle, task: str, step: Step, contender: str) -> Measured:
    """One network on one stream, one run after the other."""
    return in_turn(bench, bundle, task, (step,), contender, batch=step.batch)


def in_turn(
    bench: Bench,
    bundle: Bundle,
    task: str,
    steps: Sequence[Step],
    contender: str,
    last: Run | None = None,
    batch: int = 1,
) -> Measured:
    """Networks one after the other on the benchmark's stream; ``last`` is queued behind them."""
    with ExitStack() as kept:
        runs = [queue(bench, bundle, step, contender, bench.stream, kept) for step in steps]
        return bench.latency(task, contender, chained([*runs, *([last] if last else [])]), batch=batch)


def side_by_side(
    bench: Bench, bundle: Bundle, task: str, steps: Sequence[Step], contender: str, count: int
) -> Measured:
    """The same chain in several streams at once, each with sessions and memory of its own."""
    with ExitStack() as kept:
        streams = [bench.cuda.stream() for _ in range(count)]
        lanes = [
            (chained([queue(bench, bundle, step, contender, stream, kept) for step in steps]), stream)
            for stream in streams
        ]
        return bench.throughput(f"{task}, throughput", contender, lanes)


def chained(runs: Sequence[Run]) -> Run:
    """All of them, one queued behind the other."""
    if len(runs) == 1:
        return runs[0]

    def run() -> None:
        for one in runs:
            one()

    return run


def frames(bench: Bench, bundle: Bundle, report: Report) -> None:
    """A driving frame: the networks alone, and all of it."""
    family = bundle.manifest.family
    task = f"networks of a frame, {family}"
    for contender in CONTENDERS if family in FRAMES else ():
        report.attempt(task, contender, partial(in_turn, bench, bundle, task, FRAMES[family], contender))
        for count in STREAMS:
            report.attempt(
                task, contender, partial(side_by_side, bench, bundle, task, FRAMES[family], contender, count)
            )
    for backend in BACKENDS:
        for there in (False, True):
            task = f"whole frame {'on the GPU' if there else 'from the host'}, {family}"
            report.attempt(task, backend, partial(whole_frame, bench, bundle, task, backend, there))


def whole_frame(bench: Bench, bundle: Bundle, task: str, backend: str, there: bool) -> Measured:
    """`Reenactor.step`, all included, by the clock on the wall.

    The demonstration's portrait is the source and the driver: the work does not depend on what is in it.
    """
    reenactor = Reenactor(bundle, device=f"cuda:{bench.cuda.ordinal}", backend=backend)
    shown = load_image(PORTRAIT)
    reenactor.set_source(shown)
    driver = bench.up(shown) if there else None

    def step() -> None:
        done = reenactor.step(shown) if driver is None else reenactor.step(driver)
        if done.status != "tracked":
            raise InputError(f"The driver's face should be tracked in every frame; it was {done.status}.")

    height, width = shown.shape[:2]
    return bench.clocked(task, backend, step, note=f"{width} x {height}")


def edits(bench: Bench, bundle: Bundle, report: Report) -> None:
    """An edit: the networks with the blend, and all of `Editor.apply`."""
    size = resolution(bundle)
    task = f"networks of an edit, {size}"
    for contender in CONTENDERS:
        report.attempt(task, contender, partial(networks_of_an_edit, bench, bundle, task, size, contender))
    for backend in BACKENDS:
        task = f"whole edit, {size}"
        report.attempt(task, backend, partial(whole_edit, bench, bundle, task, size, backend))


def resolution(bundle: Bundle) -> int:
    """Pixels of the generator's pictures."""
    size = bundle.network("synthesis_late").outputs[0].shape[-1]
    assert isinstance(size, int)
    return size


def networks_of_an_edit(bench: Bench, bundle: Bundle, task: str, size: int, contender: str) -> Measured:
    """Encode, two syntheses, the mask's networks, and the blend of the edited crop into the photograph."""
    return in_turn(bench, bundle, task, EDIT, contender, blend_of(bench, size))


def blend_of(bench: Bench, size: int) -> Run:
    """A crop, as the generator gives it, into a photograph of its own size, in place."""
    noise = np.random.default_rng(0)
    frame = bench.up(noise.integers(0, 256, (size, size, 3), np.uint8))
    patch = bench.up(noise.random((1, 3, size, size), np.float32))
    mask = bench.up(noise.random((size, size), np.float32))
    place = Similarity.from_crop((size / 2, size / 2), size, size).matrix[None]
    return partial(blend, frame, patch, mask, place, bench.stream.handle)


def blend(frame: DeviceTensor, patch: DeviceTensor, mask: DeviceTensor, place: Array, stream: int) -> None:
    """In place."""
    device.blend_faces(frame, frame, patch, mask, place, stream=stream)


def whole_edit(bench: Bench, bundle: Bundle, task: str, size: int, backend: str) -> Measured:
    """`Editor.apply` with the first attribute on an aligned crop from the host, by the clock on the wall."""
    editor = Editor(bundle, device=f"cuda:{bench.cuda.ordinal}", backend=backend)
    photo = np.random.default_rng(1).integers(0, 256, (size, size, 3), np.uint8)
    asked = {editor.attributes[0]: 1.0}
    return bench.clocked(task, backend, partial(editor.apply, photo, asked, aligned=True, deghost=False))


def measure(bench: Bench, bundles: Sequence[Bundle], report: Report) -> float | None:
    """Everything; gives the copy bandwidth."""
    for bundle in bundles:
        networks(bench, bundle, report)
        parts: Callable[[Bench, Bundle, Report], None] = edits if bundle.manifest.task == "edit" else frames
        parts(bench, bundle, report)
    return kernels_gpu.measure(bench, report)


COLUMNS = ("what", "by", "batch", "streams", "p50 ms", "p99 ms", "p99/p50", "a second", "bytes taken", "copy", "note")


def rows(report: Report) -> Iterator[tuple[object, ...]]:
    """The table's lines."""
    for one in report.measured:
        share = "-" if one.share is None else f"{one.share:.0%}"
        taken = "-" if one.allocated is None else f"{one.allocated:,}"
        ratio = one.p99_ms / one.p50_ms
        yield (
            one.task, one.contender, one.batch, one.streams, one.p50_ms, one.p99_ms, ratio, one.a_second, taken, share,
            one.note,
        )  # fmt: skip
    for missed in report.missed:
        yield missed.task, missed.contender, *["-"] * 8, f"not executed: {missed.why}"


def show_goals(report: Report) -> list[dict[str, object]]:
    """Prints them beside what was found, and gives them for the JSON."""
    found = goals(report)
    table = [(goal.name, goal.wanted, goal.found or "-", goal.verdict) for goal in found]
    show("Goals on an H100", ("goal", "wanted", "found", ""), table)
    return [asdict(goal) for goal in found]


def main() -> None:
    """Runs the benchmark of the command line; exit code 9 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", nargs="+", default=["studio"], metavar="BUNDLE")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    try:
        cuda = Cuda.open()
    except MienError as error:
        print(f"benchmarks.gpu: nothing was executed: {error}", file=sys.stderr)
        show_goals(Report())
        sys.exit(DeviceError.exit_code)
    report = Report()
    bundles = [Bundle.open(name) for name in options.bundles]
    bandwidth = measure(Bench(cuda, cuda.stream(), options.runs), bundles, report)
    show(f"{cuda.name}, driver {cuda.driver}", COLUMNS, rows(report))
    found = {
        "gpu": {"name": cuda.name, "compute_capability": cuda.compute_capability, "driver": cuda.driver},
        "copy_bytes_a_second": bandwidth,
        "measured": [asdict(one) for one in report.measured],
        "not_executed": [asdict(one) for one in report.missed],
        "goals": show_goals(report),
    }
    print(write_json("gpu", found, options.output))


if __name__ == "__main__":
    main()
