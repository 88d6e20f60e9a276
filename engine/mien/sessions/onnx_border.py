"""Inputs and outputs as an ONNX file itself states them, for a network that ONNX Runtime cannot load here."""

from __future__ import annotations

from mien.errors import SessionError
from mien.sessions.base import TensorSpec
from mien.sessions.protobuf import fields_of

# Numbers of fields in onnx.proto3.
GRAPH = 7
INITIALISER, INPUT, OUTPUT = 5, 11, 12
TENSOR_NAME = 8
NAME, TYPE, TENSOR_TYPE = 1, 2, 1
ELEMENT, SHAPE, DIMENSION = 1, 2, 1
SIZE, SIZE_NAME = 1, 2

DTYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}


def stated_border(model: bytes) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The inputs and the outputs of a network. Raises SessionError where the file does not state them."""
    try:
        graph = _only(memoryview(model), GRAPH)
        weights = {bytes(_only(tensor, TENSOR_NAME)).decode() for tensor in _all(graph, INITIALISER)}
        # an older file lists its weights among the inputs
        fed = [value for value in _all(graph, INPUT) if bytes(_only(value, NAME)).decode() not in weights]
        return tuple(map(_spec, fed)), tuple(map(_spec, _all(graph, OUTPUT)))
    except (IndexError, KeyError, ValueError) as error:
        raise SessionError(
            f"The ONNX file does not state the types and shapes of its inputs and outputs ({error!r}). Infer its "
            "shapes, or export it again."
        ) from error


def _spec(value: memoryview) -> TensorSpec:
    name = bytes(_only(value, NAME)).decode()
    tensor = _only(_only(value, TYPE), TENSOR_TYPE)
    element = dict(fields_of(tensor))[ELEMENT]
    assert isinstance(element, int)
    sizes = [dict(fields_of(dimension)) for dimension in _all(_only(tensor, SHAPE), DIMENSION)]
    # A dimension without a size and a name gets a name of its own, as in `OrtSession`.
    shape = tuple(_size(size.get(SIZE, size.get(SIZE_NAME)), f"{name}.{axis}") for axis, size in enumerate(sizes))
    return TensorSpec(name, DTYPES[element], shape)


def _size(stated: int | memoryview | None, otherwise: str) -> int | str:
    return bytes(stated).decode() or otherwise if isinstance(stated, memoryview) else stated or otherwise


def _all(message: memoryview, number: int) -> list[memoryview]:
    return [value for field, value in fields_of(message) if field == number and isinstance(value, memoryview)]


def _only(message: memoryview, number: int) -> memoryview:
    found = _all(message, number)
    if not found:
        raise ValueError(f"a message lacks the field {number}")
    return found[-1]
