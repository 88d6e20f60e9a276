"""Where each node of a network runs, asked of the runtime that runs it."""

from __future__ import annotations

from mien.errors import DeviceError
from mien.sessions import BACKENDS
from mien.sessions.base import NodePlace


def node_places(model: bytes, backend: str = "ort", device: str = "cpu") -> tuple[NodePlace, ...]:
    """For an ONNX model's bytes; the network is loaded for it, and not run.

    ort: the provider that took each node, in no order; a node that CUDA does not know is on the CPU's. openvino,
    tensorrt and rtx: the layer or kernel that a node went into; for the two last, of an engine that has been built.
    Raises as `open_session` does, and SessionError where there is no such engine yet.
    """
    if backend == "ort":
        from mien.sessions.ort import node_places as asked_ort

        return asked_ort(model, device)
    if backend == "openvino":
        from mien.sessions.openvino import node_places as asked_openvino

        return asked_openvino(model, device)
    if backend in ("tensorrt", "rtx"):
        from mien.sessions.trt_open import node_places as asked_tensorrt

        return asked_tensorrt(model, "rtx" if backend == "rtx" else "tensorrt", device)
    raise DeviceError(f"Requested backend was: {backend!r}, but there are: {', '.join(BACKENDS)}.")
