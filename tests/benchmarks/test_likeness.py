"""Identity figures of codes whose similarities are known."""

import numpy as np
import pytest

from benchmarks.likeness import similarity_figures


def test_the_ratio_and_what_strangers_share() -> None:
    sources = np.eye(4)
    answers = np.eye(4)
    results = (np.eye(4) + np.roll(np.eye(4), 1, axis=0)) / np.sqrt(2)
    found = similarity_figures(sources, results, answers)
    assert found["output over true"] == pytest.approx(np.sqrt(0.5))
    assert found["strangers"] == pytest.approx(0)


def test_a_code_that_is_the_same_for_everybody_shows_itself() -> None:
    same = np.tile([[1.0, 0]], (5, 1))
    found = similarity_figures(same, same, same)
    assert found["output over true"] == 1 and found["strangers"] == 1
    assert np.isnan(found["output over true, above strangers"])
