"""Fitting directions and attribute models to labelled codes; scikit-learn does it.

InterFaceGAN, Shen et al., 2020: a direction is the unit normal of the plane that separates the faces with an attribute
from those without, and a conditional one is its part orthogonal to the directions of the conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.editing.attribute_model import Attribute, AttributeModel
from mien.editing.directions import Direction, Record
from mien.editing.extra import need
from mien.editing.tables import Column
from mien.errors import InputError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Classes = NDArray[np.int8]

HELD_OUT = 0.2
LEAST_FACES = 10
"""Of each class, and for a model."""
PENALTY = 1e-3
"""Weight of an error in the SVM. Of 1e-5 to 1 the best, or as good as it, from 400 to 40,000 codes."""
LEAST_LEFT = 1e-3
"""Of its length; less of a direction is left only where the conditions are the attribute itself."""
ALPHAS = np.logspace(-1, 6, 15)
MOST_ROWS = 8192
"""For choosing alpha and for the residuals' components: more take gigabytes in W+ and change nothing."""
MOST_COMPONENTS = 128


def classes_of(column: Column, word: str | None = None, share: float = 0.3) -> Classes:
    """(N,): 1 for faces that have an attribute, 0 for those that have it not, -1 for those that are left out.

    Of a number, the highest and the lowest ``share`` of the faces; 0.5 parts them at the median. Of a category, those
    with the ``word`` and all others. Raises InputError: a word that is not there, too few faces of a class.
    """
    if not 0 < share <= 0.5:
        raise InputError(f"A share of {share} was asked for; it is above 0 and at most 0.5, the median.")
    values = column.values
    if word is not None and word not in column.words:
        there = ", ".join(column.words) or "numbers"
        raise InputError(f"The attribute {column.name!r} was asked for at {word!r}; the table has: {there}.")
    if word is None and column.kind == "words":
        raise InputError(
            f"The attribute {column.name!r} is a category; ask for one of its words: "
            f"{', '.join(f'{column.name}={there}' for there in column.words)}."
        )
    if column.kind == "number":
        has, has_not = _ends(values, share)
    else:
        place = 1 if word is None else column.words.index(word)
        has, has_not = values == place, values != place
    classes = np.where(np.isnan(values), -1, np.where(has, 1, np.where(has_not, 0, -1))).astype(np.int8)
    counts = [int((classes == side).sum()) for side in (0, 1)]
    if min(counts) < LEAST_FACES:
        raise InputError(
            f"The attribute {column.name!r} has {counts[1]} faces with it and {counts[0]} without; at least "
            f"{LEAST_FACES} of each are needed."
        )
    return classes


def _ends(values: Doubles, share: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The highest and the lowest share; where so many are equal that the two meet, those above and the others."""
    low, high = np.nanquantile(values, (share, 1 - share))
    if low < high:
        return values >= high, values <= low
    if low < np.nanmax(values):
        return values > low, values <= low
    return values >= low, values < low


@dataclass(frozen=True, eq=False)
class _Plane:
    """A unit normal, and the faces that it was fitted to and that were held out."""

    normal: Doubles
    train: NDArray[np.intp]
    held: NDArray[np.intp]


def fit_directions(
    points: Floats, classes: Mapping[str, Classes], given: Sequence[str] = (), seed: int = 0
) -> tuple[Record, ...]:
    """A direction for each attribute that is not a condition. ``points``: (N, L or 1, 512); ``given``: the conditions.

    A fifth of the faces, of each class alike, is held out; the accuracy is measured on them, with the very direction
    that is returned and the threshold half way between the classes' means. A direction is of length 1 over all rows;
    its unit is the distance of the two classes' means along it, so that strength 1 moves from one to the other.
    Raises InputError: too few faces of a class, nothing left after the conditions. MissingDependency.
    """
    flat = points.reshape(len(points), -1)
    planes = {name: _separate(name, flat, wanted, seed) for name, wanted in classes.items()}
    basis = _span([planes[name].normal for name in given], flat.shape[1])
    records = []
    for name, plane in planes.items():
        if name in given:
            continue
        normal = _left(name, plane.normal, basis, given)
        side = classes[name] == 1
        along = flat @ normal
        negative, positive = (along[plane.train][side[plane.train] == which].mean() for which in (False, True))
        if not positive > negative:
            raise InputError(f"What is left of {name!r} after {', '.join(given)} no longer parts its classes.")
        right = (along > (negative + positive) / 2) == side
        accuracy = np.mean([right[plane.held][side[plane.held] == which].mean() for which in (False, True)])
        direction = Direction(name, normal.reshape(points.shape[1:]).astype(np.float32), float(positive - negative))
        counts = [int((classes[name] == which).sum()) for which in (0, 1)]
        records.append(Record(direction, float(accuracy), counts[0], counts[1], tuple(given)))
    return tuple(records)


def _separate(name: str, flat: Floats, classes: Classes, seed: int) -> _Plane:
    need("sklearn")
    from sklearn.model_selection import train_test_split
    from sklearn.svm import LinearSVC

    counts = [int((classes == side).sum()) for side in (0, 1)]
    if min(counts) < LEAST_FACES:
        raise InputError(f"{name!r} has {counts} faces without and with it; {LEAST_FACES} of each are needed.")
    rows = np.flatnonzero(classes >= 0)
    train, held = train_test_split(rows, test_size=HELD_OUT, stratify=classes[rows], random_state=seed)
    mean = flat[train].mean(0)
    # One scale for all numbers. A scale for each would blow up those that hardly vary, and their noise the normal: a
    # planted direction was found with a cosine of 0.19 instead of 0.73 in 500 codes, 0.48 instead of 0.87 in 3000.
    scale = float(np.sqrt(flat[train].var(0).mean()))
    if not scale > 0:
        raise InputError(f"The codes with {name!r} and those without are all the same; there is nothing to fit.")
    # The primal solver: 40,000 codes of 512 numbers in 4 s on one core, no slower than SGD and nearer to the optimum.
    machine = LinearSVC(C=PENALTY, dual=False, class_weight="balanced")
    machine.fit((flat[train] - mean) / scale, classes[train])
    normal = machine.coef_[0]
    return _Plane(normal / np.linalg.norm(normal), train, held)


def _span(normals: Sequence[Doubles], width: int) -> Doubles:
    """An orthonormal basis (k, width) of what these span; conditions that say the same count once."""
    if not normals:
        return np.zeros((0, width))
    _, strengths, rows = np.linalg.svd(np.array(normals), full_matrices=False)
    return np.asarray(rows[strengths > LEAST_LEFT * strengths[0]], np.float64)


def _left(name: str, normal: Doubles, basis: Doubles, given: Sequence[str]) -> Doubles:
    left = normal - (normal @ basis.T) @ basis
    length = float(np.linalg.norm(left))
    if length < LEAST_LEFT:
        raise InputError(f"Nothing of {name!r} is left once {', '.join(given)} is to stay: they are one direction.")
    return np.asarray(left / length, np.float64)


def fit_model(points: Floats, columns: Sequence[Column], alpha: float | None = None, seed: int = 0) -> AttributeModel:
    """A ridge regression from the attributes to each number of the codes, (N, L or 1, 512).

    ``alpha``: the penalty, by default the best of 0.1 to 1e6 by leave-one-out. A fifth of the faces is held out for R2,
    that of all numbers together, and for each attribute's importance. Raises InputError, MissingDependency.
    """
    need("sklearn")
    from sklearn.linear_model import Ridge, RidgeCV

    if len(points) < LEAST_FACES or not columns:
        raise InputError(f"A model needs {LEAST_FACES} faces and an attribute; got {len(points)} and {len(columns)}.")
    if alpha is not None and not 0 <= alpha < np.inf:
        raise InputError(f"The penalty alpha was to be {alpha}; it is finite and at least 0.")
    order = np.random.default_rng(seed).permutation(len(points))
    held, train = np.split(order, [int(HELD_OUT * len(points))])
    attributes = [Attribute.measured(replace(column, values=column.values[train])) for column in columns]
    pieces = [attribute.features(column.values) for attribute, column in zip(attributes, columns, strict=True)]
    features = np.concatenate(pieces, axis=1).astype(np.float32)
    flat = points.reshape(len(points), -1)
    if alpha is None:
        some = train[:MOST_ROWS]
        alpha = float(RidgeCV(alphas=ALPHAS).fit(features[some], flat[some]).alpha_)
    ridge = Ridge(alpha=alpha).fit(features[train], flat[train])
    coefficients, intercept = ridge.coef_.T.astype(np.float32), ridge.intercept_.astype(np.float32)
    full = _r2(features[held] @ coefficients + intercept, flat[held], intercept)
    start, told = 0, []
    for attribute, piece in zip(attributes, pieces, strict=True):
        blind = features[held].copy()
        blind[:, start : start + piece.shape[1]] = 0
        start += piece.shape[1]
        lost = full - _r2(blind @ coefficients + intercept, flat[held], intercept)
        told.append(replace(attribute, importance=lost))
    some = train[:MOST_ROWS]
    components, spreads = _residuals(flat[some] - features[some] @ coefficients - intercept, seed)
    face = points.shape[1:]
    return AttributeModel(
        tuple(told),
        coefficients.reshape(-1, *face),
        intercept.reshape(face),
        components.reshape(-1, *face),
        spreads,
        alpha,
        full,
    )


def _r2(predicted: Floats, truth: Floats, mean: Floats) -> float:
    """The share of the variance around the mean of the training faces that is explained."""
    spread = float(((truth - mean) ** 2).sum(dtype=np.float64))
    return 1 - float(((truth - predicted) ** 2).sum(dtype=np.float64)) / spread if spread > 0 else 0.0


def _residuals(residuals: Floats, seed: int) -> tuple[Floats, Floats]:
    """The directions in which faces of the same attributes differ most, and the standard deviations along them."""
    from sklearn.decomposition import PCA

    count = min(MOST_COMPONENTS, len(residuals) - 1, residuals.shape[1])
    pca = PCA(count, svd_solver="randomized", random_state=seed).fit(residuals)
    return pca.components_.astype(np.float32), np.sqrt(pca.explained_variance_).astype(np.float32)
