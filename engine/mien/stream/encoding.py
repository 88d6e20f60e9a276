"""The PyAV border of writing: RGB pictures become H.264 packets, each with its own time and duration."""

import os
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from mien.errors import OutputError

# 200 frames of a talking head, 512x512, one core of a Cascade Lake, colour conversion included:
#   superfast crf 20, no B-frames   198 fps   138 kB/s   42.0 dB
#   superfast crf 20, B-frames      202 fps   100 kB/s   41.8 dB
#   veryfast  crf 20, no B-frames   146 fps    69 kB/s   41.2 dB
#   ultrafast crf 20                381 fps   189 kB/s   41.2 dB
# Without B-frames each packet carries its picture's own time and duration, so that a variable frame rate comes out of
# an MP4 exactly as it went in; with them the length of the clip was wrong.
X264 = {"preset": "superfast", "crf": "20", "bf": "0"}
ONE_THREAD_PIXELS = 1280 * 720
HD_HEIGHT = 720
BT709, BT601 = 1, 6


class PictureEncoder:
    """The video stream of an output; odd sizes grow by one column or row, which repeats the last one."""

    def __init__(self, output: OutputContainer, size: tuple[int, int], rate: Fraction, time_base: Fraction) -> None:
        """`size` is width and height, `rate` frames per second, `time_base` seconds per unit of `pts`."""
        self._output = output
        self._size = size
        self._step = max(1, round(1 / (rate * time_base)))
        self._base = time_base
        self._next = 0
        self._last = -1
        self._reformatter = VideoReformatter()
        self._stream = output.add_stream("libx264", rate=rate, options=X264)
        context = self._stream.codec_context
        context.width, context.height = size[0] + size[0] % 2, size[1] + size[1] % 2
        context.pix_fmt = "yuv420p"
        context.time_base = time_base
        context.flags |= Flags.frame_duration
        context.thread_count = 1 if size[0] * size[1] <= ONE_THREAD_PIXELS else min(2, os.cpu_count() or 1)
        # The matrix that players assume for this size, and the stream says so, too.
        self._hd = size[1] >= HD_HEIGHT
        context.colorspace = BT709 if self._hd else BT601
        context.color_primaries = context.color_trc = BT709
        context.color_range = ColorRange.MPEG

    @property
    def end(self) -> float:
        """When the last picture so far ends, in seconds."""
        return float(self._next * self._base)

    def add(self, image: NDArray[np.uint8], pts: int | None, duration: int | None) -> None:
        """Encodes a picture, (H, W, 3) uint8 RGB; without `pts` it follows the one before.

        A time that is not after the one before is moved just behind it. Raises OutputError for a wrong size.
        """
        width, height = self._size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise OutputError(
                f"A {image.dtype} picture of shape {image.shape} does not fit a video of {width}x{height} RGB bytes."
            )
        pts = self._next if pts is None else pts
        self._last = max(pts, self._last + 1) if self._last >= 0 else pts
        frame = self._converted(image)
        frame.pts = self._last
        frame.time_base = self._base
        frame.duration = duration or self._step
        self._next = self._last + frame.duration
        self._output.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encodes what the encoder still holds."""
        self._output.mux(self._stream.encode(None))

    def _converted(self, image: NDArray[np.uint8]) -> VideoFrame:
        width, height = self._size
        if width % 2 or height % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709 if self._hd else Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,
            threads=1,
        )
