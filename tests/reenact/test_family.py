"""What all families share: the wishes of a transfer, opening by the manifest, one family under many reenactors."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien.bundle import Bundle
from mien.errors import BundleInvalid, MotionError
from mien.image import load_image
from mien.reenact import Family, Reenactor, Transfer, open_family
from mien.reenact.following import Follower
from mien.reenact.transfer import CHANGES, REGIONS
from mien.runners import HostRunner
from mien.stream.sources import open_source
from tests.tiny import tiny_bundle

DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def family() -> Family:
    return open_family(Bundle.open("studio"), threads=1)


@pytest.fixture(scope="module")
def portrait() -> Image:
    return load_image(DEMO / "source.jpg")


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    with open_source(str(DEMO / "driving.mp4")) as clip:
        return [frame.image for frame, _ in zip(clip, range(32), strict=False)]


@pytest.mark.parametrize(
    ("wishes", "features"),
    [
        ({}, set()),
        ({"relative": False, "multiplier": 0.5, "stitching": False, "adapt_scale": False}, set()),
        ({"region": "lips"}, {"regions"}),
        ({"eyes": 0.0}, {"retargeting"}),
        ({"retarget_lips": True, "normalise_lips": True}, {"retargeting", "lip normalisation"}),
    ],
)
def test_a_transfer_says_what_it_needs(wishes: dict[str, object], features: set[str]) -> None:
    transfer = Transfer(**wishes)
    assert transfer.features == features
    transfer.check("whole", features | {"regions"})
    if features:
        with pytest.raises(MotionError, match=f"{sorted(features)[0]}.* family 'plain' cannot .*only relative"):
            transfer.check("plain", ())


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"multiplier": float("nan")}, "finite number"),
        ({"multiplier": float("inf")}, "finite number"),
        ({"eyes": 1.5}, "opening of the eyes is.* from 0"),
        ({"lips": -0.1}, "opening of the lips is.* from 0"),
        ({"lips": float("nan")}, "opening of the lips is.* from 0"),
        ({"region": "ears"}, "all, expression, pose, lips, eyes"),
    ],
)
def test_wishes_out_of_bounds_are_refused(wishes: dict[str, object], said: str) -> None:
    with pytest.raises(MotionError, match=said):
        Transfer(**wishes)


@pytest.mark.parametrize("wishes", [*({"region": r} for r in REGIONS if r != "all"), {"eyes": 0.2}])
def test_what_a_family_lacks_is_said_before_any_frame(family: Family, wishes: dict[str, object]) -> None:
    with pytest.raises(MotionError, match="'studio' cannot"):
        Reenactor(family, transfer=Transfer(**wishes))


def test_a_family_nobody_knows_is_an_error_that_names_those_known(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="'tiny'.*studio, liveportrait, fomm, lia, tpsmm"):
        open_family(tiny_bundle(tmp_path / "tiny"))


def test_the_studio_family_has_the_protocol(family: Family, portrait: Image, frames: list[Image]) -> None:
    assert family.name == "studio" and set(family.sessions) == {"detector", "motion", "appearance", "generator"}
    source, tracked = family.source(portrait), family.tracker().step(frames[0])
    assert tracked is not None
    motion = family.motion(frames[0], tracked)
    assert isinstance(motion, family.motion_type)
    assert family.render(source, motion, motion, CHANGES).shape == source.image.shape


def test_faces_are_followed_by_the_studios_networks_for_others(family: Family, frames: list[Image]) -> None:
    follower = Follower(HostRunner(threads=1))
    assert not set(follower.sessions) & {"motion", "detector", "appearance", "generator"}
    one, other = follower.tracker().step(frames[0]), family.tracker().step(frames[0])
    assert one is not None and other is not None
    np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_eight_reenactors_over_one_family_do_as_each_does_alone(
    family: Family, portrait: Image, frames: list[Image]
) -> None:
    """Sources of several sizes, each with its own part of the clip and its own transfer, all at the same time."""

    def pictures(index: int) -> list[Image]:
        source = np.pad(portrait, ((0, 8 * index), (0, 4 * index), (0, 0)), mode="edge")
        transfer = Transfer(relative=index % 2 == 0, multiplier=1 + index / 8)
        reenactor = Reenactor(family, transfer=transfer)
        reenactor.set_source(source)
        return [reenactor.step(frame).image for frame in frames[3 * index : 3 * index + 6]]

    alone = [pictures(index) for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(pictures, range(8)))
    for before, after in zip(alone, together, strict=True):
        np.testing.assert_array_equal(np.array(before), np.array(after))
    assert len({picture.tobytes() for own in alone for picture in own}) == 48
