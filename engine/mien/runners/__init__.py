"""Where a chain of networks and kernels runs: on the host, or on a GPU from which nothing returns but its results."""

from __future__ import annotations

import logging

from mien.kernels import device as device_kernels
from mien.runners.base import Runner, There, kept
from mien.runners.host import HOST, HostRunner
from mien.sessions.cuda import Cuda
from mien.sessions.ort import split_device

__all__ = ["HOST", "HostRunner", "Runner", "There", "kept", "open_runner"]

_log = logging.getLogger(__name__)


def open_runner(device: str | Runner = "cpu", threads: int | None = None, backend: str = "ort") -> Runner:
    """What runs a chain on "cpu", "cuda" or "cuda:N"; a runner is handed back as it is.

    On a GPU the whole chain stays there where mien was built with its CUDA kernels. Without them (the log says so, and
    `Runner.device` is "cpu") each network runs on the GPU and copies its tensors there and back.

    Raises DeviceError without a fitting GPU or driver, MissingDependency without PyCUDA.
    """
    if not isinstance(device, str):
        return device
    if backend == "openvino" or split_device(device)[0] == "cpu":
        return HostRunner(device, threads, backend)
    if not device_kernels.built():
        _log.warning("mien was built without its CUDA kernels: each network copies its tensors to the GPU and back.")
        return HostRunner(device, threads, backend)
    from mien.runners.cuda import CudaRunner

    return CudaRunner(Cuda.open(split_device(device)[1]), threads, backend)
