"""How fast is everything on an NVIDIA GPU? Not executed yet: there was no GPU when this was written.

    python -m benchmarks.gpu [--bundle studio] [--runs 200] [--output FOLDER]

Networks at batch 1 on tensors that are on the GPU already, each run between two CUDA events: ONNX Runtime's CUDA
provider and both TensorRTs through mien's sessions, torch eager and torch.compile in fp16; then images a second over
the batch, the whole frame through `Reenactor.step`, and the kernels against the copy bandwidth of the same process.
What cannot be measured here is in the table and in the JSON with its reason.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import RESULTS, show, write_json
from benchmarks.networks import feeds_for
from mien.bundle import Bundle
from mien.commands.demo import FOLDER
from mien.errors import DeviceError, MienError
from mien.geometry import Similarity
from mien.image import load_image
from mien.kernels import device
from mien.reenact import Reenactor
from mien.sessions.base import Array
from mien.sessions.cuda import Buffer, Cuda, Stream
from mien.sessions.device_tensor import DeviceTensor
from mien.sessions.ort import OrtSession
from mien.sessions.trt_flavour import FlavourName
from mien.sessions.trt_open import open_trt

WARMUP = 20
BATCHES = (1, 2, 4, 8)
COPIED = 256 << 20
PORTRAIT = FOLDER / "source.jpg"

Run = Callable[[], object]


@dataclass(frozen=True)
class Latency:
    """Milliseconds on the GPU of one run each."""

    what: str
    p50_ms: float
    p99_ms: float
    images_a_second: float
    note: str = ""


@dataclass
class Report:
    """What was measured and what was not, with the reason."""

    latencies: list[Latency] = field(default_factory=list)
    missed: dict[str, str] = field(default_factory=dict)

    def attempt(self, what: str, measure: Callable[[], Latency]) -> None:
        """Measures, or writes down why not. A failure of one contender must not cost the others' figures."""
        try:
            self.latencies.append(measure())
        except (MienError, ImportError, RuntimeError, ValueError) as error:
            self.missed[what] = f"{type(error).__name__}: {error}".splitlines()[0]


@dataclass(frozen=True)
class Bench:
    """The GPU, the one stream that everything runs on, and how often."""

    cuda: Cuda
    stream: Stream
    runs: int

    def up(self, array: Array) -> DeviceTensor:
        """The array on the GPU, for as long as the result is kept."""
        buffer = Buffer(self.cuda)
        pointer = buffer.upload(array, self.stream)
        self.stream.synchronize()
        return DeviceTensor(pointer, array.dtype.name, array.shape, buffer)

    def timed(self, what: str, run: Run, images: int = 1, stream: Stream | None = None, note: str = "") -> Latency:
        """Runs one after the other, each between two events of its own."""
        place = stream or self.stream
        for _ in range(WARMUP):
            run()
        place.synchronize()
        events = [(self.cuda.event(), self.cuda.event()) for _ in range(self.runs)]
        for start, end in events:
            start.record(place)
            run()
            end.record(place)
        place.synchronize()
        taken = np.array([end.milliseconds_since(start) for start, end in events])
        p50, p99 = np.percentile(taken, (50, 99)).tolist()
        return Latency(what, p50, p99, 1000 * images / float(taken.mean()), note)


def networks(bench: Bench, bundle: Bundle, report: Report) -> None:
    """Every network by every contender."""
    for role in bundle.manifest.networks:
        feeds = feeds_for(bundle.network(role))
        data = bundle.model(role)
        report.attempt(f"{role}, ORT CUDA", partial(onnx_runtime, bench, role, data, feeds))
        flavours: tuple[FlavourName, ...] = ("tensorrt", "rtx")
        for flavour in flavours:
            for batch in BATCHES if dynamic(bundle, role) else BATCHES[:1]:
                name = f"{role}, {flavour}, batch {batch}"
                fed = {key: np.repeat(array, batch, 0) for key, array in feeds.items()} if batch > 1 else feeds
                report.attempt(name, partial(tensorrt, bench, name, data, fed, flavour, batch))
        for compiled in (False, True):
            name = f"{role}, torch {'compile' if compiled else 'eager'} fp16"
            report.attempt(name, partial(torch_half, name, bundle, role, feeds, bench.runs, compiled))


def dynamic(bundle: Bundle, role: str) -> bool:
    """Whether all inputs of a network have a free batch."""
    return all(info.shape and isinstance(info.shape[0], str) for info in bundle.network(role).inputs)


def onnx_runtime(bench: Bench, role: str, model: bytes, feeds: Mapping[str, Array]) -> Latency:
    """With IO binding and a CUDA graph, on our stream."""
    session = OrtSession(model, f"cuda:{bench.cuda.ordinal}", stream=bench.stream.handle, graphs=True)
    given = {name: bench.up(array) for name, array in feeds.items()}
    room = {name: bench.up(array) for name, array in session.run(feeds).items()}
    return bench.timed(f"{role}, ORT CUDA", partial(session.run_device, given, room))


def tensorrt(
    bench: Bench, name: str, model: bytes, feeds: Mapping[str, Array], flavour: FlavourName, batch: int
) -> Latency:
    """On the session's own stream, since it is what its graph was captured on."""
    session = open_trt(model, flavour, f"cuda:{bench.cuda.ordinal}", most_batch=max(BATCHES))
    try:
        given = {key: bench.up(array) for key, array in feeds.items()}
        return bench.timed(name, partial(session.run_device, given), batch, session.stream)
    finally:
        session.close()


def torch_half(name: str, bundle: Bundle, role: str, feeds: Mapping[str, Array], runs: int, compiled: bool) -> Latency:
    """The studio's own modules in torch, timed with torch's events on its own stream."""
    import torch

    from mien_export.networks.studio import StudioSizes
    from mien_export.pack.studio import Family, traced

    if bundle.manifest.family != "studio":
        raise ValueError(f"the family {bundle.manifest.family!r} has no torch modules here")
    if not torch.cuda.is_available():
        raise RuntimeError("torch was installed without CUDA")
    points, landmarks = bundle.array("spread").shape
    expressions = bundle.manifest.extra["expressions"]
    assert isinstance(expressions, tuple)
    module = (
        traced(Family.untrained(StudioSizes(landmarks, points, len(expressions))))[role].module.eval().cuda().half()
    )
    call = torch.compile(module, mode="max-autotune") if compiled else module
    tensors = {key: torch.from_numpy(array).cuda() for key, array in feeds.items()}
    tensors = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    event: Any = torch.cuda.Event  # has no types
    taken = []
    with torch.inference_mode():
        for turn in range(WARMUP + runs):
            start, end = (event(enable_timing=True) for _ in range(2))
            start.record()
            call(**tensors)
            end.record()
            end.synchronize()
            if turn >= WARMUP:
                taken.append(start.elapsed_time(end))
    p50, p99 = np.percentile(taken, (50, 99)).tolist()
    return Latency(name, p50, p99, 1000 / float(np.mean(taken)))


def frames(bench: Bench, bundle: Bundle, report: Report) -> None:
    """`Reenactor.step` on a picture in host memory, all included, by the clock on the wall."""
    for backend in ("ort", "tensorrt", "rtx"):
        report.attempt(f"whole frame, {backend}", partial(whole_frame, bench, bundle, backend))


def whole_frame(bench: Bench, bundle: Bundle, backend: str) -> Latency:
    """The demonstration's portrait is the source and the driver: the work does not depend on what is in it."""
    shown = load_image(PORTRAIT)
    reenactor = Reenactor(bundle, device=f"cuda:{bench.cuda.ordinal}", backend=backend)
    reenactor.set_source(shown)
    taken = []
    for turn in range(WARMUP + bench.runs):
        start = time.perf_counter()
        reenactor.step(shown)
        if turn >= WARMUP:
            taken.append(1000 * (time.perf_counter() - start))
    p50, p99 = np.percentile(taken, (50, 99)).tolist()
    return Latency(f"whole frame, {backend}", p50, p99, 1000 / float(np.mean(taken)))


def copy_bandwidth(bench: Bench) -> float:
    """Bytes a second, read and written, of the driver's own copy on the GPU."""
    one, two = Buffer(bench.cuda), Buffer(bench.cuda)
    source, target = one.reserve(COPIED), two.reserve(COPIED)
    latency = bench.timed("copy", lambda: bench.stream.copy(target, source, COPIED))
    one.release()
    two.release()
    return 2 * COPIED / (latency.p50_ms / 1000)


def kernels(bench: Bench, report: Report) -> None:
    """Each kernel, and what share of the copy bandwidth it reaches: bytes it cannot do without over its time."""
    try:
        bandwidth = copy_bandwidth(bench)
    except MienError as error:
        report.missed["kernels"] = str(error)
        return
    for name, prepare in KERNELS.items():

        def measured(name: str = name, prepare: Callable[[Bench], tuple[Run, int]] = prepare) -> Latency:
            run, least = prepare(bench)
            latency = bench.timed(name, run)
            share = least / (latency.p50_ms / 1000) / bandwidth
            told = f"{share:.0%} of {bandwidth / 1e9:,.0f} GB/s"
            return Latency(name, latency.p50_ms, latency.p99_ms, latency.images_a_second, told)

        report.attempt(name, measured)


def noise(*shape: int) -> Array:
    """Bytes that compress badly."""
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def blend_kernel(bench: Bench) -> tuple[Run, int]:
    """A patch of 512 x 512 into a frame of 1080p, in place."""
    frame, patches = bench.up(noise(1080, 1920, 3)), bench.up(noise(1, 512, 512, 3))
    masks = bench.up(np.ones((1, 512, 512), np.float32))
    places = Similarity.from_crop((960, 540), 512, 512, 0.1).matrix[None]
    run = partial(device.blend_faces, frame, frame, patches, masks, places, stream=bench.stream.handle)
    return run, 512 * 512 * (3 + 4 + 3 + 3)


def crop_kernel(bench: Bench) -> tuple[Run, int]:
    """A face of 512 pixels in a frame of 1080p to a network's input of 256, float32."""
    frame, out = bench.up(noise(1080, 1920, 3)), bench.up(np.zeros((1, 3, 256, 256), np.float32))
    places = Similarity.from_crop((960, 540), 512, 256, 0.1).matrix[None]
    run = partial(device.crop, out, frame, places, stream=bench.stream.handle)
    return run, 512 * 512 * 3 + 256 * 256 * 3 * 4


def warp_kernel(bench: Bench) -> tuple[Run, int]:
    """The studio generator's maps over a source of 512 x 512."""
    source, out = bench.up(noise(512, 512, 3)), bench.up(noise(512, 512, 3))
    flow = bench.up(np.zeros((2, 128, 128), np.float32))
    visible, mask = (bench.up(np.full((256, 256), 0.5, np.float32)) for _ in range(2))
    paint = bench.up(np.full((3, 256, 256), 0.5, np.float32))
    place = Similarity.from_crop((256, 256), 460, 256).matrix
    run = partial(device.warp_blend, out, source, flow, visible, paint, mask, place, stream=bench.stream.handle)
    return run, 2 * 512 * 512 * 3 + 128 * 128 * 8 + 256 * 256 * 4 * 5


KERNELS: dict[str, Callable[[Bench], tuple[Run, int]]] = {
    "blend_faces, 512 into 1080p": blend_kernel,
    "crop, 512 of 1080p to 256": crop_kernel,
    "warp_blend, 512": warp_kernel,
}


def rows(report: Report) -> Iterator[tuple[object, ...]]:
    """The table's lines."""
    for one in report.latencies:
        yield one.what, one.p50_ms, one.p99_ms, one.p99_ms / one.p50_ms, one.images_a_second, one.note
    for what, why in report.missed.items():
        yield what, "-", "-", "-", "-", f"not executed: {why}"


def main() -> None:
    """Runs the benchmark of the command line; exit code 9 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="studio")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    try:
        cuda = Cuda.open()
    except MienError as error:
        print(f"benchmarks.gpu: nothing was executed: {error}", file=sys.stderr)
        sys.exit(DeviceError.exit_code)
    bench, bundle, report = Bench(cuda, cuda.stream(), options.runs), Bundle.open(options.bundle), Report()
    networks(bench, bundle, report)
    frames(bench, bundle, report)
    kernels(bench, report)
    show(
        f"{cuda.name}, driver {cuda.driver}", ("what", "p50 ms", "p99 ms", "p99/p50", "a second", "note"), rows(report)
    )
    gpu = {"name": cuda.name, "compute_capability": cuda.compute_capability, "driver": cuda.driver}
    found = [asdict(latency) for latency in report.latencies]
    print(write_json("gpu", {"gpu": gpu, "measured": found, "not_executed": report.missed}, options.output))


if __name__ == "__main__":
    main()
