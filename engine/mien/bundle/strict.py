"""Strict JSON: no key twice, no NaN, no unknown key, no value of another type; each fault named with its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar

from mien.errors import BundleInvalid

T = TypeVar("T")


def parse_json(text: bytes, what: str) -> object:
    """The JSON text as Python objects. Raises BundleInvalid, in whose message ``what`` is the text's name."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(pairs)
        if len(result) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise BundleInvalid(f"{what} has the key {twice!r} twice in one object.")
        return result

    def refuse(constant: str) -> NoReturn:
        raise BundleInvalid(f"{what} has the value {constant}, which JSON does not know.")

    try:
        result: object = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError as error:
        raise BundleInvalid(f"{what} is nested too deeply.") from error
    except ValueError as error:  # not UTF-8, not JSON, or a number of thousands of digits
        raise BundleInvalid(f"{what} is not valid JSON: {error}.") from error
    return result


class Fields:
    """The fields of one JSON object, taken out by type.

    ``where`` is the object's place for messages, for example "networks.motion". Raises BundleInvalid for anything but
    an object, for a key that is not ``known`` and, in every method, for a value of another type or a missing one.
    """

    def __init__(self, value: object, where: str, known: Iterable[str]) -> None:
        self.where = where
        self._values = {str(key): v for key, v in _object(value, where).items()}
        known = tuple(known)
        for key in self._values:
            if key not in known:
                raise BundleInvalid(f"{where} has the unknown key {key!r}; known are: {', '.join(known)}.")

    def text(self, key: str, among: Iterable[str] = ()) -> str:
        """A text that is not empty; one of ``among`` where that is given."""
        value = self._get(key)
        if not isinstance(value, str) or not value:
            raise self._wrong(key, "a text", value)
        among = tuple(among)
        if among and value not in among:
            raise self._wrong(key, f"one of {', '.join(among)}", value)
        return value

    def optional_text(self, key: str) -> str | None:
        """A text, or None where it is null or missing."""
        return None if self._values.get(key) is None else self.text(key)

    def integer(self, key: str, least: int = 0) -> int:
        """A whole number, at least ``least``."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self._wrong(key, f"a whole number, at least {least}", value)
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        value = self._get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e300:
            raise self._wrong(key, "a number", value)
        return float(value)

    def items(self, key: str, parse: Callable[[object, str], T]) -> tuple[T, ...]:
        """A list, each item parsed with its place."""
        value = self._get(key)
        if not isinstance(value, list):
            raise self._wrong(key, "a list", value)
        return tuple(parse(item, f"{self.where}.{key}[{index}]") for index, item in enumerate(value))

    def mapping(self, key: str, parse: Callable[[object, str], T], optional: bool = False) -> dict[str, T]:
        """An object with free keys, each value parsed with its place; empty where it is missing and may be."""
        if optional and self._values.get(key) is None:
            return {}
        values = _object(self._get(key), f"{self.where}.{key}")
        return {str(name): parse(value, f"{self.where}.{key}.{name}") for name, value in values.items()}

    def nested(self, key: str, parse: Callable[[object, str], T]) -> T:
        """A value parsed with its place."""
        return parse(self._get(key), f"{self.where}.{key}")

    def optional(self, key: str, parse: Callable[[object, str], T]) -> T | None:
        """Like `nested`, or None where it is null or missing."""
        return None if self._values.get(key) is None else self.nested(key, parse)

    def _get(self, key: str) -> object:
        if key not in self._values:
            raise BundleInvalid(f"{self.where} lacks the key {key!r}.")
        return self._values[key]

    def _wrong(self, key: str, wanted: str, value: object) -> BundleInvalid:
        return wrong(f"{self.where}.{key}", wanted, value)


def wrong(where: str, wanted: str, value: object) -> BundleInvalid:
    """The error for a value that is not what is wanted at its place."""
    shown = json.dumps(value)
    return BundleInvalid(f"{where} should be {wanted}; it is {shown if len(shown) < 80 else shown[:77] + '...'}.")


def _object(value: object, where: str) -> dict[object, object]:
    if not isinstance(value, dict):
        raise wrong(where, "an object", value)
    return value
