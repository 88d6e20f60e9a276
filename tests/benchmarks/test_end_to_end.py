"""The long clip of the end-to-end benchmark really is the short one, over and over."""

from pathlib import Path

from benchmarks.end_to_end import looped, median
from tests.media import markers, read_marker, read_video, write_video


def test_a_looped_clip_repeats_all_frames_at_the_same_rate(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", markers(4))
    video = read_video(looped(clip, tmp_path / "long.mp4", 3))
    assert [read_marker(image) for image in video.images] == [0, 1, 2, 3] * 3
    assert video.rate == read_video(clip).rate


def test_the_median_of_a_nested_number() -> None:
    assert median([{"a": {"b": value}} for value in (5, 1, 3)], "a", "b") == 3
