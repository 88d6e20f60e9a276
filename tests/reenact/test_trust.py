"""Trust falls smoothly with uncertainty, by groups of landmarks, and is whole where nothing is said of it."""

import numpy as np

from mien.reenact.trust import FULL, GROUPS, NONE, group_of, landmark_trust, trust, value_trust


def test_trust_falls_smoothly_from_one_to_nothing() -> None:
    uncertainty = np.linspace(0, 2, 401).astype(np.float32)
    share = trust(uncertainty)
    assert (share[uncertainty <= FULL] == 1).all() and (share[uncertainty >= NONE] == 0).all()
    assert (np.diff(share) <= 0).all() and np.abs(np.diff(share)).max() < 0.03
    assert share.dtype == np.float32


def test_every_landmark_has_the_trust_of_its_group() -> None:
    uncertainty = np.array([9, 9, 0.1, 0.1, 5, 0.1, 0.1], np.float32)  # two values, then the groups: the left eye
    share = landmark_trust(uncertainty, 102)
    assert not share[[22, 42, 74, 100]].any() and share[[0, 17, 36, 68, 101, 30, 48, 80]].all()
    assert {group_of(landmark) for landmark in range(102)} == set(range(GROUPS))


def test_a_network_that_says_nothing_is_believed() -> None:
    nothing = np.zeros(0, np.float32)
    assert value_trust(nothing, 27).tolist() == [1] * 27
    assert landmark_trust(nothing, 102).tolist() == [1] * 102
    assert value_trust(np.array([9, 0, 0, 0, 0, 0, 0], np.float32), 2).tolist() == [0, 1]
