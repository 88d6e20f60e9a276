"""The modules that a bundle's networks were exported from, for torch to run: untrained, since the time does not depend
on the weights.

What runs is the graph as it was traced, so that torch does the very same work, in half precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.gpu_timing import Run
from mien.bundle import Bundle
from mien.errors import InputError
from mien.sessions.base import Array

Module = Any
"""torch.nn.Module, which this file must not need to be imported."""


def module_of(bundle: Bundle, role: str) -> Module:
    """The traced module of a network, in float32 on the CPU.

    Raises ImportError without torch, InputError for a family or a network that is not known here.
    """
    families: Mapping[str, Callable[[Bundle, str], Module]] = {
        "studio": _studio,
        "liveportrait": _liveportrait,
        "fomm": _fomm,
        "lia": _lia,
        "tpsmm": _tpsmm,
    }
    manifest = bundle.manifest
    build = _edit if manifest.task == "edit" else families.get(manifest.family)
    module = None if build is None else build(bundle, role)
    if module is None:
        raise InputError(f"There is no torch module here for {role!r} of the family {manifest.family!r}.")
    return module.eval()


def half_run(bundle: Bundle, role: str, feeds: Mapping[str, Array], stream: int, compiled: bool) -> Run:
    """A call that queues the network on a CUDA stream. Raises RuntimeError where torch has no CUDA."""
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("torch finds no GPU, or was installed without CUDA")
    module = module_of(bundle, role).cuda().half()
    call = torch.compile(module, mode="max-autotune-no-cudagraphs") if compiled else module
    tensors = {name: torch.from_numpy(array).cuda() for name, array in feeds.items()}
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    library: Any = torch.cuda  # its streams have no types
    there = library.ExternalStream(stream)

    def run() -> object:
        with torch.inference_mode(), library.stream(there):
            return call(**tensors)

    return run


def _studio(bundle: Bundle, role: str) -> Module:
    from mien_export.networks.studio import StudioSizes
    from mien_export.pack.studio import Family, traced

    points, landmarks = bundle.array("spread").shape
    expressions = bundle.manifest.extra["expressions"]
    assert isinstance(expressions, tuple)
    return traced(Family.untrained(StudioSizes(landmarks, points, len(expressions))))[role].module


def _liveportrait(bundle: Bundle, role: str) -> Module:
    from mien_export.pack.liveportrait import LivePortraitNetworks, Weighted, roles

    built = LivePortraitNetworks()
    parts = (built.appearance, built.motion, built.warp, built.decoder, built.stitching, built.eye, built.lip)
    weighted = Weighted(*(part().eval() for part in parts))  # type: ignore[arg-type]
    made = dict(roles(weighted, built.side, True)).get(role)
    return None if made is None else made().module


def _fomm(bundle: Bundle, role: str) -> Module:
    from mien_export.pack.fomm import FommNetworks, traced

    built = FommNetworks()
    return traced(built.detector().eval(), built.generator().eval(), True)[role].module


def _lia(bundle: Bundle, role: str) -> Module:
    from mien_export.networks.lia import Generator
    from mien_export.pack.lia import traced

    return traced(Generator().eval())[role].module


def _tpsmm(bundle: Bundle, role: str) -> Module:
    from mien_export.checkpoints import Checkpoint
    from mien_export.pack.tpsmm import TpsmmNetworks, traced

    built = TpsmmNetworks()
    parts = {
        "kp_detector": built.detector(),
        "dense_motion_network": built.motion(),
        "inpainting_network": built.inpainting(),
        "avd_network": built.avd(),
    }
    state = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    return traced(Checkpoint(state), built, True)[role].module


def _edit(bundle: Bundle, role: str) -> Module:
    """The networks of the public sizes; the encoder is pSp's."""
    from torch import tensor

    from mien_export.graphs.encoders import EncoderGraph
    from mien_export.networks.bisenet import BiSeNet
    from mien_export.networks.deghosting import Deghosting
    from mien_export.networks.difference import DifferenceNetwork
    from mien_export.networks.encoders import GradualStyleEncoder
    from mien_export.networks.stylegan2 import Generator
    from mien_export.pack import edit_traced

    mean = tensor(bundle.array("latent_mean"))
    if role == "encoder":
        return EncoderGraph(GradualStyleEncoder().eval(), mean, len(mean))
    others: Mapping[str, Callable[[], Module]] = {
        "parsing": lambda: edit_traced.traced_parsing(BiSeNet().eval(), 1024).module,
        "difference": lambda: edit_traced.traced_difference(DifferenceNetwork().eval()).module,
        "heat": lambda: edit_traced.traced_heat(DifferenceNetwork().eval()).module,
        "deghost": lambda: edit_traced.traced_deghost(Deghosting().eval(), 1024).module,
    }
    if role in others:
        return others[role]()
    size = bundle.network("synthesis_late").outputs[0].shape[-1]
    assert isinstance(size, int)
    generator = Generator(size).eval()
    if role == "mapping":
        return edit_traced.traced_mapping(generator).module
    fed = {info.name for info in bundle.network(role).inputs} - {"features", "rgb", "latents"}
    made = dict(edit_traced.synthesis_roles(generator, "input" if fed else "constant")).get(role)
    return None if made is None else made().module
