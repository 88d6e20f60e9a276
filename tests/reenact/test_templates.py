"""Motion templates: recorded, written, read, checked, smoothed, and driving as the clip itself does."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien.bundle import Bundle
from mien.errors import MotionError, NoFace
from mien.image import load_image
from mien.reenact import Family, Motion, Reenactor, open_family
from mien.reenact.templates import Recorder, Template
from mien.stream.sources import open_source

DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
BLACK = np.zeros((120, 160, 3), np.uint8)
Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def family() -> Family[Any, Any]:
    return open_family(Bundle.open("studio"), threads=1)


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    with open_source(str(DEMO / "driving.mp4")) as clip:
        return [frame.image for frame, _ in zip(clip, range(6), strict=False)]


@pytest.fixture(scope="module")
def template(family: Family[Any, Any], frames: list[Image]) -> Template:
    """Four frames, a gap, two frames; the fourth is shown longer."""
    recorder = Recorder(family)
    saw = [recorder.add(frame, pts) for frame, pts in zip([*frames[:4], BLACK], (0, 1, 2, 3, 6), strict=True)]
    while not recorder.add(frames[4], 6 + len(saw)):  # after a gap the detector is not asked in every frame
        saw.append(False)
    assert saw[:5] == [True] * 4 + [False]
    return recorder.finish(Fraction(30), Fraction(1, 30))


def of_noise(count: int = 40) -> Template:
    rng = np.random.default_rng(0)
    parts = {
        "pose": rng.normal(0, 0.1, (count, 3)),
        "place": rng.normal(0, 0.01, (count, 3)) + (300, 200, 3),
        "expression": rng.normal(0, 0.1, (count, 5)),
        "landmarks": rng.normal(0, 1, (count, 102, 2)) + 200,
    }
    seen = np.ones(count, np.bool_)
    pts = np.arange(count, dtype=np.int64)
    floats = {name: part.astype(np.float32) for name, part in parts.items()}
    return Template("studio", (640, 480), Fraction(25), Fraction(1, 25), pts, seen, floats)


def test_a_template_drives_as_its_clip_does(family: Family[Any, Any], frames: list[Image], template: Template) -> None:
    live, replayed = Reenactor(family), Reenactor(family)
    for reenactor in (live, replayed):
        reenactor.set_source(load_image(DEMO / "source.jpg"))
    motions = template.motions(family.motion_type)
    for index, frame in enumerate([*frames[:4], BLACK]):
        one, other = live.step(frame, index / 30), replayed.move(next(motions), index / 30)
        assert one.status == other.status == ("tracked" if index < 4 else "held")
        np.testing.assert_array_equal(one.image, other.image)


def test_what_is_written_is_what_is_read(template: Template) -> None:
    again = Template.read(template.about(), template.arrays())
    assert (again.family, again.size) == ("studio", template.size)
    assert (again.rate, again.time_base) == (30, Fraction(1, 30))
    np.testing.assert_array_equal(again.pts, template.pts)
    np.testing.assert_array_equal(again.seen, template.seen)
    assert list(again.parts) == list(template.parts)
    for name, part in template.parts.items():
        np.testing.assert_array_equal(again.parts[name], part)


def test_each_frame_is_shown_until_the_next(template: Template) -> None:
    assert template.pts.tolist() == [0, 1, 2, 3, 6, 11]
    assert template.durations.tolist() == [1, 1, 1, 3, 5, 1]


def test_a_clip_without_a_face_is_no_template(family: Family[Any, Any]) -> None:
    recorder = Recorder(family)
    assert not any([recorder.add(BLACK, index) for index in range(3)])
    with pytest.raises(NoFace, match="None of the 3 frames"):
        recorder.finish(Fraction(25), Fraction(1, 25))


def test_another_familys_template_does_not_fit(family: Family[Any, Any], template: Template) -> None:
    sample = next(template.motions(Motion))
    assert sample is not None
    template.check(family, sample)
    with pytest.raises(MotionError, match="family 'lia', and this bundle is of 'studio'.*mien template"):
        replace(template, family="lia").check(family, sample)


def test_a_template_of_other_networks_does_not_fit(family: Family[Any, Any], template: Template) -> None:
    sample = next(template.motions(Motion))
    assert sample is not None
    with pytest.raises(MotionError, match=r"other networks.*'expression': \(5,\)"):
        of_noise().check(family, sample)
    fewer = {name: part for name, part in template.parts.items() if name != "pose"}
    with pytest.raises(MotionError, match="other networks"):
        replace(template, parts=fewer).check(family, sample)


def test_smoothing_looks_both_ways_and_leaves_gaps() -> None:
    noise = of_noise()
    gap = np.ones(40, np.bool_)
    gap[10:13] = False
    noise = replace(noise, seen=gap, parts={name: part * 1 for name, part in noise.parts.items()})
    smooth = noise.smoothed(Motion)
    assert [motion is None for motion in smooth.motions(Motion)] == [not there for there in gap]
    change = np.abs(np.diff(noise.parts["pose"][13:], axis=0)).mean()
    assert 0 < np.abs(np.diff(smooth.parts["pose"][13:], axis=0)).mean() < change
    assert {part.dtype for part in smooth.parts.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pts": np.zeros(40, np.int64)}, "do not rise"),
        ({"pts": np.zeros(0, np.int64)}, "at least one frame"),
        ({"seen": np.ones(39, np.bool_)}, "at least one frame and all its parts"),
        ({"parts": {}}, "all its parts"),
        ({"parts": {"pose": np.zeros((39, 3))}}, r"'pose' as float64 of shape \(39, 3\)"),
        ({"parts": {"pose": np.zeros((40, 3), np.int32)}}, "'pose' as int32"),
        ({"parts": {"pose": np.full((40, 3), np.nan)}}, "not finite"),
        ({"rate": Fraction(0)}, "above zero"),
        ({"size": (0, 10)}, "above zero"),
    ],
)
def test_what_contradicts_itself_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(MotionError, match=said):
        replace(of_noise(), **change)


@pytest.mark.parametrize(
    ("about", "arrays"),
    [
        ({"rate": "1e999999999"}, {}),
        ({"rate": "1/0"}, {}),
        ({"rate": 25}, {}),
        ({"size": [1, 2, 3]}, {}),
        ({"size": None}, {}),
        ({"size": ["a", "b"]}, {}),
        ({}, {"pts": np.zeros(40)}),
        ({}, {"seen": np.zeros(40)}),
        ({}, {"pts": np.zeros((40, 1), np.int64)}),
    ],
)
def test_a_file_of_another_form_is_refused(about: dict[str, Any], arrays: dict[str, Any]) -> None:
    noise = of_noise()
    with pytest.raises(MotionError, match="motion template"):
        Template.read({**noise.about(), **about}, {**noise.arrays(), **arrays})


@pytest.mark.parametrize("name", ["family", "size", "rate", "time_base"])
def test_a_file_that_lacks_something_is_refused(name: str) -> None:
    noise = of_noise()
    with pytest.raises(MotionError, match=name):
        Template.read({key: value for key, value in noise.about().items() if key != name}, noise.arrays())


def test_a_template_from_before_uncertainties_still_drives(family: Family[Any, Any]) -> None:
    older = of_noise()
    motion = next(older.motions(Motion))
    assert motion is not None and motion.uncertainty.size == 0
    older.check(family, replace(motion, uncertainty=np.ones(10, np.float32)))
    with pytest.raises(MotionError, match="other networks"):
        older.check(family, replace(motion, expression=np.ones(10, np.float32)))


def test_uncertainties_are_recorded_with_the_motion(family: Family[Any, Any]) -> None:
    unsure = np.random.default_rng(1).random((40, 10)).astype(np.float32)
    newer = replace(of_noise(), parts={**of_noise().parts, "uncertainty": unsure})
    again = Template.read(newer.about(), newer.arrays())
    motions = [motion for motion in again.motions(Motion) if motion is not None]
    np.testing.assert_array_equal([motion.uncertainty for motion in motions], unsure)
    newer.check(family, next(m for m in of_noise().motions(Motion) if m is not None))
    assert again.smoothed(Motion).parts["uncertainty"].shape == (40, 10)
