"""A reenactment bundle as it was asked for: in float32, or made from that in a lower precision."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from numpy.typing import NDArray

from mien.bundle import Bundle, Manifest, write_bundle
from mien_export.calibration import reenacting
from mien_export.lower import lower
from mien_export.onnx_export import Exported

Precision = Literal["fp32", "fp16", "int8"]


def write_family(
    out: str | PathLike[str],
    manifest: Manifest,
    exported: Mapping[str, Exported],
    precision: Precision,
    overwrite: bool,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> Bundle:
    """A lower precision is tuned to the demo that comes with mien. Raises PrecisionError, OutputError."""
    models = {role: one.model for role, one in exported.items()}
    if precision == "fp32":
        return write_bundle(out, manifest, models, arrays, overwrite)
    with TemporaryDirectory(prefix=".mien-", dir=Path(out).absolute().parent) as folder:
        full = write_bundle(Path(folder) / "full", manifest, models, arrays)
        return lower(full, out, precision, reenacting(), overwrite)[0]
