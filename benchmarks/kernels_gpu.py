"""How fast are the CUDA kernels, as a share of the bandwidth that this GPU copies with? Not executed yet.

    python -m benchmarks.kernels_gpu [--rounds 200]

Needs an NVIDIA GPU, CuPy, and mien built with nvcc. A kernel's traffic is what it must read and write once: the pixels
under the patch (read and written), the patch, the mask; a copy's is twice its bytes. Times are of CUDA events, per
launch, over launches queued one after the other; the copy is of 256 MB, which no cache holds.
"""

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.kernels import BlendScene, WarpScene
from benchmarks.measure import show, write_json
from mien.kernels import device

COPIED = 256 << 20
QUEUED = 20


def milliseconds(cupy: Any, stream: Any, work: Callable[[], object], rounds: int) -> float:
    """The median of one launch."""
    taken = []
    for _ in range(rounds + 5):
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record(stream)
        for _ in range(QUEUED):
            work()
        end.record(stream)
        end.synchronize()
        taken.append(cupy.cuda.get_elapsed_time(begin, end) / QUEUED)
    return float(np.median(taken[5:]))


def jobs(cupy: Any, stream: int) -> dict[str, tuple[Callable[[], object], int]]:
    """What is timed, and the bytes it must move."""
    scene, warp = BlendScene(), WarpScene(1080)
    frame, patch, mask = cupy.asarray(scene.frame), cupy.asarray(scene.patch[None]), cupy.asarray(scene.mask)
    planes = cupy.ascontiguousarray(patch.transpose(0, 3, 1, 2) / 255).astype(np.float16)
    nv12 = cupy.zeros((1620, 1920), np.uint8)
    place = scene.matrix[None]
    four = np.stack([place[0] + np.array([[0, 0, 200.0 * i - 300], [0, 0, 0]]) for i in range(4)])
    patches = cupy.concatenate([patch] * 4)
    input32, input16 = (cupy.empty((1, 3, 512, 512), kind) for kind in (np.float32, np.float16))
    half = np.array([[[2.0, 0, 400], [0, 2.0, 20]]])
    under = 512 * 512
    volume, grid = cupy.random.rand(1, 32, 16, 64, 64, dtype=np.float32), cupy.empty((1, 16, 64, 64, 3), np.float32)
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in (16, 64, 64)), indexing="ij")
    grid[...] = cupy.asarray(np.stack(axes[::-1], -1)[None], np.float32)
    moved = cupy.empty_like(volume)
    source = cupy.asarray(warp.source)
    warped = cupy.empty_like(source)
    flow, visible, paint, warp_mask = (cupy.asarray(each) for each in (warp.flow, warp.visible, warp.paint, warp.mask))
    byte_traffic = under * (6 + 3 + 4)
    return {
        "blend 512² into 1080p RGB": (
            lambda: device.blend_faces(frame, frame, patch, mask, place, stream=stream),
            byte_traffic,
        ),
        "blend 512² float16 planes into 1080p RGB": (
            lambda: device.blend_faces(frame, frame, planes, mask, place, stream=stream),
            under * (6 + 6 + 4),
        ),
        "blend 512² into 1080p NV12": (
            lambda: device.blend_faces(nv12, nv12, patch, mask, place, stream=stream, layout="nv12"),
            under * (3 + 3 + 4),
        ),
        "blend four faces of 512² in one launch": (
            lambda: device.blend_faces(frame, frame, patches, mask, four, stream=stream),
            4 * byte_traffic,
        ),
        "crop 512² to float32": (
            lambda: device.crop(input32, frame, place, stream=stream),
            under * (3 + 12),
        ),
        "crop 1024² to 512² float16": (
            lambda: device.crop(input16, frame, half, stream=stream),
            under * (12 + 6),
        ),
        "warp_blend 1080 x 1080": (
            lambda: device.warp_blend(warped, source, flow, visible, paint, warp_mask, warp.matrix, stream=stream),
            4 * source.nbytes,
        ),
        "sample_volume 32 x 16 x 64 x 64": (
            lambda: device.sample_volume(moved, volume, grid, stream=stream),
            2 * volume.nbytes + grid.nbytes,
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    cupy: Any = import_module("cupy")
    with cupy.cuda.Stream(non_blocking=True) as stream:
        here, there = (cupy.zeros(COPIED, np.uint8) for _ in range(2))
        copy = milliseconds(cupy, stream, lambda: there.data.copy_from_device_async(here.data, COPIED, stream), rounds)
        bandwidth = 2 * COPIED / copy
        table: dict[str, dict[str, float]] = {}
        for name, (work, traffic) in jobs(cupy, stream.ptr).items():
            taken = milliseconds(cupy, stream, work, rounds)
            table[name] = {"ms": taken, "gb_per_s": traffic / taken / 1e6, "share_of_copy": traffic / taken / bandwidth}
    rows = [(name, line["ms"] * 1e3, line["gb_per_s"], line["share_of_copy"]) for name, line in table.items()]
    show(f"copy: {bandwidth / 1e6:.0f} GB/s", ("kernel", "µs", "GB/s", "of a copy"), rows)
    gpu = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(write_json("kernels_gpu", {"gpu": gpu, "copy_gb_per_s": bandwidth / 1e6, "kernels": table}))


if __name__ == "__main__":
    main()
