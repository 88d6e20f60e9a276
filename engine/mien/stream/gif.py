"""A film as a GIF that repeats for ever: 256 colours, chosen for all of its pictures together."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mien.errors import OutputError
from mien.provenance import xmp
from mien.stream.film import FilmFile, check_room, our_errors

TICKS = 100
"""A GIF counts hundredths of a second."""
LEAST_TICKS = 2
"""Players show a picture that lasts less than this for a tenth of a second."""
# The palette needs no more than this many pixels a side of each picture; every n-th is taken, no new colours are mixed.
PALETTE_SIDE = 256
# Bayer's pattern hangs on the place alone, so what does not move does not shimmer, and costs nothing. On 60 frames of a
# talking head, 512x512, PSNR against the film, size: scale 5 44.3 dB, 1.2 MB; scale 3 39.5 dB, 1.4 MB; error diffusion
# (sierra2_4a) 43.3 dB, 1.5 MB, and the still background flickers by up to 38 levels.
DITHER = "dither=bayer:bayer_scale=5"
# Lossless, for the pictures that wait until all colours are known.
SPOOL = {"qp": "0", "preset": "ultrafast"}
TRAILER = b";"


class GifSink(FilmFile):
    """A GIF of the pictures and times it is given, without sound; it repeats for ever.

    One palette for all pictures avoids flicker, so they wait in a lossless file beside the part until the last has
    come: memory stays that of a few pictures. Times become hundredths of a second.
    """

    def __init__(
        self, path: str | os.PathLike[str], size: tuple[int, int], rate: Fraction, time_base: Fraction | None = None
    ) -> None:
        """`size` is width and height; `time_base` (seconds per unit of pts) is 1/rate unless given.

        Raises OutputError where the place cannot be written and for more than 50 pictures a second, DiskFull.
        """
        super().__init__(path)
        if rate > Fraction(TICKS, LEAST_TICKS):
            most = TICKS // LEAST_TICKS
            raise OutputError(f"A GIF shows at most {most} pictures a second, and {float(rate):g} were asked for.")
        self._size = size
        self._base = time_base or 1 / rate
        self._step = max(1, round(1 / (rate * self._base)))
        self._next = 0
        self._ticks: list[int] = []
        self._spool_path = self.path.with_name(f"{self.path.stem}.part.mkv")
        self._palette = _Palette(size)
        with our_errors(self.path):
            self._spool: OutputContainer = av.open(os.path.abspath(self._spool_path), "w")
        try:
            with our_errors(self.path):
                self._stream = _spool_stream(self._spool, size)
            check_room(self.path, 0)
        except BaseException:
            self._discard()
            raise

    def _add(self, image: NDArray[np.uint8], pts: int | None, duration: int | None) -> None:
        width, height = self._size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise OutputError(
                f"A {image.dtype} picture of shape {image.shape} does not fit a GIF of {width}x{height} RGB bytes."
            )
        start = self._next if pts is None else pts
        self._next = start + (duration or self._step)
        tick = round(start * self._base * TICKS)
        self._ticks.append(max(tick, self._ticks[-1] + LEAST_TICKS) if self._ticks else tick)
        frame = _frame(image, self.frames, Fraction(1))
        self._spool.mux(self._stream.encode(frame))
        self._palette.see(image)

    def _complete(self, whole: bool) -> None:
        try:
            self._spool.mux(self._stream.encode(None))
            self._spool.close()
            last = max(LEAST_TICKS, round(self._next * self._base * TICKS) - self._ticks[-1])
            with av.open(os.path.abspath(self._spool_path)) as spooled:
                pictures = zip(spooled.decode(spooled.streams.video[0]), self._ticks, strict=True)
                _write_gif(self._part, pictures, self._palette.chosen(), self._size, last)
            _mark(self._part)
        finally:
            self._spool_path.unlink(missing_ok=True)

    def _release(self) -> None:
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._spool.close()
        self._spool_path.unlink(missing_ok=True)


class _Palette:
    """The 256 colours that fit all the pictures it has seen."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._stride = -(-max(size) // PALETTE_SIDE)
        self._graph = Graph()
        width, height = (-(-side // self._stride) for side in size)
        self._pictures = _buffer(self._graph, width, height, "rgb24", Fraction(1))
        self._colours = self._graph.add("buffersink")
        self._graph.link_nodes(self._pictures, self._graph.add("palettegen", "stats_mode=full"), self._colours)
        self._graph.configure()
        self._seen = 0

    def see(self, image: NDArray[np.uint8]) -> None:
        few = np.ascontiguousarray(image[:: self._stride, :: self._stride])
        self._pictures.push(_frame(few, self._seen, Fraction(1)))
        self._seen += 1

    def chosen(self) -> VideoFrame:
        """The colours as a picture of 16x16; nothing can be seen after this."""
        self._pictures.push(None)
        return _video_frame(self._colours)


def _write_gif(
    path: Path, pictures: Iterator[tuple[VideoFrame, int]], palette: VideoFrame, size: tuple[int, int], last: int
) -> None:
    """Pictures with their times in ticks, `last` how long the last one stays."""
    base = Fraction(1, TICKS)
    graph = Graph()
    films = _buffer(graph, *size, "rgb24", base)
    colours = _buffer(graph, palette.width, palette.height, palette.format.name, base)
    mapped, out = graph.add("paletteuse", DITHER), graph.add("buffersink")
    films.link_to(mapped, 0, 0)
    colours.link_to(mapped, 0, 1)
    mapped.link_to(out)
    graph.configure()
    palette.pts, palette.time_base = 0, base
    colours.push(palette)
    colours.push(None)
    options = {"loop": "0", "final_delay": str(last)}
    with av.open(os.path.abspath(path), "w", format="gif", options=options) as output:
        stream = output.add_stream("gif", rate=TICKS)
        stream.width, stream.height = size
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = base
        for picture, tick in pictures:
            films.push(_frame(np.asarray(picture.to_ndarray(format="rgb24"), np.uint8), tick, base))
            for frame in _ready(out):
                output.mux(stream.encode(frame))
        films.push(None)
        for frame in _ready(out):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _ready(sink: FilterContext) -> Iterator[VideoFrame]:
    with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield _video_frame(sink)


def _video_frame(sink: FilterContext) -> VideoFrame:
    return cast(VideoFrame, sink.pull())


def _buffer(graph: Graph, width: int, height: int, pixels: str, base: Fraction) -> FilterContext:
    return graph.add_buffer(width=width, height=height, format=VideoFormat(pixels), time_base=base)


def _frame(image: NDArray[np.uint8], pts: int, base: Fraction) -> VideoFrame:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
    frame.pts = pts
    frame.time_base = base
    return frame


def _spool_stream(spool: OutputContainer, size: tuple[int, int]) -> VideoStream:
    stream = spool.add_stream("libx264rgb", rate=1, options=SPOOL)
    stream.width, stream.height = size
    stream.pix_fmt = "rgb24"
    stream.codec_context.thread_count = 1
    return stream


def _mark(path: Path) -> None:
    """Puts the mark that says the film is synthetic before the file's last byte, as an XMP application extension."""
    # The packet is no chain of sub-blocks; whoever reads it as one lands in this run-out, which leads to its end.
    run_out = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != TRAILER:
            raise OutputError(f"{path} does not end as a GIF does; it cannot be marked as synthetic.")
        file.seek(-1, os.SEEK_END)
        file.write(b"\x21\xff\x0bXMP DataXMP" + xmp() + run_out + TRAILER)
