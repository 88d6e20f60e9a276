"""The two TensorRTs, TensorRT 11 and TensorRT for RTX: their packages, what they can build for, what they complain of.

Executed: TensorRT-RTX 1.7.1 without a GPU. TensorRT 11 was never executed; the names used of it are checked by a test.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from mien.errors import DeviceError, MissingDependency

FlavourName = Literal["tensorrt", "rtx"]

PACKAGES: dict[FlavourName, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
"""What to import; the extras of mien have the flavours' names."""

TITLES: dict[FlavourName, str] = {"tensorrt": "TensorRT", "rtx": "TensorRT-RTX"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Flavour:
    """A TensorRT, loaded. ``trt`` is its package, ``logger`` the one logger that a process can give it."""

    name: FlavourName
    trt: Any
    version: str
    logger: Any

    @property
    def title(self) -> str:
        """With its version, for people."""
        return f"{TITLES[self.name]} {self.version}"

    @property
    def capabilities(self) -> tuple[int, ...]:
        """What it can build for without such a GPU: 89 for 8.9. None in TensorRT, which builds for the GPU at hand."""
        if self.name != "rtx":
            return ()
        names = self.trt.ComputeCapability.__members__
        return tuple(sorted(int(name[2:]) for name in names if name.startswith("SM") and name[2:].isdecimal()))

    @contextmanager
    def complaints(self) -> Iterator[list[str]]:
        """The errors that it reports meanwhile, in its own words, of whichever thread."""
        heard: list[str] = []
        self.logger.listeners.append(heard)
        try:
            yield heard
        finally:
            self.logger.listeners[:] = [other for other in self.logger.listeners if other is not heard]


@cache  # TensorRT takes the first logger of a process and ignores all later ones
def load_flavour(name: FlavourName) -> Flavour:
    """Loads the package, which takes a second. Raises MissingDependency, or DeviceError where it does not start."""
    try:
        trt = _imported(name)
    except ModuleNotFoundError as error:
        raise MissingDependency(PACKAGES[name], name) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(
            f"The package {PACKAGES[name]!r} is installed, but cannot be loaded: {error}. "
            f"Install it again: pip install --force-reinstall 'mien[{name}]'"
        ) from error
    return Flavour(name, trt, trt.__version__, _logger(trt))


def _imported(name: FlavourName) -> Any:
    if name == "rtx":
        import tensorrt_rtx

        return tensorrt_rtx
    import tensorrt  # type: ignore[import-not-found, unused-ignore]

    return tensorrt


def _logger(trt: Any) -> Any:
    """An object that hands errors to whoever listens and warnings to `logging`; it prints nothing itself."""
    error, warning = int(trt.ILogger.Severity.ERROR), int(trt.ILogger.Severity.WARNING)

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.listeners: list[list[str]] = []

        def log(self, severity: Any, msg: str) -> None:
            if int(severity) > warning:
                return
            _log.debug("%s", msg)
            if int(severity) <= error:
                for heard in self.listeners:
                    heard.append(msg)

    return Logger()
