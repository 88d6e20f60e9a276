"""The manifest says all of what it may say, and every other word in it is refused by name."""

import json
from typing import Any

import pytest

from mien.bundle import SCHEMA_VERSION, Manifest
from mien.errors import BundleInvalid
from tests import tiny


def as_data() -> dict[str, Any]:
    data = json.loads(tiny.tiny_manifest().to_json())
    data["networks"]["motion"] |= {"sha256": "0" * 64, "bytes": 10}
    data["arrays"] = {"file": "arrays.safetensors", "sha256": "a" * 64, "bytes": 7}
    return dict(data)


def parsed(data: object) -> Manifest:
    return Manifest.from_json(json.dumps(data).encode())


def at(data: Any, path: str) -> tuple[Any, Any]:
    """The object that holds the value at "networks.motion.inputs.0.name", and the last key."""
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    for key in way:
        data = data[key]
    return data, last


def test_it_comes_back_as_it_was_written() -> None:
    manifest = parsed(as_data())
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.extra == {"expressions": ("jaw", "lids"), "crop_cm": 24.0}
    motion = manifest.networks["motion"]
    assert (motion.role, motion.opset) == ("motion", tiny.OPSET)
    assert motion.inputs[0].range == (0.0, 1.0)
    assert motion.inputs[0].spec.shape == ("N", 3, 8, 8)


def test_a_role_may_have_any_name() -> None:
    data = as_data()
    data["networks"]["a.b"] = data["networks"].pop("motion")
    assert parsed(data).networks["a.b"].role == "a.b"


@pytest.mark.parametrize(
    "path", ["arrays", "extra", "networks.motion.inputs.0.layout", "networks.motion.inputs.0.range"]
)
def test_what_may_be_missing(path: str) -> None:
    data = as_data()
    holder, key = at(data, path)
    del holder[key]
    parsed(data)
    holder[key] = None
    parsed(data)


@pytest.mark.parametrize(
    "path", ["", "licence", "networks.motion", "networks.motion.inputs.0", "networks.motion.parity"]
)
def test_an_unknown_key_is_named_with_the_known_ones(path: str) -> None:
    data = as_data()
    holder, _ = at(data, f"{path}.x".removeprefix("."))
    holder["colour_space"] = 1
    known = "|".join(key for key in holder if key != "colour_space")
    with pytest.raises(BundleInvalid, match=rf"unknown key 'colour_space'; known are: .*({known})"):
        parsed(data)


@pytest.mark.parametrize(
    "path",
    [
        "name",
        "task",
        "family",
        "licence",
        "licence.weights",
        "origin",
        "networks",
        "arrays.sha256",
        "networks.motion.file",
        "networks.motion.sha256",
        "networks.motion.bytes",
        "networks.motion.precision",
        "networks.motion.opset",
        "networks.motion.outputs",
        "networks.motion.parity",
        "networks.motion.parity.tolerance",
        "networks.motion.inputs.0.name",
        "networks.motion.inputs.0.dtype",
        "networks.motion.inputs.0.shape",
    ],
)
def test_a_missing_key_is_named(path: str) -> None:
    data = as_data()
    holder, key = at(data, path)
    del holder[key]
    with pytest.raises(BundleInvalid, match=f"lacks the key '{key}'"):
        parsed(data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", ""),
        ("name", 3),
        ("name", ["studio"]),
        ("task", "paint"),
        ("licence", "Apache-2.0"),
        ("networks", []),
        ("networks.motion", None),
        ("networks.motion.bytes", -1),
        ("networks.motion.bytes", 0),
        ("networks.motion.bytes", 1.5),
        ("networks.motion.bytes", True),
        ("networks.motion.bytes", "10"),
        ("networks.motion.sha256", "0" * 63),
        ("networks.motion.sha256", "Z" * 64),
        ("networks.motion.sha256", "0" * 64 + "\n"),
        ("networks.motion.precision", "fp12"),
        ("networks.motion.opset", 0),
        ("networks.motion.inputs", []),
        ("networks.motion.inputs", {}),
        ("networks.motion.inputs.0.dtype", "float"),
        ("networks.motion.inputs.0.shape", [1, 0]),
        ("networks.motion.inputs.0.shape", [True]),
        ("networks.motion.inputs.0.shape", [1.0]),
        ("networks.motion.inputs.0.shape", [""]),
        ("networks.motion.inputs.0.layout", "NCHWD"),
        ("networks.motion.inputs.0.colour", "CMYK"),
        ("networks.motion.inputs.0.range", [1, 0]),
        ("networks.motion.inputs.0.range", [0, 1, 2]),
        ("networks.motion.inputs.0.range", ["a", "b"]),
        ("networks.motion.parity.tolerance", "small"),
        ("networks.motion.parity.tolerance", True),
        ("arrays", []),
        ("extra", []),
        ("extra", {"a": {"b": 1}}),
        ("extra", {"a": None}),
        ("extra", {"a": [[1]]}),
    ],
)
def test_a_wrong_value_is_named_with_its_place(path: str, value: object) -> None:
    data = as_data()
    holder, key = at(data, path)
    holder[key] = value
    with pytest.raises(BundleInvalid, match=rf"bundle\.json\.{path.split('.')[0]}.* should be "):
        parsed(data)


def test_two_tensors_of_one_name() -> None:
    data = as_data()
    data["networks"]["motion"]["inputs"] *= 2
    with pytest.raises(BundleInvalid, match="a name of its own"):
        parsed(data)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, "1", None])
def test_another_schema_version_comes_before_every_other_fault(version: object) -> None:
    with pytest.raises(BundleInvalid, match=rf"schema_version .*; this mien reads {SCHEMA_VERSION}"):
        parsed({"schema_version": version, "unknown": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "schema_version None"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'{"name": "a", "name": "b"}', "the key 'name' twice"),
        (b'{"a": [{"b": 1, "b": 1}]}', "the key 'b' twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
    ids=["empty", "cut off", "list", "not UTF-8", "twice", "twice inside", "NaN", "infinity", "deep", "digits"],
)
def test_what_is_not_strict_json(text: bytes, message: str) -> None:
    with pytest.raises(BundleInvalid, match=message):
        Manifest.from_json(text)


def test_a_number_beyond_all_floats() -> None:
    text = json.dumps(as_data()).replace('"tolerance": 0.0001', '"tolerance": 1e999').encode()
    assert b"1e999" in text
    with pytest.raises(BundleInvalid, match="tolerance should be a number"):
        Manifest.from_json(text)
