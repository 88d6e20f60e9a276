"""Bundles: a folder or zip with bundle.json, ONNX networks and arrays, checked before anything is parsed."""

from mien.bundle.manifest import (
    SCHEMA_VERSION,
    ArraysSpec,
    Licence,
    Manifest,
    NetworkSpec,
    Parity,
    TensorInfo,
)
from mien.bundle.reading import Bundle, embedded_bundles
from mien.bundle.writing import refuse_existing, write_bundle

__all__ = [
    "SCHEMA_VERSION",
    "ArraysSpec",
    "Bundle",
    "Licence",
    "Manifest",
    "NetworkSpec",
    "Parity",
    "TensorInfo",
    "embedded_bundles",
    "refuse_existing",
    "write_bundle",
]
