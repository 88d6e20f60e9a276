"""How fast is each network of a bundle on this CPU: ONNX Runtime, OpenVINO and torch, against what the cores can do?

    python -m benchmarks.networks [BUNDLE] [--rounds 30]

One interleaved run for each network, on all usable cores. The peak is a 1024 x 1024 float32 matrix product by NumPy,
taking its turns in the same run. FLOP are 2 x multiply-adds of convolutions and matrix products, counted in the ONNX
graph; torch runs the very module that was exported (batch normalisation folded), with untrained weights: the time does
not depend on them.
"""

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.measure import Timing, compare, show, timings_json, write_json
from mien.bundle import Bundle, NetworkSpec, TensorInfo
from mien.sessions.base import usable_cores

Floats = NDArray[np.float32]

SIDE = 1024
"""Of the matrices whose product is the peak."""
PEAK = "sgemm"


@dataclass(frozen=True)
class Measured:
    """One network: its cost and the time of each contender, the peak among them."""

    gflop: float
    timings: tuple[Timing, ...]

    def of(self, name: str) -> Timing | None:
        """The timing of a contender that took part."""
        return next((timing for timing in self.timings if timing.name == name), None)

    @property
    def share_of_peak(self) -> float:
        """GFLOP/s of ONNX Runtime over those of the matrix product."""
        ort, peak = self.of("ort"), self.of(PEAK)
        assert ort is not None and peak is not None
        return (self.gflop / ort.median_ms) / (2 * SIDE**3 / 1e9 / peak.median_ms)


def gigaflop(model: onnx.ModelProto) -> float:
    """2 x multiply-adds of all convolutions and matrix products, free dimensions taken as 1."""
    for value in model.graph.input:
        for dimension in value.type.tensor_type.shape.dim:
            if not dimension.dim_value:
                dimension.dim_value = 1
    # Shapes that the exporter wrote down still have the free dimensions in them.
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    return sum(2 * _multiply_adds(node, shapes) for node in graph.node) / 1e9


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)


def _multiply_adds(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    first, second, out = (shapes[name] for name in (node.input[0], node.input[1], node.output[0]))
    if not all((*first, *second, *out)):
        raise ValueError(
            f"The shapes around {node.name} ({node.op_type}) cannot be inferred: {first}, {second}, {out}."
        )
    if node.op_type == "Conv":  # weight (out, in / groups, kernel...)
        return math.prod(out) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":  # weight (in, out / groups, kernel...)
        return math.prod(first) * math.prod(second[1:])
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(out) * first[0 if transposed else -1]


def feeds_for(spec: NetworkSpec) -> dict[str, Floats]:
    """Random inputs with the shapes and ranges of the manifest, free dimensions 1."""
    rng = np.random.default_rng(0)

    def feed(info: TensorInfo) -> Floats:
        low, high = info.range or (-1.0, 1.0)
        shape = tuple(size if isinstance(size, int) else 1 for size in info.shape)
        return (low + (high - low) * rng.random(shape)).astype(info.dtype)

    return {info.name: feed(info) for info in spec.inputs}


def torch_call(bundle: Bundle, role: str, feeds: Mapping[str, Floats], threads: int) -> Callable[[], object] | None:
    """The network in torch eager mode; None for a family without one, or where torch is not installed."""
    if bundle.manifest.family != "studio" or find_spec("torch") is None:
        return None
    import torch

    from mien_export.networks.studio import StudioSizes
    from mien_export.pack.studio import Family, traced

    torch.set_num_threads(threads)
    points, landmarks = bundle.array("spread").shape
    expressions = bundle.manifest.extra["expressions"]
    assert isinstance(expressions, tuple)
    module = traced(Family.untrained(StudioSizes(landmarks, points, len(expressions))))[role].module.eval()
    tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}

    def call() -> object:
        with torch.inference_mode():
            return module(**tensors)

    return call


def measure(bundle: Bundle, role: str, rounds: int, threads: int) -> Measured:
    """One network by every contender that this machine has."""
    feeds = feeds_for(bundle.network(role))
    square = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    contenders: dict[str, Callable[[], object]] = {PEAK: lambda: square @ square}
    for backend in ("ort", "openvino"):
        if backend == "ort" or find_spec("openvino"):
            session = bundle.session(role, threads=threads, backend=backend)
            contenders[backend] = partial(session.run, feeds)
    eager = torch_call(bundle, role, feeds, threads)
    if eager:
        contenders["torch"] = eager
    timings = compare(contenders, "torch" if eager else "ort", rounds)
    return Measured(gigaflop(onnx.load_from_string(bundle.model(role))), tuple(timings))


def row(role: str, measured: Measured) -> list[object]:
    """The line of the table."""
    ort, torch = measured.of("ort"), measured.of("torch")
    assert ort is not None
    others = [timing.median_ms if timing else "-" for timing in (measured.of("openvino"), torch)]
    share = f"{measured.share_of_peak:.0%}"
    return [role, measured.gflop, ort.median_ms, share, *others, ort.speedup if torch else "-"]


def main() -> None:
    """Runs the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="studio")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    threads = usable_cores()
    results = {role: measure(bundle, role, options.rounds, threads) for role in bundle.manifest.networks}
    columns = ("network", "GFLOP", "ORT ms", "of peak", "OpenVINO ms", "torch ms", "ORT against torch")
    show(
        f"Networks of {bundle.manifest.name}, {threads} threads, medians",
        columns,
        (row(role, measured) for role, measured in results.items()),
    )
    path = write_json(
        "networks",
        {
            "bundle": bundle.manifest.name,
            "threads": threads,
            "networks": {
                role: {
                    "gflop": measured.gflop,
                    "share_of_peak": measured.share_of_peak,
                    "timings": timings_json(measured.timings),
                }
                for role, measured in results.items()
            },
        },
    )
    print(path)


if __name__ == "__main__":
    main()
