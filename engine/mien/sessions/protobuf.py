"""The fields of a protobuf message, for what the engine asks of ONNX files; it does without the onnx package."""

from __future__ import annotations

from collections.abc import Iterator


def fields_of(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field number and value of each field of a protobuf message; only numbers and nested bytes have a value here.

    Raises ValueError or IndexError where the bytes are no message.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        if key >> 32:  # C++ readers would drop the upper bits and see another field
            raise ValueError("a field number that is out of range")
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
        elif wire == 2:
            size, place = _varint(message, place)
            if place + size > len(message):
                raise ValueError("a field ends outside of the file")
            yield number, message[place : place + size]
            place += size
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        else:
            raise ValueError(f"a field of the unknown wire type {wire}")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, place
    raise ValueError("a number of more than ten bytes")
