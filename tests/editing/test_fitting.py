"""Fitting, where the truth is planted: directions, conditions, entanglement, linear maps, and noise that gives none."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.editing.directions import correlations
from mien.editing.fitting import LEAST_FACES, classes_of, fit_directions, fit_model
from mien.editing.tables import Column, make_column
from mien.errors import InputError, MissingDependency

Array = NDArray[Any]
WIDTH = 64
"""Narrower than a latent, for speed: what is fitted does not depend on it."""


def faces(count: int, rows: int = 1, seed: int = 0) -> Array:
    """Codes whose numbers vary by very different amounts, around a mean that is not zero."""
    rng = np.random.default_rng(seed)
    scale = np.exp(0.5 * np.random.default_rng(99).normal(size=(rows, WIDTH)))
    return np.asarray(5 + scale * rng.normal(size=(count, rows, WIDTH)), np.float32)


def normal(seed: int, rows: int = 1) -> Array:
    drawn = np.random.default_rng(seed).normal(size=(rows, WIDTH))
    return np.asarray(drawn / np.linalg.norm(drawn))


def along(points: Array, direction: Array) -> Array:
    return np.asarray(np.tensordot(points - 5, direction, 2))


def has(points: Array, direction: Array, noise: float = 0.0) -> Array:
    blur = np.random.default_rng(5).normal(size=len(points)) * noise
    return np.asarray(along(points, direction) + blur > 0, np.int8)


def cosine(one: Array, other: Array) -> float:
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("rows", [1, 4])
def test_a_planted_direction_is_found(rows: int) -> None:
    points, truth = faces(3000 * rows, rows), normal(1, rows)
    wanted = has(points, truth, 0.1)
    (record,) = fit_directions(points, {"smile": wanted})
    direction = record.direction
    assert direction.vector.shape == (rows, WIDTH) and np.linalg.norm(direction.vector) == pytest.approx(1, abs=1e-5)
    assert cosine(direction.vector, truth) > 0.95
    assert record.accuracy is not None and record.accuracy > 0.9
    assert record.positive == wanted.sum() and record.negative == len(points) - wanted.sum()


def test_numbers_that_hardly_vary_do_not_drown_the_direction() -> None:
    points = faces(400)
    points[..., : WIDTH // 2] = 5 + 0.01 * (points[..., : WIDTH // 2] - 5)
    truth = np.where(np.arange(WIDTH) < WIDTH // 2, 0, normal(1))
    truth /= np.linalg.norm(truth)
    (record,) = fit_directions(points, {"smile": has(points, truth, 0.1)})
    assert np.linalg.norm(record.direction.vector[..., : WIDTH // 2]) < 0.1
    assert cosine(record.direction.vector, truth) > 0.85


def test_strength_one_moves_from_one_class_to_the_other() -> None:
    points, truth = faces(3000), normal(1)
    points = points + (6 * np.random.default_rng(3).integers(0, 2, 3000)[:, None, None] * truth).astype(np.float32)
    wanted = (along(points, truth) > 3).astype(np.int8)
    (record,) = fit_directions(points, {"smile": wanted})
    moved = points[wanted == 0] + record.direction.unit * record.direction.vector
    goal = along(points[wanted == 1], record.direction.vector).mean()
    assert along(moved, record.direction.vector).mean() == pytest.approx(goal, abs=0.1)
    assert record.direction.unit > 3


def test_noise_gives_no_accuracy() -> None:
    """Attributes drawn by lot, with fewer faces than numbers in a code: fitted perfectly, and worth nothing."""
    rng = np.random.default_rng(1)
    points = rng.normal(size=(120, 1, 256)).astype(np.float32)
    lots = {f"lot{i}": rng.integers(0, 2, 120).astype(np.int8) for i in range(30)}
    records = fit_directions(points, lots)
    accuracies = [record.accuracy for record in records if record.accuracy is not None]
    assert len(accuracies) == 30 and np.mean(accuracies) == pytest.approx(0.5, abs=0.06)


def test_the_accuracy_of_a_rare_attribute_is_not_that_of_saying_no() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(1000, 1, WIDTH)).astype(np.float32)
    rare = (rng.random(1000) < 0.05).astype(np.int8)
    (record,) = fit_directions(points, {"rare": rare})
    assert record.accuracy is not None and record.accuracy < 0.75


def test_faces_that_are_left_out_have_no_say() -> None:
    points, truth = faces(2000), normal(1)
    wanted = has(points, truth)
    wanted[:500] = -1
    spoilt = points.copy()
    spoilt[:500] = 1e4
    (clean,), (other,) = (fit_directions(p, {"a": wanted}) for p in (points, spoilt))
    assert np.array_equal(clean.direction.vector, other.direction.vector) and clean.positive + clean.negative == 1500


def test_entangled_attributes_are_seen_and_parted_by_a_condition() -> None:
    points = faces(6000)
    age = normal(1)
    glasses = 0.6 * age + 0.8 * _beside(normal(2), age)
    classes = {"age": has(points, age, 0.1), "glasses": has(points, glasses, 0.1)}
    free = fit_directions(points, classes)
    assert correlations([record.direction for record in free])[0, 1] == pytest.approx(0.6, abs=0.15)
    (alone,) = fit_directions(points, classes, given=["age"])
    assert alone.direction.name == "glasses" and alone.given == ("age",)
    assert cosine(alone.direction.vector, free[0].direction.vector) == pytest.approx(0, abs=1e-5)
    assert cosine(alone.direction.vector, _beside(glasses, age)) > 0.95
    assert alone.accuracy is not None and free[1].accuracy is not None and 0.6 < alone.accuracy < free[1].accuracy


def test_two_conditions_and_one_that_says_the_same_again() -> None:
    points = faces(3000)
    classes = {name: has(points, normal(i), 0.1) for i, name in enumerate("abc")}
    classes["b-again"] = classes["b"]
    a, b, c, _ = fit_directions(points, classes | {"b-again": has(points, normal(9))})
    (left,) = fit_directions(points, classes, given=["b", "b-again", "c"])
    for condition in (b, c):
        assert cosine(left.direction.vector, condition.direction.vector) == pytest.approx(0, abs=1e-5)
    assert cosine(left.direction.vector, a.direction.vector) > 0.9


def test_nothing_is_left_of_an_attribute_given_itself() -> None:
    points = faces(500)
    wanted = has(points, normal(1))
    with pytest.raises(InputError, match="Nothing of 'a' is left once b is to stay"):
        fit_directions(points, {"a": wanted, "b": wanted}, given=["b"])


def test_the_same_seed_gives_the_same() -> None:
    points = faces(300)
    classes = {"a": has(points, normal(1), 0.5)}
    one, again, other = (fit_directions(points, classes, seed=seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(one.direction.vector, again.direction.vector) and one.accuracy == again.accuracy
    assert not np.array_equal(one.direction.vector, other.direction.vector)


def test_codes_that_are_all_the_same() -> None:
    with pytest.raises(InputError, match="all the same"):
        fit_directions(np.ones((40, 1, WIDTH), np.float32), {"a": np.arange(40).astype(np.int8) % 2})


def column(*cells: object) -> Column:
    return make_column("it", [str(cell) for cell in cells])


@pytest.mark.parametrize(("share", "low", "high"), [(0.3, range(30), range(70, 100)), (0.1, range(10), range(90, 100))])
def test_a_number_is_taken_from_both_ends(share: float, low: Sequence[int], high: Sequence[int]) -> None:
    classes = classes_of(column(*range(100)), share=share)
    assert np.flatnonzero(classes == 0).tolist() == list(low) and np.flatnonzero(classes == 1).tolist() == list(high)


def test_a_number_is_parted_at_the_median_and_many_equal_ones_are_on_one_side() -> None:
    classes = classes_of(column(*range(100), ""), share=0.5)
    assert classes.tolist() == [0] * 50 + [1] * 50 + [-1]
    tied = classes_of(column(*[0] * 80, *range(1, 21)), share=0.3)
    assert tied.tolist() == [0] * 80 + [1] * 20
    assert classes_of(column(*range(20), *[90] * 80), share=0.3).tolist() == [0] * 20 + [1] * 80


def test_words_are_told_apart_from_the_others() -> None:
    hair = column(*["red"] * 10, *["blond"] * 20, *["black"] * 5, "")
    assert classes_of(hair, "blond").tolist() == [0] * 10 + [1] * 20 + [0] * 5 + [-1]
    assert classes_of(column(*["no"] * 10, *["yes"] * 10)).tolist() == [0] * 10 + [1] * 10
    assert classes_of(column(*["f"] * 10, *["m"] * 10), "f").tolist() == [1] * 10 + [0] * 10


@pytest.mark.parametrize(
    ("cells", "word", "share", "message"),
    [
        (["red", "blond", "black"], None, 0.3, "it=black, it=blond, it=red"),
        (["red", "blond", "black"], "green", 0.3, "the table has: black, blond, red"),
        (range(50), "red", 0.3, "the table has: numbers"),
        (["a"] * 30 + ["b"] * 9, None, 0.3, f"9 faces with it and 30 without; at least {LEAST_FACES}"),
        ([5] * 30, None, 0.3, "at least"),
        (range(50), None, 0.0, "share of 0"),
        (range(50), None, 0.6, "share of 0.6"),
        (range(50), None, float("nan"), "share of nan"),
    ],
)
def test_classes_that_cannot_be_made(cells: Sequence[object], word: str | None, share: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        classes_of(column(*cells), word, share)


def _beside(vector: Array, other: Array) -> Array:
    left = vector - (vector * other).sum() * other
    return np.asarray(left / np.linalg.norm(left))


def _planted(count: int, rows: int = 1, noise: float = 0.1) -> tuple[Array, list[Column], dict[str, Array]]:
    """Codes that are a linear map of age, smile and hair, and noise of one direction."""
    rng = np.random.default_rng(0)
    age, smile, hair = rng.normal(40, 10, count).round(3), rng.integers(0, 2, count), rng.integers(0, 3, count)
    maps = {name: 3 * normal(i, rows) for i, name in enumerate(["age", "smile", "black", "blond", "red", "rest"])}
    words = np.array(["black", "blond", "red"])
    points = 5 + ((age - 40) / 10)[:, None, None] * maps["age"] + smile[:, None, None] * maps["smile"]
    points = points + np.array([maps[word] for word in words])[hair]
    points = points + noise * rng.normal(size=(count, 1, 1)) * maps["rest"]
    columns = [
        make_column("age", list(map(str, age))),
        make_column("smile", list(map(str, smile))),
        make_column("hair", list(words[hair])),
        make_column("lot", list(map(str, rng.integers(0, 2, count)))),
    ]
    return np.asarray(points, np.float32), columns, maps


@pytest.mark.parametrize("rows", [1, 3])
def test_a_planted_linear_map_is_found(rows: int) -> None:
    points, columns, maps = _planted(2000, rows)
    model = fit_model(points, columns)
    assert model.r2 > 0.95
    age, smile, hair, lot = (attribute.importance for attribute in model.attributes)
    assert min(age, smile, hair) > 0.05 and abs(lot) < 0.01
    face = model.codes({})
    assert face.shape == (rows, WIDTH) and np.allclose(face, points.mean(0), atol=0.15)
    older = model.codes({"age": 60}) - model.codes({"age": "50"})
    assert np.allclose(older, maps["age"], atol=0.05)
    assert np.allclose(model.codes({"smile": 1}) - model.codes({"smile": "0"}), maps["smile"], atol=0.05)
    dyed = model.codes({"hair": "red", "age": 30}) - model.codes({"hair": "blond", "age": 30})
    assert np.allclose(dyed, maps["red"] - maps["blond"], atol=0.05)


def test_a_seed_adds_what_the_attributes_do_not_say() -> None:
    points, columns, maps = _planted(2000, noise=2.0)
    model = fit_model(points, columns, alpha=1.0)
    assert model.alpha == 1.0
    mean = model.codes({"age": 60})
    drawn = np.array([model.codes({"age": 60}, seed, 1.0) - mean for seed in range(300)])
    spread = along(drawn + 5, normal(5)).std()
    assert spread == pytest.approx(6.0, rel=0.15)  # noise 2 x a map of length 3
    assert (drawn**2).sum() == pytest.approx((along(drawn + 5, normal(5)) ** 2).sum(), rel=0.02)
    half = model.codes({"age": 60}, 7, 0.5) - mean
    assert np.allclose(2 * half, drawn[7], atol=1e-4)
    assert np.array_equal(model.codes({}, 3), model.codes({}, 3)) and np.any(model.codes({}, 3) != model.codes({}, 4))


def test_attributes_drawn_by_lot_explain_nothing() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 1, WIDTH)).astype(np.float32)
    lots = [make_column(f"lot{i}", list(map(str, rng.integers(0, 2, 400)))) for i in range(20)]
    model = fit_model(points, lots)
    assert model.r2 == pytest.approx(0, abs=0.03)


def test_what_is_unknown_counts_as_the_mean() -> None:
    points, columns, maps = _planted(3000)
    rng = np.random.default_rng(1)
    holes = [Column(c.name, c.kind, np.where(rng.random(3000) < 0.2, np.nan, c.values), c.words) for c in columns]
    model = fit_model(points, holes, alpha=0.1)
    older = model.codes({"age": 50}) - model.codes({"age": 40})
    assert cosine(older, maps["age"]) > 0.95


def test_models_that_cannot_be_fitted() -> None:
    points, columns, _ = _planted(50)
    with pytest.raises(InputError, match="alpha was to be -1"):
        fit_model(points, columns, alpha=-1.0)
    with pytest.raises(InputError, match="alpha was to be nan"):
        fit_model(points, columns, alpha=float("nan"))
    with pytest.raises(InputError, match="got 5 and 4"):
        fit_model(points[:5], columns)
    with pytest.raises(InputError, match="got 50 and 0"):
        fit_model(points, [])
    with pytest.raises(InputError, match="'same' is the same for all"):
        fit_model(points, [make_column("same", ["3"] * 50)])


def test_without_scikit_learn_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    points, columns, _ = _planted(50)
    with pytest.raises(MissingDependency, match=r"pip install 'mien\[directions\]'"):
        fit_directions(points, {"a": has(points, normal(1))})
    with pytest.raises(MissingDependency, match="sklearn"):
        fit_model(points, columns)
