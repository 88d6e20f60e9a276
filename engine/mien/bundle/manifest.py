"""The manifest, bundle.json: what it may say, as frozen dataclasses, and the way from and to JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from mien.bundle.strict import Fields, parse_json, wrong
from mien.errors import BundleInvalid
from mien.sessions.base import TensorSpec

SCHEMA_VERSION = 1

TASKS = ("reenact", "edit")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
DTYPES = ("float32", "float16", "float64", "int64", "int32", "int8", "uint8", "bool")
COLOURS = ("RGB", "BGR", "grey")

Scalar = str | int | float | bool
Setting = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a network.

    ``shape``: numbers, or names for free dimensions. ``layout``: one letter for each dimension, "NCHW" for example.
    ``colour``: "RGB", "BGR", "grey", or None where it is no picture. ``range``: least and greatest value, if bounded.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    layout: str | None = None
    colour: str | None = None
    range: tuple[float, float] | None = None

    @property
    def spec(self) -> TensorSpec:
        """Name, dtype and shape, as a session knows them."""
        return TensorSpec(self.name, self.dtype, self.shape)


@dataclass(frozen=True)
class Parity:
    """How far the exported network is from the one it was exported from, measured at export.

    ``reference``: what it was compared with, "torch 2.13" for example. The error is the largest difference over all
    outputs, each as a share of its largest value; the export fails above the tolerance.
    """

    reference: str
    max_abs_error: float
    tolerance: float


@dataclass(frozen=True)
class NetworkSpec:
    """One network of a bundle. `write_bundle` fills in ``sha256`` (hexadecimal) and ``bytes`` (the file's size)."""

    role: str
    file: str
    precision: str
    opset: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parity: Parity
    sha256: str = ""
    bytes: int = 0


@dataclass(frozen=True)
class ArraysSpec:
    """The file that holds all arrays of a bundle, .safetensors."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Licence:
    """SPDX names where there is one: of the networks' code and of their weights."""

    code: str
    weights: str


@dataclass(frozen=True)
class Manifest:
    """What a bundle is.

    ``task``: "reenact" or "edit". ``family``: the module that runs it, "studio" for example. ``origin``: where the
    weights come from, in a sentence. ``networks``: by role. ``extra``: small settings that the family needs (names of
    expression values, sizes of crops in cm): texts, numbers, truth values, or lists of these.
    """

    name: str
    task: str
    family: str
    licence: Licence
    origin: str
    networks: Mapping[str, NetworkSpec]
    arrays: ArraysSpec | None = None
    extra: Mapping[str, Setting] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Raises BundleInvalid for anything that is not exactly a manifest of this schema version."""
        data = parse_json(text, "bundle.json")
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA_VERSION:
            raise BundleInvalid(
                f"bundle.json has schema_version {version!r}; this mien reads {SCHEMA_VERSION}. "
                "Export the bundle again, or install the version of mien it was made for."
            )
        known = ("schema_version", "name", "task", "family", "licence", "origin", "networks", "arrays", "extra")
        fields = Fields(data, "bundle.json", known)
        networks = fields.mapping("networks", _network)
        return cls(
            name=fields.text("name"),
            task=fields.text("task", TASKS),
            family=fields.text("family"),
            licence=fields.nested("licence", _licence),
            origin=fields.text("origin"),
            networks={role: replace(network, role=role) for role, network in networks.items()},
            arrays=fields.optional("arrays", _arrays),
            extra=fields.mapping("extra", _setting, optional=True),
        )

    def to_json(self) -> bytes:
        """The text that `from_json` reads."""
        data = asdict(self)
        for network in data["networks"].values():
            del network["role"]
        return (json.dumps({"schema_version": SCHEMA_VERSION, **data}, indent=2, ensure_ascii=False) + "\n").encode()


def _network(value: object, where: str) -> NetworkSpec:
    known = ("file", "sha256", "bytes", "precision", "opset", "inputs", "outputs", "parity")
    fields = Fields(value, where, known)
    return NetworkSpec(
        role="",  # the key in the manifest, which only the caller knows
        file=fields.text("file"),
        precision=fields.text("precision", PRECISIONS),
        opset=fields.integer("opset", least=1),
        inputs=_distinct(fields.items("inputs", _tensor), f"{where}.inputs"),
        outputs=_distinct(fields.items("outputs", _tensor), f"{where}.outputs"),
        parity=fields.nested("parity", _parity),
        sha256=_sha256(fields),
        bytes=fields.integer("bytes", least=1),
    )


def _tensor(value: object, where: str) -> TensorInfo:
    fields = Fields(value, where, ("name", "dtype", "shape", "layout", "colour", "range"))
    shape = fields.items("shape", _dimension)
    layout = fields.optional_text("layout")
    if layout is not None and len(layout) != len(shape):
        raise wrong(f"{where}.layout", f"one letter for each of the {len(shape)} dimensions", layout)
    colour = fields.optional_text("colour") and fields.text("colour", COLOURS)
    limits = fields.optional("range", _range)
    return TensorInfo(fields.text("name"), fields.text("dtype", DTYPES), shape, layout, colour, limits)


def _dimension(value: object, where: str) -> int | str:
    if isinstance(value, bool) or not (isinstance(value, int) and value > 0 or isinstance(value, str) and value):
        raise wrong(where, "a number above zero or a name", value)
    return value


def _range(value: object, where: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or not all(_is_number(v) for v in value) or value[0] >= value[1]:
        raise wrong(where, "[least, greatest]", value)
    return float(value[0]), float(value[1])


def _parity(value: object, where: str) -> Parity:
    fields = Fields(value, where, ("reference", "max_abs_error", "tolerance"))
    return Parity(fields.text("reference"), fields.number("max_abs_error"), fields.number("tolerance"))


def _licence(value: object, where: str) -> Licence:
    fields = Fields(value, where, ("code", "weights"))
    return Licence(fields.text("code"), fields.text("weights"))


def _arrays(value: object, where: str) -> ArraysSpec:
    fields = Fields(value, where, ("file", "sha256", "bytes"))
    return ArraysSpec(fields.text("file"), _sha256(fields), fields.integer("bytes", least=1))


def _setting(value: object, where: str) -> Setting:
    if isinstance(value, list):
        return tuple(_scalar(item, f"{where}[{index}]") for index, item in enumerate(value))
    return _scalar(value, where)


def _scalar(value: object, where: str) -> Scalar:
    if not isinstance(value, str | int | float):
        raise wrong(where, "a text, a number, true, false, or a list of these", value)
    return value


def _sha256(fields: Fields) -> str:
    value = fields.text("sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise wrong(f"{fields.where}.sha256", "64 hexadecimal digits in lower case", value)
    return value


def _distinct(tensors: tuple[TensorInfo, ...], where: str) -> tuple[TensorInfo, ...]:
    names = [tensor.name for tensor in tensors]
    if not names or len(set(names)) < len(names):
        raise wrong(where, "at least one tensor, each with a name of its own", names)
    return tensors


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
