"""How fast are the reenactment families as mien exports them, against their authors' networks exported as they are?

    python -m benchmarks.reenact_families [--families fomm,lia] [--rounds 5] [--threads 2] [--half]

Public sizes, the weights of the parity cases, batch 1. Three contenders for each network, all of a family in one
interleaved run: ours in ONNX Runtime; "as is", the authors' network (`benchmarks.rivals`) traced as it stands, in ONNX
Runtime; and the same in torch eager. Both sides keep what depends on the source alone; "as published" adds what the
authors compute again in each frame.

GFLOP are 2 x multiply-adds of convolutions and matrix products, counted in each side's graph; the peak is a matrix
product by NumPy that takes its turns in the same run. PSNR is of the picture ([0, 1]) that our whole chain draws of a
source, against the authors' in torch; with --half also in float16, every tensor of every network rounded to it.
"""

import argparse
import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.measure import Timing, compare, show, timings_json, write_json
from benchmarks.networks import PEAK, SIDE, gigaflop
from benchmarks.rivals import FAMILIES, Chain, Rival
from mien.sessions import open_session
from mien.sessions.base import usable_cores
from mien_export.half_emulation import emulated
from mien_export.onnx_export import export
from mien_export.precision import overflowing, to_half

Arrays = Mapping[str, NDArray[np.float32]]
KINDS = ("ours", "as is", "torch")
ROUNDS = {"liveportrait": 1}
"""Of a family whose frame takes half a minute; the others take `MANY`."""
MANY = 5


@dataclass(frozen=True)
class Ready:
    """One network of a family, exported on both sides, with everything that it is fed."""

    rival: Rival
    ours: bytes
    naive: bytes
    feeds: Arrays
    naive_feeds: Mapping[str, Tensor]

    def calls(self, threads: int) -> dict[str, Callable[[], object]]:
        """Every contender, ready to be called once a turn."""
        tensors = {name: value.numpy() for name, value in self.naive_feeds.items()}
        return {
            "ours": partial(open_session(self.ours, "ort", threads=threads).run, self.feeds),
            "as is": partial(open_session(self.naive, "ort", threads=threads).run, tensors),
            "torch": partial(eager, self.rival, self.naive_feeds),
        }


@dataclass(frozen=True)
class Measured:
    """A family: time, cost, and how near its pictures are to the authors'."""

    chain: Chain
    gflop: Mapping[str, float]
    timings: Mapping[str, Timing]
    psnr: float
    psnr_half: float | None
    contrast: float
    """Standard deviation of the authors' picture: one without contrast would make any PSNR high."""

    def milliseconds(self, kind: str, role: str = "", published: bool = False) -> float:
        """Of one network, or of a whole frame: a sum of medians."""
        roles = [role] if role else [*self.chain.each_frame, *(self.chain.again if published else ())]
        return sum(self.timings[f"{one}, {kind}"].median_ms for one in roles)

    def share_of_peak(self, kind: str, role: str) -> float:
        """GFLOP/s over the best of the matrix product; torch does what the graph as it is does."""
        peak = 2 * SIDE**3 / 1e9 / self.timings[PEAK].best_ms
        cost = self.gflop[f"{role}, {'ours' if kind == 'ours' else 'as is'}"]
        return cost / self.milliseconds(kind, role) / peak

    def rows(self) -> list[list[object]]:
        """The lines of the table."""
        found: list[list[object]] = []
        for role in self.chain.rivals:
            times = [self.milliseconds(kind, role) for kind in KINDS]
            shares = [f"{self.share_of_peak(kind, role):.0%}" for kind in KINDS]
            costs = [self.gflop[f"{role}, {kind}"] for kind in KINDS[:2]]
            often = "" if role in self.chain.each_frame else " (once a source)"
            found.append([role + often, *costs, *times, times[0] / times[1], times[0] / times[2], *shares])
        for name, published in (("frame", False), ("frame as published", True))[: 2 if self.chain.again else 1]:
            roles = [*self.chain.each_frame, *(self.chain.again if published else ())]
            costs = [
                sum(self.gflop[f"{role}, ours"] for role in self.chain.each_frame),
                sum(self.gflop[f"{role}, as is"] for role in roles),
            ]
            ours = self.milliseconds("ours")
            others = [self.milliseconds(kind, published=published) for kind in KINDS[1:]]
            found.append([name, *costs, ours, *others, *(ours / other for other in others), "", "", ""])
        return found

    def report(self) -> dict[str, object]:
        """What the JSON file keeps."""
        frames = {kind: self.milliseconds(kind) for kind in KINDS}
        published = {kind: self.milliseconds(kind, published=kind != "ours") for kind in KINDS}
        return {
            "frame_ms": frames,
            "frame_as_published_ms": published,
            "ours_over_as_is": frames["ours"] / frames["as is"],
            "ours_over_torch": frames["ours"] / frames["torch"],
            "gflop": dict(self.gflop),
            "share_of_peak": {
                f"{role}, {kind}": self.share_of_peak(kind, role) for role in self.chain.rivals for kind in KINDS
            },
            "psnr_db": self.psnr,
            "psnr_fp16_db": self.psnr_half,
            "contrast": self.contrast,
            "timings": timings_json(self.timings.values()),
        }


def eager(rival: Rival, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' network in torch."""
    with torch.inference_mode():
        out = rival.naive(**feeds)
    return dict(zip(rival.outputs, (out,) if isinstance(out, Tensor) else out, strict=True))


def ready(chain: Chain) -> dict[str, Ready]:
    """All networks of a family, exported; ``generator`` reads what ``appearance`` gave on its own side."""
    found: dict[str, Ready] = {}
    seen: Arrays = {}
    naive_seen: Mapping[str, Tensor] = {}
    for role in sorted(chain.rivals, key=lambda one: one == "generator"):
        rival = chain.rivals[role]
        reads = role == "generator"
        wanted = {info.name for info in rival.ours.inputs}
        feeds = {name: value for name, value in seen.items() if reads and name in wanted}
        feeds |= {name: value.numpy() for name, value in rival.feeds.items()}
        naive_feeds = {**(naive_seen if reads else {}), **rival.naive_feeds}
        ours = rival.ours.export().model
        naive = export(rival.naive, naive_feeds, rival.outputs, tolerance=1e-3).model
        found[role] = Ready(rival, ours, naive, feeds, naive_feeds)
        if role == "appearance":
            seen = open_session(ours, "ort").run(feeds)
            naive_seen = {name: value.clone() for name, value in eager(rival, naive_feeds).items()}
    return found


def drawn(parts: Mapping[str, Ready], half: bool = False) -> NDArray[np.float32]:
    """The picture that our chain makes of the source and the points; in float16 where ``half``."""
    appearance, generator = parts["appearance"], parts["generator"]
    models = [part.ours if not half else rounded(part) for part in (appearance, generator)]
    seen = open_session(models[0], "ort").run(appearance.feeds)
    feeds = {name: seen.get(name, value) if name not in generator.rival.feeds else value
             for name, value in generator.feeds.items()}  # fmt: skip
    return open_session(models[1], "ort").run(feeds)["image"]


def rounded(part: Ready) -> bytes:
    """As the float16 network computes, in float32."""
    return emulated(to_half(part.ours, overflowing(part.ours, part.feeds)))


def psnr(ours: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Decibels, of pictures in [0, 1]; infinite for equal ones."""
    error = float(np.mean((ours.astype(np.float64) - truth) ** 2))
    return math.inf if error == 0 else -10 * math.log10(error)


def measure(chain: Chain, rounds: int, threads: int, half: bool = False) -> Measured:
    """Every network by every contender in one interleaved run, and the whole picture beside the authors'."""
    torch.set_num_threads(threads)
    parts = ready(chain)
    square = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    contenders: dict[str, Callable[[], object]] = {PEAK: lambda: square @ square}
    for role, part in parts.items():
        contenders |= {f"{role}, {kind}": call for kind, call in part.calls(threads).items()}
    timings = {timing.name: timing for timing in compare(contenders, PEAK, rounds, warmup=1, rest=0.3)}
    truth = eager(chain.rivals["generator"], parts["generator"].naive_feeds)["picture"].numpy()
    return Measured(
        chain,
        {
            f"{role}, {kind}": gigaflop(onnx.load_from_string(model))
            for role, part in parts.items()
            for kind, model in (("ours", part.ours), ("as is", part.naive))
        },
        timings,
        psnr(drawn(parts), truth),
        psnr(drawn(parts, half=True), truth) if half else None,
        float(truth.std()),
    )


def main() -> None:
    """Runs the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", default=",".join(FAMILIES), help="divided by commas")
    parser.add_argument("--rounds", type=int, help=f"default: {MANY}, and for liveportrait {ROUNDS['liveportrait']}")
    parser.add_argument("--threads", type=int, default=min(2, usable_cores()))
    parser.add_argument("--half", action="store_true", help="draw the pictures in float16, too; takes minutes more")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("torch").setLevel(logging.ERROR)
    columns = (
        "network", "GFLOP", "as is", "ours ms", "as is", "torch", "ours / as is", "/ torch", "of peak", "as is", "torch"
    )  # fmt: skip
    for family in options.families.split(","):
        rounds = options.rounds or ROUNDS.get(family, MANY)
        measured = measure(FAMILIES[family](), rounds, options.threads, options.half)
        show(f"{family}, {options.threads} threads, {rounds} rounds, medians", columns, measured.rows())
        half = "" if measured.psnr_half is None else f"; in float16 {measured.psnr_half:.1f} dB"
        print(f"Picture against the authors': {measured.psnr:.1f} dB{half} (contrast {measured.contrast:.2f})")
        print(write_json(f"reenact_{family}", {"threads": options.threads, **measured.report()}), "\n")


if __name__ == "__main__":
    main()
