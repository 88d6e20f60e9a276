"""What a bundle is fed before it is lowered: two people in three kinds of light, still and moved, in turn."""

import numpy as np

from mien.bundle import Bundle
from mien_export.calibration import LOOKS, MOVED, lit, reenacting
from mien_export.lower import MOST_FEEDS, Recording


def test_light_keeps_black_and_white_and_orders_what_is_between() -> None:
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    bright, same, dark = (lit(picture, gamma) for gamma in LOOKS)
    np.testing.assert_array_equal(same, picture)
    assert (bright >= picture).all() and (dark <= picture).all() and bright.mean() > same.mean() + 30
    assert bright.min() == dark.min() == 0 and bright.max() == dark.max() == 255


def test_every_portrait_is_fed_still_and_moved_and_all_of_it_is_recorded() -> None:
    recording = Recording(Bundle.open("studio"))
    reenacting()(recording)
    generator, appearance = recording.feeds["generator"], recording.feeds["appearance"]
    portraits = 2 * len(LOOKS)
    assert len(appearance) == portraits and len(generator) == portraits * (1 + MOVED) == MOST_FEEDS
    assert len({feed["image"].tobytes() for feed in appearance}) == portraits
    for half in (generator[::2], generator[1::2]):  # what is calibrated on, and what is compared
        moved = [np.abs(feed["driving_points"] - feed["source_points"]).max() > 0.02 for feed in half]
        assert 0 < sum(moved) < len(half)
        assert len({feed["identity"].tobytes() for feed in half}) == portraits
