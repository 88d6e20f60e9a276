"""How fast are the CUDA kernels, against CuPy and torch and as a share of the bandwidth that this GPU copies with?

    python -m benchmarks.kernels_gpu [--rounds 200] [--output FOLDER]

Needs an NVIDIA GPU, PyCUDA, and mien built with nvcc; CuPy and torch where they are. A kernel's traffic is what it must
read and write once: the pixels under the patch (read and written), the patch, the mask; a copy's is twice its bytes. It
is of 256 MB, which no cache holds. Times are of CUDA events, per launch, over launches queued one after the other, on
one stream for all contenders. Each contender's result is first held against the CPU's; one that differs is not timed.
Not executed yet on a GPU; without one the tests run every check on the CPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu_rivals import CupyRival, Rival, TorchRival
from benchmarks.gpu_timing import Bench, Measured, Mismatch, Report, summed
from benchmarks.kernels import BlendScene, WarpScene
from benchmarks.measure import RESULTS, show, write_json
from mien import kernels
from mien.errors import DeviceError, MienError
from mien.kernels import device, layouts
from mien.kernels.layouts import Layout
from mien.sessions.cuda import Cuda
from mien.sessions.device_tensor import DeviceTensor

Array = NDArray[Any]
QUEUED = 20
FACES = 4
YUV = layouts.numbers("benchmark", "bt709")


@dataclass(frozen=True)
class Task:
    """One kernel at one size.

    ``arrays``: its inputs by name; ``out``: what its result looks like, for a kernel in place what it starts from.
    ``wanted``: the result on the CPU, by mien's own arithmetic. ``launch`` queues the kernel; ``rival`` is the same in
    a library of arrays. ``apart``: how far a result may be, for all but one place in 10,000, where a rounding decides
    what is seen.
    """

    name: str
    arrays: Mapping[str, Array]
    out: Array
    wanted: Callable[[], Array]
    launch: Callable[[Mapping[str, DeviceTensor], DeviceTensor, int], None]
    rival: Callable[[Rival, Mapping[str, Any], Any], Any]
    traffic: int
    apart: float

    def check(self, found: Array) -> float:
        """The largest difference but for those places. Raises Mismatch."""
        wanted = self.wanted()
        if found.shape != wanted.shape:
            raise Mismatch(f"the result is {found.shape}, and should be {wanted.shape}")
        off = np.abs(found.astype(np.float64) - wanted.astype(np.float64)).ravel()
        worst = float(np.sort(off)[-1 - off.size // 10000])
        if not worst <= self.apart:
            raise Mismatch(f"the result is off by {worst:.3g}, where {self.apart:.3g} is allowed")
        return worst


def tasks() -> Iterator[Task]:
    """All kernels, in the layouts, types and batches that matter."""
    yield from crops()
    yield fit()
    yield from blends()
    yield from warps()
    yield from volumes()
    yield keypoints()


def crops() -> Iterator[Task]:
    """Squares of a 1080p frame: as they are, and shrunk by two into half the precision."""
    frame = BlendScene().frame
    yield crop("crop 512² to float32", frame, BlendScene().matrix, np.float32)
    yield crop("crop 1024² to 512² float16", frame, np.array([[2.0, 0, 400], [0, 2.0, 20]]), np.float16)


def crop(name: str, frame: Array, matrix: Array, kind: type[np.floating[Any]]) -> Task:
    """To 512 x 512."""
    out = np.zeros((1, 3, 512, 512), kind)
    seen = int(np.hypot(matrix[0, 0], matrix[1, 0])) ** 2
    return Task(
        name,
        {"frame": frame},
        out,
        partial(kernels.crop, frame, matrix, 512),
        lambda a, out, stream: device.crop(out, a["frame"], matrix, stream=stream),
        lambda r, a, out: r.crop(a["frame"], matrix, 512, kind is np.float16)[None],
        512 * 512 * 3 * seen + out.nbytes,
        1.6 / 255,
    )


def fit() -> Task:
    """What a network drew, for a place of half its size, with the edge that `mien.kernels.blend_faces` needs."""
    planes = np.random.default_rng(0).random((1, 3, 512, 512), np.float32)
    out = np.zeros((1, 3, 257, 257), np.float32)

    def wanted() -> Array:
        emulator, fitted = import_module("mien._emulator"), np.empty_like(out)
        emulator.fit(fitted, planes, 256, 256)
        return fitted

    return Task(
        "fit 512² to 256²",
        {"planes": planes},
        out,
        wanted,
        lambda a, out, stream: device.fit(out, a["planes"], 256, stream=stream),
        lambda r, a, out: r.fit(a["planes"], 256),
        planes.nbytes + out.nbytes,
        1e-5,
    )


def blends() -> Iterator[Task]:
    """Patches of 512 x 512 with a soft round mask into 1080p."""
    scene = BlendScene()
    shifts = [np.array([[0, 0, 200.0 * i - 300], [0, 0, 0]]) for i in range(FACES)]
    four = np.stack([scene.matrix + shift for shift in shifts])
    nv12 = np.random.default_rng(0).integers(16, 236, (1620, 1920), np.uint8)
    rgba = np.concatenate((scene.frame, np.full((1080, 1920, 1), 255, np.uint8)), -1)
    planes = np.ascontiguousarray(scene.patch[None].transpose(0, 3, 1, 2) / 255).astype(np.float32)
    byte = scene.patch[None]
    yield blend("RGB", scene.frame, byte, scene.mask, scene.matrix[None])
    yield blend("BGR", scene.frame, byte, scene.mask, scene.matrix[None], "bgr")
    yield blend("RGBA", rgba, byte, scene.mask, scene.matrix[None], "rgba")
    yield blend("NV12", nv12, byte, scene.mask, scene.matrix[None], "nv12")
    yield blend("RGB, float32 planes", scene.frame, planes, scene.mask, scene.matrix[None])
    yield blend("RGB, float16 planes", scene.frame, planes.astype(np.float16), scene.mask, scene.matrix[None])
    yield blend(f"RGB, {FACES} faces", scene.frame, np.repeat(byte, FACES, 0), scene.mask, four)


def blend(what: str, frame: Array, patches: Array, mask: Array, places: Array, layout: Layout = "rgb") -> Task:
    """In place."""
    single = patches.astype(np.float32) if patches.dtype == np.float16 else patches
    pixel = {"nv12": 3, "rgba": 8}.get(layout, 6)
    return Task(
        f"blend_faces 512² into 1080p {what}",
        {"patches": patches, "mask": mask},
        frame,
        partial(kernels.blend_faces, frame, single, mask, places, layout=layout),
        lambda a, out, stream: device.blend_faces(
            out, out, a["patches"], a["mask"], places, stream=stream, layout=layout
        ),
        lambda r, a, out: r.blend_faces(out, a["patches"], a["mask"], places, layout, YUV),
        len(places) * 512 * 512 * (pixel + 3 * patches.itemsize + 4),
        2.0,
    )


def warps() -> Iterator[Task]:
    """The studio generator's maps over a source of 1080 x 1080, without and with a change of light."""
    scene = WarpScene(1080)
    maps: dict[str, Array] = {name: getattr(scene, name) for name in ("source", "flow", "visible", "paint", "mask")}
    gains = np.random.default_rng(2).uniform(0.5, 1.5, (3, 64, 64)).astype(np.float32)
    yield warp("warp_blend 1080 x 1080", maps, scene.matrix)
    yield warp("warp_blend 1080 x 1080, shaded", maps | {"shade": gains}, scene.matrix)


def warp(name: str, maps: Mapping[str, Array], matrix: Array) -> Task:
    """Into a new picture."""
    source = maps["source"]

    def launch(given: Mapping[str, DeviceTensor], out: DeviceTensor, stream: int) -> None:
        device.warp_blend(
            out, given["source"], given["flow"], given["visible"], given["paint"], given["mask"], matrix,
            stream=stream, shade=given.get("shade"),
        )  # fmt: skip

    return Task(
        name,
        maps,
        np.zeros_like(source),
        partial(kernels.warp_blend, **maps, similarity=matrix),
        launch,
        lambda r, a, out: r.warp_blend(**a, to_source=matrix),
        source.nbytes + sum(array.nbytes for array in maps.values()),
        2.0,
    )


def volumes() -> Iterator[Task]:
    """LivePortrait's warp: 32 channels of 16 x 64 x 64, moved by a fraction of a voxel and more."""
    random = np.random.default_rng(0)
    volume = random.random((1, 32, 16, 64, 64), np.float32)
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in (16, 64, 64)), indexing="ij")
    grid = (np.stack(axes[::-1], -1)[None] + random.normal(0, 0.02, (1, 16, 64, 64, 3))).astype(np.float32)

    def wanted() -> Array:
        emulator, out = import_module("mien._emulator"), np.empty_like(volume)
        emulator.sample_volume(out, volume, grid)
        return out

    for kind in (np.float32, np.float16):
        of_kind = volume.astype(kind)
        yield Task(
            f"sample_volume 32 x 16 x 64 x 64 {np.dtype(kind).name}",
            {"volume": of_kind, "grid": grid},
            np.zeros_like(of_kind),
            wanted,
            lambda a, out, stream: device.sample_volume(out, a["volume"], a["grid"], stream=stream),
            lambda r, a, out: r.sample_volume(a["volume"], a["grid"]),
            2 * of_kind.nbytes + grid.nbytes,
            1e-4 if kind == np.float32 else 0.05,  # torch takes a float16 grid for it: a sixteenth of a voxel
        )


def keypoints() -> Task:
    """LivePortrait's 21 points of 8 faces: so little that it is all launch."""
    random = np.random.default_rng(0)
    points, batch = 21, 8
    arrays = {
        "canonical": random.normal(0, 1, (batch, points, 3)).astype(np.float32),
        "angles": random.uniform(-40, 40, (batch, 3)).astype(np.float32),
        "expression": random.normal(0, 0.1, (batch, points, 3)).astype(np.float32),
        "scale": random.uniform(0.8, 1.2, (batch, 1)).astype(np.float32),
        "translation": random.normal(0, 0.1, (batch, 3)).astype(np.float32),
    }
    out = np.zeros_like(arrays["canonical"])

    def wanted() -> Array:
        emulator, placed = import_module("mien._emulator"), np.empty_like(out)
        emulator.place_keypoints(placed, **(arrays | {"scale": arrays["scale"][:, 0].copy()}))
        return placed

    return Task(
        f"place_keypoints {batch} x {points}",
        arrays,
        out,
        wanted,
        lambda a, out, stream: device.place_keypoints(out, *a.values(), stream=stream),
        lambda r, a, out: r.place_keypoints(*a.values()),
        sum(array.nbytes for array in arrays.values()) + out.nbytes,
        1e-4,
    )


def mien_at(bench: Bench, task: Task, bandwidth: float) -> Measured:
    """The kernel, checked and timed."""
    given = {name: bench.up(array) for name, array in task.arrays.items()}
    out = bench.up(task.out)
    run = partial(task.launch, given, out, bench.stream.handle)
    run()
    off = task.check(bench.down(out))
    return figures(bench, task, "mien", run, bandwidth, off)


def rival_at(bench: Bench, task: Task, bandwidth: float, open_rival: Callable[[], Rival]) -> Measured:
    """The same by a library, on the same stream."""
    rival = open_rival()
    with on_stream(rival, bench.stream.handle):
        given, out = {name: rival.array(array) for name, array in task.arrays.items()}, rival.array(task.out)
        off = task.check(rival.host(task.rival(rival, given, out)))
        return figures(bench, task, rival.name, partial(task.rival, rival, given, out), bandwidth, off)


def figures(
    bench: Bench, task: Task, contender: str, run: Callable[[], object], bandwidth: float, off: float
) -> Measured:
    """Per launch."""
    taken = bench.queued(run, QUEUED)
    memory = bench.allocated(run)
    summary = summed(task.name, contender, taken, allocated=memory, note=f"within {off:.2g} of the CPU")
    return replace(summary, share=task.traffic / (summary.p50_ms / 1000) / bandwidth)


def on_stream(rival: Rival, handle: int) -> AbstractContextManager[object]:
    """Where the library's own current stream is the benchmark's."""
    if not handle or rival.lib is np:
        return nullcontext()
    if isinstance(rival, CupyRival):
        stream: AbstractContextManager[object] = rival.lib.cuda.ExternalStream(handle)
        return stream
    current: AbstractContextManager[object] = rival.lib.cuda.stream(rival.lib.cuda.ExternalStream(handle))
    return current


RIVALS: Mapping[str, Callable[[], Rival]] = {"CuPy": CupyRival.open, "torch": TorchRival.open}


def measure(bench: Bench, report: Report, rivals: Mapping[str, Callable[[], Rival]] = RIVALS) -> float | None:
    """Every contender at every task; gives the copy bandwidth, None where even that could not be measured."""
    try:
        bandwidth = bench.copy_bandwidth()
    except MienError as error:
        for task in tasks():
            report.attempt(task.name, "mien", partial(again, error))
        return None
    for task in tasks():
        report.attempt(task.name, "mien", partial(mien_at, bench, task, bandwidth))
        for name, open_rival in rivals.items():
            report.attempt(task.name, name, partial(rival_at, bench, task, bandwidth, open_rival))
    return bandwidth


def again(error: MienError) -> Measured:
    """For a report: what was to be measured failed before."""
    raise error


def rows(report: Report) -> Iterator[tuple[object, ...]]:
    """The table's lines."""
    for one in report.measured:
        mien = report.find(one.task, "mien")
        against = one.p50_ms / mien.p50_ms if mien else "-"
        share = "-" if one.share is None else f"{one.share:.0%}"
        yield one.task, one.contender, 1000 * one.p50_ms, 1000 * one.p99_ms, share, against, one.allocated, one.note
    for missed in report.missed:
        yield missed.task, missed.contender, "-", "-", "-", "-", "-", f"not executed: {missed.why}"


COLUMNS = ("kernel", "by", "p50 µs", "p99 µs", "of a copy", "times mien's", "bytes taken", "note")


def main() -> None:
    """Runs the benchmark of the command line; exit code 9 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    try:
        cuda = Cuda.open()
    except MienError as error:
        print(f"benchmarks.kernels_gpu: nothing was executed: {error}", file=sys.stderr)
        sys.exit(DeviceError.exit_code)
    report = Report()
    bandwidth = measure(Bench(cuda, cuda.stream(), options.rounds), report)
    told = "not measured" if bandwidth is None else f"{bandwidth / 1e9:,.0f} GB/s"
    show(f"{cuda.name}; a copy: {told}", COLUMNS, rows(report))
    found = {
        "gpu": {"name": cuda.name, "compute_capability": cuda.compute_capability, "driver": cuda.driver},
        "copy_bytes_a_second": bandwidth,
        "measured": [asdict(one) for one in report.measured],
        "not_executed": [asdict(one) for one in report.missed],
    }
    print(write_json("kernels_gpu", found, options.output))


if __name__ == "__main__":
    main()
