"""From what is said about a face (age=60, hair=blond) to its latent: a linear model, used, read and written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.archive import read_about, read_arrays, write_arrays
from mien.editing.tables import Column, Doubles, Kind
from mien.errors import InputError

Floats = NDArray[np.float32]

KIND = "mien attribute model"
ARRAYS = ("coefficients", "intercept", "components", "spreads")


@dataclass(frozen=True)
class Attribute:
    """How one attribute is put into numbers: centred on ``means``, one number for each feature, and over ``scale``.

    A number or a binary attribute is one feature, a category one for each of its ``words``. ``importance``: how much of
    the R2 on held-out faces is lost where this attribute is not told.
    """

    name: str
    kind: Kind
    words: tuple[str, ...]
    means: tuple[float, ...]
    scale: float = 1.0
    importance: float = 0.0

    @classmethod
    def measured(cls, column: Column) -> Attribute:
        """Means and scale of a column. Raises InputError where it is the same for all faces."""
        known = column.values[~np.isnan(column.values)]
        if not len(known) or known.min() == known.max():
            raise InputError(f"The attribute {column.name!r} is the same for all faces; nothing can be learnt from it.")
        if column.kind == "words":
            means = tuple(float((known == place).mean()) for place in range(len(column.words)))
            return cls(column.name, column.kind, column.words, means)
        scale = float(known.std()) if column.kind == "number" else 1.0
        return cls(column.name, column.kind, column.words, (float(known.mean()),), scale)

    def features(self, values: Doubles) -> Doubles:
        """(N, features) of values like those of a `Column`; what is not known counts as the mean."""
        raw = values[:, None] == np.arange(len(self.words)) if self.kind == "words" else values[:, None]
        centred = (raw - np.array(self.means)) / self.scale
        return np.where(np.isnan(values)[:, None], 0.0, centred)

    def value(self, setting: float | str) -> float:
        """A setting as a value of a column: a number, or one of the words. Raises InputError."""
        text = str(setting).strip()
        if text in self.words:
            return float(self.words.index(text))
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if self.kind == "words" or not math.isfinite(number):
            asked = f"one of: {', '.join(self.words)}" if self.words else "a finite number"
            raise InputError(f"The attribute {self.name!r} was set to {text!r}; it takes {asked}.")
        if self.kind == "number":
            return number
        try:  # of labels like -1 and 1, what lies between them is in between, too
            low, high = map(float, self.words)
        except ValueError:
            return number
        return (number - low) / (high - low)


@dataclass(frozen=True, eq=False)
class AttributeModel:
    """Latents that are linear in the attributes, by ridge regression, one for each number of the latent.

    ``coefficients``: (features, L or 1, 512) float32; ``intercept``: (L or 1, 512), the mean face. ``components``:
    (k, L or 1, 512) orthonormal, and ``spreads``: (k,), how faces of the same attributes differ. ``r2``: the share of
    the variance of held-out faces that the attributes explain. ``alpha``: the penalty.
    """

    attributes: tuple[Attribute, ...]
    coefficients: Floats
    intercept: Floats
    components: Floats
    spreads: Floats
    alpha: float
    r2: float

    def codes(self, settings: Mapping[str, float | str], seed: int | None = None, spread: float = 0.7) -> Floats:
        """(L or 1, 512) float32: the mean face of these attributes; what is not set is at its mean.

        ``seed``: adds what differs between faces of the same attributes, drawn from a normal distribution of ``spread``
        times the measured width. Raises InputError for an unknown attribute or value.
        """
        there = {attribute.name: attribute for attribute in self.attributes}
        for name in settings:
            if name not in there:
                raise InputError(f"The attribute {name!r} was set; this model knows: {', '.join(there)}.")
        values = [
            attribute.value(settings[attribute.name]) if attribute.name in settings else math.nan
            for attribute in self.attributes
        ]
        features = np.concatenate(
            [attribute.features(np.array([value]))[0] for attribute, value in zip(self.attributes, values, strict=True)]
        )
        codes = self.intercept + np.tensordot(features, self.coefficients, 1)
        if seed is not None:
            if seed < 0 or not math.isfinite(spread):
                raise InputError(f"A seed is 0 or more and a spread finite; got {seed} and {spread}.")
            drawn = np.random.default_rng(seed).standard_normal(len(self.spreads))
            codes = codes + np.tensordot(spread * drawn * self.spreads, self.components, 1)
        return np.asarray(codes, np.float32)


def write_model(path: Path, model: AttributeModel) -> None:
    """Writes an .npz that `read_model` reads. Raises OutputError, DiskFull."""
    about = {
        "kind": KIND,
        "attributes": [asdict(attribute) for attribute in model.attributes],
        "alpha": model.alpha,
        "r2": model.r2,
    }
    arrays = {name: getattr(model, name) for name in ARRAYS}
    write_arrays(path, about, arrays)


def read_model(path: Path) -> AttributeModel:
    """The model of an .npz that `mien directions ridge` wrote. Raises InputError."""
    arrays = read_arrays(path)
    about = read_about(arrays, KIND, path)
    try:
        attributes = tuple(_attribute(entry) for entry in about["attributes"])
        coefficients, intercept, components, spreads = (np.asarray(arrays[name], np.float32) for name in ARRAYS)
        alpha, r2 = float(about["alpha"]), float(about["r2"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} says that it holds a model, but cannot be read: {error!r}.") from error
    model = AttributeModel(attributes, coefficients, intercept, components, spreads, alpha, r2)
    _check_arrays(path, model)
    return model


def _attribute(entry: dict[str, Any]) -> Attribute:
    kind: Kind = entry["kind"]
    if kind not in ("binary", "number", "words") or not float(entry["scale"]) > 0:
        raise ValueError(f"{kind!r} over {entry['scale']}")
    words, means = tuple(map(str, entry["words"])), tuple(map(float, entry["means"]))
    if len(words) != {"binary": 2, "number": 0, "words": len(words)}[kind]:
        raise ValueError(f"{len(words)} words of a {kind}")
    if len(means) != (len(words) if kind == "words" else 1):
        raise ValueError(f"{len(means)} means of a {kind}")
    return Attribute(str(entry["name"]), kind, words, means, float(entry["scale"]), float(entry["importance"]))


def _check_arrays(path: Path, model: AttributeModel) -> None:
    face = model.intercept.shape
    features = sum(len(attribute.means) for attribute in model.attributes)
    known = len(face) == 2 and model.coefficients.shape == (features, *face) and model.spreads.ndim == 1
    if not known or model.components.shape != (*model.spreads.shape, *face):
        raise InputError(f"{path} says that it holds a model, but its arrays do not fit each other.")
    if not all(np.isfinite(getattr(model, name)).all() for name in ARRAYS):
        raise InputError(f"The model of {path} has numbers that are not finite. Fit it again.")
