"""The tracker: a crop that holds still, follows a face that moves away, and lets go of one that is not there."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import ImageError
from mien.faces import Face, NetworkDetector, Tracked, Tracker
from mien.sessions import FunctionSession
from tests.faces.blobs import detector, motion, scene

Image = NDArray[np.uint8]


class CountedDetector:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0
        self._detect = NetworkDetector(detector())

    def __call__(self, image: Image) -> list[Face]:
        self.calls += 1
        return self._detect(image)


@pytest.fixture
def found() -> CountedDetector:
    return CountedDetector()


@pytest.fixture
def tracker(found: CountedDetector) -> Tracker:
    return Tracker(found, motion())


def follow(tracker: Tracker, *places: tuple[float, float, float]) -> list[Tracked]:
    """Track one disc through these places, without losing it."""
    result = [tracker.step(scene(place)) for place in places]
    assert None not in result
    return [tracked for tracked in result if tracked is not None]


def centre(tracked: Tracked) -> NDArray[np.float64]:
    return tracked.crop.apply(np.array([tracked.pixels / 2, tracked.pixels / 2]))


def test_the_face_is_found_centred_and_measured(tracker: Tracker) -> None:
    (tracked,) = follow(tracker, (300, 220, 200))
    np.testing.assert_allclose(centre(tracked), (300, 220), atol=0.5)
    assert tracked.crop.scale * tracked.pixels == pytest.approx(200, rel=0.01)
    assert tracked.confidence == pytest.approx(0.95)
    assert tracked.outputs["pose"].shape == (3,)
    assert tracked.outputs["landmarks"].shape == (2, 2)


def test_landmarks_and_place_in_the_frame(tracker: Tracker) -> None:
    (tracked,) = follow(tracker, (300, 220, 240))
    np.testing.assert_allclose(tracked.landmarks, [(300, 220), (300, 160)], atol=1)
    x, y, scale = tracked.place  # 240 pixels are 24 cm; the head's origin lies 1 cm below the crop's centre
    assert (x, y) == (pytest.approx(300, abs=0.5), pytest.approx(230, abs=0.5))
    assert np.exp(scale) == pytest.approx(10, rel=0.01)


def test_the_crop_holds_still_while_the_face_stays_about(tracker: Tracker, found: CountedDetector) -> None:
    rng = np.random.default_rng(0)
    places = [
        (300 + rng.uniform(-15, 15), 220 + rng.uniform(-15, 15), 200 * rng.uniform(0.92, 1.08)) for _ in range(40)
    ]
    result = follow(tracker, (300, 220, 200), *places)
    for tracked in result[1:]:
        np.testing.assert_array_equal(tracked.crop.matrix, result[0].crop.matrix)
    assert found.calls == 1


def test_the_crop_follows_smoothly_a_face_that_moves_away(tracker: Tracker, found: CountedDetector) -> None:
    walk = [(150 + 3 * t, 220.0, 200.0) for t in range(100)]
    result = follow(tracker, *walk, *[walk[-1]] * 30)
    centres = np.array([centre(tracked) for tracked in result])
    assert np.abs(np.diff(centres[:, 0])).max() < 8  # no jump: 3 pixels a frame, and the way out of the dead zone
    assert np.abs(centres[:, 0] - [w[0] for w in walk + [walk[-1]] * 30]).max() < 0.15 * 200
    np.testing.assert_allclose(centres[-1], walk[-1][:2], atol=0.04 * 200)
    assert found.calls == 1


def test_the_crop_follows_a_face_that_comes_nearer(tracker: Tracker) -> None:
    result = follow(tracker, *[(320, 240, 120 * 1.01**t) for t in range(100)])
    sizes = np.array([tracked.crop.scale * tracked.pixels for tracked in result])
    np.testing.assert_allclose(sizes, [120 * 1.01**t for t in range(100)], rtol=0.15)


def test_a_jump_within_the_crop_is_caught_at_once(tracker: Tracker, found: CountedDetector) -> None:
    result = follow(tracker, (300, 220, 200), (370, 220, 200), (370, 220, 200))
    np.testing.assert_allclose(centre(result[-1]), (370, 220), atol=10)  # the first look at it shows a part only
    assert found.calls == 1


def test_motion_does_not_jump_when_the_crop_moves(tracker: Tracker) -> None:
    result = follow(tracker, *[(200 + 4 * t, 220.0, 200 * 1.005**t) for t in range(60)])
    assert len({tracked.crop.matrix.tobytes() for tracked in result}) > 10
    first = result[0].crop
    seen = [tracked.seen_from(first).outputs for tracked in result]
    places = np.array([outputs["place"] for outputs in seen])
    np.testing.assert_allclose(np.diff(places[:, 0]), 4 * 2 / 200, atol=0.004)
    np.testing.assert_allclose(np.diff(places[:, 2]), np.log(1.005), atol=0.004)
    middles = np.array([outputs["landmarks"][0] for outputs in seen])
    np.testing.assert_allclose(middles[:, 0], places[:, 0], atol=1e-3)
    np.testing.assert_allclose(result[50].seen_from(first).landmarks, result[50].landmarks, atol=1e-3)
    np.testing.assert_allclose(result[50].seen_from(first).place, result[50].place, atol=1e-3)


def test_a_face_that_leaves_and_returns(tracker: Tracker) -> None:
    follow(tracker, (300, 220, 200))
    for _ in range(20):
        assert tracker.step(scene()) is None
    back = [tracker.step(scene((320, 240, 180))) for _ in range(10)]
    assert back[-1] is not None
    np.testing.assert_allclose(centre(back[-1]), (320, 240), atol=1)


def test_a_face_that_returns_elsewhere_is_found_after_a_while(tracker: Tracker) -> None:
    follow(tracker, (120, 120, 100))
    for _ in range(30):
        assert tracker.step(scene()) is None
    assert any(tracker.step(scene((520, 380, 150))) is not None for _ in range(10))


def test_a_sudden_cut_beside_the_crop_is_found_again(tracker: Tracker) -> None:
    result = follow(tracker, (250, 220, 200), (400, 220, 200))
    np.testing.assert_allclose(centre(result[-1]), (400, 220), atol=1)


def test_the_detector_runs_seldom_while_there_is_no_face(tracker: Tracker, found: CountedDetector) -> None:
    for _ in range(100):
        assert tracker.step(scene()) is None
    assert 5 < found.calls < 20


def test_a_face_that_appears_late_is_found_soon(tracker: Tracker) -> None:
    for _ in range(200):
        assert tracker.step(scene()) is None
    assert any(tracker.step(scene((300, 220, 200))) is not None for _ in range(8))


def test_of_two_faces_the_larger_is_followed_and_stays_followed(tracker: Tracker) -> None:
    for t in range(60):
        tracked = tracker.step(scene((160, 240, 200 - t), (470, 240, 120 + 2 * t)))
        assert tracked is not None
        assert abs(centre(tracked)[0] - 160) < 25


def test_a_lost_face_is_awaited_before_another_is_taken(tracker: Tracker) -> None:
    follow(tracker, (160, 240, 200))
    away = [tracker.step(scene((500, 240, 180))) for _ in range(60)]
    assert away[:25] == [None] * 25
    assert away[-1] is not None
    tracker.reset()
    follow(tracker, (160, 240, 200))
    for _ in range(5):
        assert tracker.step(scene((500, 240, 180))) is None
    back = [tracker.step(scene((500, 240, 180), (170, 240, 200))) for _ in range(8)][-1]
    assert back is not None
    assert centre(back)[0] == pytest.approx(170, abs=2)


def test_after_a_reset_the_largest_face_is_taken(tracker: Tracker) -> None:
    follow(tracker, (160, 240, 150))
    tracker.reset()
    tracked = tracker.step(scene((160, 240, 150), (470, 240, 250)))
    assert tracked is not None
    assert centre(tracked)[0] == pytest.approx(470, abs=2)


@pytest.mark.parametrize("output", ["confidence", "pose", "place", "expression", "landmarks"])
def test_outputs_that_are_not_finite_are_no_face(output: str, found: CountedDetector) -> None:
    """The network breaks for one frame, and the tracker goes on afterwards."""
    sound, broken = motion(), [False]

    def run(feeds: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        outputs = dict(sound.run(feeds))
        if broken[0]:
            outputs[output] = np.full_like(outputs[output], np.nan)
        return outputs

    tracker = Tracker(found, FunctionSession(run, sound.inputs, sound.outputs))
    follow(tracker, (300, 220, 200))
    broken[0] = True
    assert tracker.step(scene((300, 220, 200))) is None
    broken[0] = False
    assert tracker.step(scene((300, 220, 200))) is not None


@pytest.mark.parametrize("place", [(0, 0, 50), (0, 0, 1e5), (0, 0, -50), (90, 0, -2.5)])
@pytest.mark.filterwarnings("error")
def test_a_place_without_sense_is_no_face(found: CountedDetector, place: tuple[float, float, float]) -> None:
    sound = motion()

    def run(feeds: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        outputs = dict(sound.run(feeds))
        return {**outputs, "place": np.array([place], np.float32)}

    tracker = Tracker(found, FunctionSession(run, sound.inputs, sound.outputs))
    assert [tracker.step(scene((300, 220, 200))) for _ in range(3)] == [None] * 3


def test_detections_that_the_motion_network_denies_are_passed_over(tracker: Tracker) -> None:
    image = scene((470, 240, 200))
    tracker._detect = lambda _: [Face((150, 240), 200, 0.9), Face((470, 240), 200, 0.5)]
    tracked = tracker.step(image)
    assert tracked is not None
    assert centre(tracked)[0] == pytest.approx(470, abs=2)


@pytest.mark.parametrize(
    "image", [np.zeros((1, 1, 3), np.uint8), np.zeros((9, 9), np.uint8), np.full((9, 9, 3), np.nan, np.float32)]
)
def test_what_is_no_picture_is_an_error(tracker: Tracker, image: Image) -> None:
    with pytest.raises(ImageError):
        tracker.step(image)


def test_the_size_of_the_frames_may_change(tracker: Tracker) -> None:
    follow(tracker, (500, 400, 150))
    assert tracker.step(scene((100, 80, 60), width=200, height=160)) is None
    later = [tracker.step(scene((100, 80, 60), width=200, height=160)) for _ in range(60)]
    assert later[-1] is not None
