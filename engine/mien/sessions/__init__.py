"""Networks, loaded and ready to run: one protocol, one module for each runtime."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from mien.errors import DeviceError
from mien.sessions.base import FunctionSession, Session, SessionInfo, TensorSpec

if TYPE_CHECKING:
    from mien.sessions.cuda import Stream
    from mien.sessions.openvino import OpenVinoSession
    from mien.sessions.ort import OrtSession
    from mien.sessions.trt import TrtSession

__all__ = [
    "FunctionSession",
    "OpenVinoSession",
    "OrtSession",
    "Session",
    "SessionInfo",
    "TensorSpec",
    "TrtSession",
    "open_session",
]

BACKENDS = ("ort", "openvino", "tensorrt", "rtx")


def open_session(
    model: bytes | str | PathLike[str],
    backend: str = "ort",
    device: str = "cpu",
    threads: int | None = None,
    stream: Stream | None = None,
) -> Session:
    """Loads an ONNX model (a file, or its bytes) with a backend on a device.

    ort (ONNX Runtime): "cpu", "cuda", "cuda:1". openvino: "cpu". tensorrt and rtx (TensorRT for RTX): "cuda", "cuda:1";
    their engine is built when a model is first used on a GPU, which takes minutes, and kept.

    ``threads`` is at most the number of usable cores; None chooses. ``stream``: of that GPU, to queue all work on;
    networks that share one can hand tensors on without waiting. Raises DeviceError for a device or backend that cannot
    run here, MissingDependency where its package is not installed, SessionError for an unreadable model.
    """
    if backend == "ort":
        from mien.sessions.ort import OrtSession

        return OrtSession(model, device, threads, stream=stream)
    if backend == "openvino":
        from mien.sessions.openvino import OpenVinoSession

        return OpenVinoSession(model, device, threads)
    if backend in ("tensorrt", "rtx"):
        from mien.sessions.trt_open import open_trt

        return open_trt(model, "rtx" if backend == "rtx" else "tensorrt", device, stream=stream)
    raise DeviceError(f"Requested backend was: {backend!r}, but there are: {', '.join(BACKENDS)}.")


def __getattr__(name: str) -> object:
    # Importing a runtime takes a tenth of a second: only the one that is used.
    if name == "OrtSession":
        from mien.sessions.ort import OrtSession

        return OrtSession
    if name == "OpenVinoSession":
        from mien.sessions.openvino import OpenVinoSession

        return OpenVinoSession
    if name == "TrtSession":
        from mien.sessions.trt import TrtSession

        return TrtSession
    raise AttributeError(f"module 'mien.sessions' has no attribute {name!r}")
