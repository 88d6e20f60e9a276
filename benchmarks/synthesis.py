"""How fast is StyleGAN2's synthesis as mien exports it, against the reference exported as it is?

    python -m benchmarks.synthesis [--sizes 256,1024] [--rounds 3] [--backends ort,openvino,torch] [--threads 2]

Three contenders, each in every backend, in one interleaved run for each size, batch 1, untrained weights (the time does
not depend on them):

* naive: the network with its weights modulated at run time, traced as its authors wrote it;
* whole: `SynthesisGraph`, the same numbers with constant weights; "apart" is the largest difference between the two
  pictures in ONNX Runtime, as a share of the largest value;
* late: `SynthesisLate` behind the default split, from features that an edit does not change.

GFLOP are 2 x multiply-adds of convolutions and matrix products in our graphs. The naive one is given those of the
whole: it does the same work. The peak is the best turn of a matrix product by NumPy in the same run.
"""

import argparse
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.measure import Timing, compare, show, timings_json, write_json
from benchmarks.networks import PEAK, SIDE, gigaflop
from mien.sessions import open_session
from mien.sessions.base import usable_cores
from mien_export.graphs.synthesis import SynthesisGraph, default_split, split_at
from mien_export.networks.stylegan2 import Generator
from mien_export.onnx_export import export

Floats = NDArray[np.float32]
BACKENDS = ("ort", "openvino", "torch")
KINDS = ("naive", "whole", "late")


class NaiveSynthesis(nn.Module):
    """The reference, traced as it is: every convolution's weights are made at run time. Batch 1 only."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor) -> Tensor:
        """``latents`` (1, L, 512) -> ``image`` (1, 3, R, R), [-1, 1], not clamped."""
        image: Tensor = self.generator(latents)
        return image


@dataclass(frozen=True)
class Contender:
    """One way to draw a picture: the traced module, its ONNX file and what both are fed with."""

    module: nn.Module
    model: bytes
    feeds: Mapping[str, Tensor]

    @staticmethod
    def traced(module: nn.Module, feeds: Mapping[str, Tensor], outputs: Sequence[str], free: bool) -> "Contender":
        """Exported, with a free batch where the module allows it, as in a bundle."""
        exported = export(module, dict(feeds), outputs, batch="batch" if free else None)
        return Contender(module, exported.model, feeds)

    def call(self, backend: str, threads: int) -> Callable[[], Mapping[str, Floats]]:
        """Ready to be called once a turn."""
        if backend == "torch":
            return self._eager
        session = open_session(self.model, backend, threads=threads)
        return partial(session.run, {name: tensor.numpy() for name, tensor in self.feeds.items()})

    def _eager(self) -> Mapping[str, Floats]:
        with torch.inference_mode():
            self.module(**self.feeds)
        return {}


@dataclass(frozen=True)
class Measured:
    """One size: what the graphs cost, how far they are from the reference, and the time of every contender."""

    size: int
    split: int
    gflop: Mapping[str, float]
    apart: float
    timings: Mapping[str, Timing]

    def ratio(self, backend: str, slow: str, fast: str) -> float:
        """How many times faster, by the medians."""
        return self.timings[f"{slow}, {backend}"].median_ms / self.timings[f"{fast}, {backend}"].median_ms

    def share_of_peak(self, kind: str, backend: str) -> float:
        """GFLOP/s over those of the matrix product at its best; the median of so short a call tells of others."""
        peak = 2 * SIDE**3 / 1e9 / self.timings[PEAK].best_ms
        return self.gflop[kind] / self.timings[f"{kind}, {backend}"].median_ms / peak

    def rows(self, backends: Sequence[str]) -> list[list[object]]:
        """The lines of the table."""
        rows: list[list[object]] = []
        for backend in backends:
            for kind in KINDS:
                time = self.timings[f"{kind}, {backend}"].median_ms
                against = "naive" if kind == "whole" else "whole"
                ratio = f"{self.ratio(backend, against, kind):.2f} x {against}" if kind != "naive" else "-"
                share = f"{self.share_of_peak(kind, backend):.0%}"
                rows.append([f"{self.size}, {backend}, {kind}", self.gflop[kind], time, share, ratio])
        return rows


def untrained(size: int, widest: int = 512) -> Generator:
    """With noise in every layer, as a trained one has."""
    torch.manual_seed(0)
    generator = Generator(size, widest=widest).eval()
    for name, weight in generator.named_parameters():
        if name.endswith("noise.weight"):
            nn.init.constant_(weight, 0.1)
    return generator.requires_grad_(False)


def contenders(generator: Generator, split: int) -> dict[str, Contender]:
    """By kind; the late half is fed with what the early half makes of the same codes."""
    latents = generator.codes(generator.style(torch.randn(1, generator.style_dim))).contiguous()
    early, late = split_at(generator, split)
    features, rgb = early(latents)
    cached = {"features": features, "rgb": rgb, "latents": latents}
    return {
        "naive": Contender.traced(NaiveSynthesis(generator), {"latents": latents}, ["image"], free=False),
        "whole": Contender.traced(SynthesisGraph(generator), {"latents": latents}, ["image", "small"], free=True),
        "late": Contender.traced(late, cached, ["image", "small"], free=True),
    }


def measure(size: int, rounds: int, backends: Sequence[str], threads: int, widest: int = 512) -> Measured:
    """Every kind by every backend in one interleaved run."""
    torch.set_num_threads(threads)
    generator = untrained(size, widest)
    split = default_split(generator.layers)
    kinds = contenders(generator, split)
    calls = {f"{kind}, {backend}": kinds[kind].call(backend, threads) for backend in backends for kind in KINDS}
    square = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    calls_and_peak: dict[str, Callable[[], object]] = {PEAK: lambda: square @ square, **calls}
    timings = {timing.name: timing for timing in compare(calls_and_peak, PEAK, rounds, warmup=1, rest=0.3)}
    gflop = {kind: gigaflop(onnx.load_from_string(kinds[kind].model)) for kind in ("whole", "late")}
    gflop["naive"] = gflop["whole"]
    return Measured(size, split, gflop, apart(kinds, threads), timings)


def apart(kinds: Mapping[str, Contender], threads: int) -> float:
    """Largest difference between the naive picture and the other two, all in [0, 1], over the largest value."""
    naive, whole, late = (kinds[kind].call("ort", threads)()["image"] for kind in KINDS)
    truth = (naive / 2 + 0.5).clip(0, 1)
    return float(max(np.abs(truth - image).max() for image in (whole, late)) / truth.max())


def report(measured: Measured, backends: Sequence[str]) -> dict[str, object]:
    """What the JSON file keeps of one size."""
    return {
        "split": measured.split,
        "gflop": measured.gflop,
        "apart": measured.apart,
        "share_of_peak": {
            f"{kind}, {backend}": measured.share_of_peak(kind, backend) for backend in backends for kind in KINDS
        },
        "whole_against_naive": {backend: measured.ratio(backend, "naive", "whole") for backend in backends},
        "late_against_whole": {backend: measured.ratio(backend, "whole", "late") for backend in backends},
        "timings": timings_json(measured.timings.values()),
    }


def main() -> None:
    """Runs the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="256,1024", help="resolutions, divided by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--threads", type=int, default=min(2, usable_cores()))
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("torch").setLevel(logging.ERROR)
    backends = options.backends.split(",")
    results: dict[str, object] = {}
    for size in options.sizes.split(","):
        measured = measure(int(size), options.rounds, backends, options.threads)
        columns = ("size, backend, what", "GFLOP", "median ms", "of peak", "faster than")
        show(f"StyleGAN2 of {size} pixels, {options.threads} threads", columns, measured.rows(backends))
        print(f"Split at row {measured.split}; apart from the reference by {measured.apart:.1e}\n")
        results[size] = report(measured, backends)
    print(write_json("synthesis", {"threads": options.threads, "sizes": results}))


if __name__ == "__main__":
    main()
