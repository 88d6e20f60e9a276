"""The PyAV border of reading: opens a video file and decodes it into upright RGB pictures."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
import cv2
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mien.errors import VideoError

MAX_PIXELS = 8192 * 4320
# One thread decodes some 800 frames of 512x512 a second; a second one only pays for large pictures, and each costs
# memory and a frame of delay.
ONE_THREAD_PIXELS = 1280 * 720
DEFAULT_RATE = Fraction(25)
HD_HEIGHT = 720
UNSPECIFIED_MATRIX = 2
AVFMT_TS_DISCONT = 0x0200

Turn = tuple[bool, int, int]
"""How a stored picture becomes upright: whether it is transposed, then the steps (1 or -1) through rows and columns."""
UPRIGHT: Turn = (False, 1, 1)


@dataclass(frozen=True)
class Shown:
    """A decoded picture: (H, W, 3) uint8 RGB, when and how long it is shown, in the reader's `time_base`."""

    image: NDArray[np.uint8]
    pts: int
    duration: int | None


def open_container(path: Path) -> InputContainer:
    """Opens a media file for reading. Raises VideoError where it is missing or not one."""
    if not path.exists():
        raise VideoError(f"The video {path} does not exist.")
    if not path.is_file():
        raise VideoError(f"{path} is not a file.")
    try:
        # An absolute path cannot be mistaken for an address, and a playlist cannot reach beyond files.
        return av.open(os.path.abspath(path), "r", options={"protocol_whitelist": "file"})
    except PermissionError as error:
        raise VideoError(f"The video {path} may not be read: {error.strerror}.") from error
    except (av.error.FFmpegError, OSError) as error:
        size = path.stat().st_size
        raise VideoError(
            f"{path} ({size:,} bytes) cannot be read as a video: {error.strerror}. It is of another kind, or its end, "
            "where MP4 keeps the index, is missing; try it in a player, or copy it again."
        ) from error


def origin(container: InputContainer) -> Fraction:
    """The container's time, in seconds, that counts as 0: not 0 only where its clock starts anywhere (MPEG-TS)."""
    if container.format.flags & AVFMT_TS_DISCONT and container.start_time is not None:
        return Fraction(container.start_time, 1_000_000)
    return Fraction(0)


class VideoReader:
    """One video stream of one file: what its header says, and its pictures in the order they are shown."""

    def __init__(self, path: Path) -> None:
        """Raises VideoError where the file is missing, unreadable, without a video, or larger than MAX_PIXELS."""
        self.path = path
        self._container = open_container(path)
        try:
            self._stream = _video_stream(self._container, path)
        except VideoError:
            self._container.close()
            raise
        context = self._stream.codec_context
        context.thread_count = 1 if context.width * context.height <= ONE_THREAD_PIXELS else min(2, os.cpu_count() or 1)
        context.thread_type = "AUTO"
        self.rate = self._stream.average_rate or self._stream.guessed_rate or DEFAULT_RATE
        self.time_base = self._stream.time_base or 1 / self.rate
        self.frame_count = self._stream.frames or None
        self._pixel = self._stream.sample_aspect_ratio or Fraction(1)
        self._reformatter = VideoReformatter()
        self._turn = UPRIGHT
        self._damaged = False

    def frames(self) -> Iterator[Shown]:
        """All pictures, once. Raises VideoError after the last good one where the file is damaged or ends too early."""
        start = round(origin(self._container) / self.time_base)
        step = max(1, round(1 / (self.rate * self.time_base)))
        count = end = 0
        for frame in self._decoded():
            pts = frame.pts - start if frame.pts is not None else end
            end = pts + (frame.duration or step)
            if count == 0:
                # Once: asking a frame for its side data ties it into a cycle, and its memory waits for the collector.
                self._turn = _turn(frame)
            count += 1
            yield Shown(self._picture(frame), pts, frame.duration or None)
        if count == 0:
            raise VideoError(f"{self.path} has a video stream, but no frame in it that can be decoded.")
        if self._damaged or self._ends_early(end):
            where = f"frame {count} ({float(end * self.time_base):.2f} s)"
            raise VideoError(f"{self.path} is damaged or truncated at {where}; all frames before it are good.")

    def close(self) -> None:
        self._container.close()

    def _decoded(self) -> Iterator[VideoFrame]:
        started = False
        packets = 0
        try:
            for packet in self._container.demux(self._stream):
                packets += packet.size > 0
                try:
                    decoded = [] if packet.is_corrupt else packet.decode()
                except av.error.FFmpegError:
                    decoded = []
                    # A recording may begin between two key frames: what comes before the first is no damage.
                    self._damaged = started
                self._damaged |= packet.is_corrupt
                if self._damaged:
                    break
                started |= bool(decoded)
                yield from decoded
        except av.error.FFmpegError:
            self._damaged = True  # the container broke off
        self._damaged |= packets < self._promised_packets()
        if self._damaged:
            yield from self._delayed()

    def _delayed(self) -> list[VideoFrame]:
        """What the decoder still holds when packets end before their time."""
        try:
            return self._stream.decode(None)
        except av.error.FFmpegError:
            return []

    def _promised_packets(self) -> int:
        # The frame count of MP4 includes what an edit list cuts away; the index does not.
        edited = "mp4" in self._container.format.name
        return len(self._stream.index_entries) if edited else self._stream.frames

    def _ends_early(self, end: int) -> bool:
        # Matroska has no table of frames, but a duration for each stream, as 00:00:01.040000000.
        hours, _, rest = self._stream.metadata.get("DURATION", "").partition(":")
        minutes, _, seconds = rest.partition(":")
        try:
            promised = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return False
        return float(end * self.time_base) < promised - max(0.1, 2 / float(self.rate))

    def _picture(self, frame: VideoFrame) -> NDArray[np.uint8]:
        transparent = any(component.is_alpha for component in frame.format.components)
        unknown = frame.colorspace == UNSPECIFIED_MATRIX and frame.height >= HD_HEIGHT
        width = max(1, round(frame.width * self._pixel))
        converted = self._reformatter.reformat(
            frame,
            width=width,
            height=frame.height,
            format="rgba" if transparent else "rgb24",
            src_colorspace=Colorspace.ITU709 if unknown else None,
            threads=1,
        )
        image = np.asarray(converted.to_ndarray(), np.uint8)
        return _turned(_on_white(image) if transparent else image, self._turn)


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not films:
        there = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        cover = " (a cover picture)" if container.streams.video else ""
        raise VideoError(f"{path} has no video in it; it holds: {there}{cover}.")
    stream = films[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise VideoError(f"{path} is {width}x{height}; at most {MAX_PIXELS:,} pixels a frame are read: scale it down.")
    return stream


def _on_white(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _turn(frame: VideoFrame) -> Turn:
    """What the display matrix (x' = a x + c y, y' = b x + d y) asks for, where it is one of the eight right-angled."""
    extras = cast(SideDataContainer, frame.side_data)
    if "DISPLAYMATRIX" not in extras:
        return UPRIGHT
    a, b, _, c, d = np.sign(np.frombuffer(bytes(extras["DISPLAYMATRIX"]), np.int32)[:5]).tolist()
    if a == d == 0 and b and c:
        return True, b, c
    if b == c == 0 and a and d:
        return False, d, a
    return UPRIGHT


def _turned(image: NDArray[np.uint8], turn: Turn) -> NDArray[np.uint8]:
    transposed, down, across = turn
    if transposed:
        image = np.asarray(cv2.transpose(image), np.uint8)
    return np.ascontiguousarray(image[::down, ::across])
