"""The One-Euro filter: what it leaves alone, what it calms, and what it never does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mien.faces import OneEuro

VALUES = arrays.arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(-100, 100))


@given(values=VALUES, cutoff=st.floats(0.01, 50), beta=st.floats(0, 10))
def test_never_leaves_the_range_seen_so_far(
    values: np.ndarray[tuple[int, int], np.dtype[np.float64]], cutoff: float, beta: float
) -> None:
    smooth = OneEuro(cutoff, beta)
    for step, value in enumerate(values):
        result = smooth(value, step / 30)
        seen = values[: step + 1]
        assert (result >= seen.min(0) - 1e-9).all()
        assert (result <= seen.max(0) + 1e-9).all()


@given(values=VALUES)
def test_each_element_is_filtered_on_its_own(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    together = OneEuro(1.0, 0.5)
    alone = [OneEuro(1.0, 0.5) for _ in values[0]]
    for step, value in enumerate(values):
        apart = [float(one(v, step / 25)) for one, v in zip(alone, value, strict=True)]
        np.testing.assert_allclose(together(value, step / 25), apart)


def test_a_constant_stays_as_it_is() -> None:
    smooth = OneEuro(0.5, 0.1)
    assert [float(smooth(3.25, t / 30)) for t in range(20)] == [3.25] * 20


def test_noise_at_rest_is_calmed_and_a_jump_arrives() -> None:
    noise = np.random.default_rng(0).normal(size=300)
    smooth = OneEuro(cutoff=1.0, beta=0.0)
    result = np.array([smooth(v, t / 30) for t, v in enumerate(noise)])
    assert result[50:].std() < 0.4 * noise[50:].std()
    for t in range(300, 420):
        last = smooth(10.0, t / 30)
    assert last == pytest.approx(10, abs=0.01)


def test_beta_shortens_the_lag_of_something_that_moves() -> None:
    slow, quick = OneEuro(1.0, 0.0), OneEuro(1.0, 1.0)
    for t in range(60):
        lag, short_lag = t - slow(float(t), t / 30), t - quick(float(t), t / 30)
    assert short_lag < 0.2 * lag


def test_the_first_order_response_is_that_of_the_cutoff() -> None:
    smooth = OneEuro(cutoff=2.0, beta=0.0)
    smooth(0.0, 0.0)
    turns = 2 * np.pi * 2.0 / 30
    assert smooth(1.0, 1 / 30) == pytest.approx(turns / (1 + turns))


def test_it_is_causal_and_time_matters() -> None:
    early, late = OneEuro(1.0), OneEuro(1.0)
    early(0.0, 0.0), late(0.0, 0.0)
    assert late(1.0, 0.5) > early(1.0, 0.1)


def test_cutoffs_may_differ_between_elements() -> None:
    smooth = OneEuro(cutoff=[0.1, 100.0])
    smooth([0.0, 0.0], 0.0)
    slow, quick = smooth([1.0, 1.0], 1 / 30)
    assert slow < 0.05 < 0.9 < quick


def test_elements_that_are_not_finite_keep_their_last_value() -> None:
    smooth = OneEuro(1.0, 1.0)
    smooth([1.0, 2.0], 0.0)
    held = smooth([np.nan, np.inf], 0.1)
    np.testing.assert_array_equal(held, [1.0, 2.0])
    assert np.isfinite(smooth([1.5, 2.5], 0.2)).all()


def test_an_element_that_begins_as_nan_begins_with_its_first_number() -> None:
    smooth = OneEuro(1.0, 1.0)
    assert np.isnan(smooth(np.nan, 0.0))
    assert np.isnan(smooth(np.nan, 0.1))
    assert smooth(7.0, 0.2) == 7.0


@pytest.mark.parametrize("time", [1.0, 0.5, np.nan])
def test_a_time_that_is_not_later_brings_nothing_new(time: float) -> None:
    smooth = OneEuro(1.0)
    smooth(0.0, 1.0)
    assert smooth(100.0, time) == 0.0
    assert 0 < smooth(1.0, 2.0) < 1


def test_reset_forgets() -> None:
    smooth = OneEuro(1.0)
    smooth([0.0, 1.0], 5.0)
    smooth.reset()
    np.testing.assert_array_equal(smooth([8.0, 9.0, 10.0], 0.0), [8, 9, 10])


def test_results_and_inputs_stay_the_callers_own() -> None:
    smooth, value = OneEuro(1.0), np.zeros(2)
    first = smooth(value, 0.0)
    first += 100
    value += 100
    np.testing.assert_array_equal(smooth([0.0, 0.0], 1.0), [0, 0])


def test_a_changed_shape_is_an_error() -> None:
    smooth = OneEuro(1.0)
    smooth([1.0, 2.0], 0.0)
    with pytest.raises(ValueError, match="reset"):
        smooth([1.0], 0.1)


@pytest.mark.parametrize("settings", [(0.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, 0.0, 0.0)])
def test_settings_without_sense_are_an_error(settings: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="cutoffs above 0"):
        OneEuro(*settings)
