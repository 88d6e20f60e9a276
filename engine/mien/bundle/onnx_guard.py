"""Refuses ONNX models whose weights lie in other files: a path in a model must not make a runtime open it.

A reader of just those fields of onnx.proto3 that lead to a tensor; the engine does without the onnx package.
"""

from __future__ import annotations

from mien.errors import BundleInvalid
from mien.sessions.protobuf import fields_of

# Message -> field number -> message of that field, along every path from the model to a tensor.
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_DEEPEST = 64


def refuse_external_data(model: bytes, what: str) -> None:
    """Raises BundleInvalid where a tensor of the ONNX model lies in another file, or the model is no protobuf."""
    if model[4:8] == b"ORTM":
        raise BundleInvalid(f"{what} is in ONNX Runtime's own format; bundles hold ONNX files.")
    # External data needs an entry with the key "location": without that word there is nothing to look for.
    if b"location" not in model:
        return
    try:
        found = _has_external(memoryview(model), "model", 0)
    except (IndexError, ValueError) as error:
        raise BundleInvalid(f"{what} is not an ONNX model: {error}.") from error
    if found:
        raise BundleInvalid(f"{what} keeps weights in another file (ONNX external data); export it with them inside.")


def _has_external(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("its graphs are nested too deeply")
    if kind == "tensor":
        return any(
            number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value != 0)
            for number, value in fields_of(message)
        )
    children = _CHILDREN[kind]
    return any(
        _has_external(value, children[number], depth + 1)
        for number, value in fields_of(message)
        if number in children and isinstance(value, memoryview)
    )
