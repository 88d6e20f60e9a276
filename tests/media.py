"""Makes every odd video that the tests need, at test time, with PyAV: nothing binary lies in the repository."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
BITS = 10

INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""Goes before a child's script that is sent SIGINT: under a shell's `&` or nohup it would inherit to ignore it."""


def marker(index: int, width: int = 128, height: int = 96) -> Picture:
    """(height, width, 3) uint8: grey, red in the upper left corner, and `index` in black and white bars below.

    Survives coarse compression; `read_marker` reads it back, and only from a picture that is upright.
    """
    image = np.full((height, width, 3), 128, np.uint8)
    image[: height // 4, : width // 4] = (200, 30, 30)
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    for bit in range(BITS):
        image[height // 2 :, edges[bit] : edges[bit + 1]] = 235 if index >> bit & 1 else 20
    return image


def read_marker(image: Picture) -> int:
    """The number in a marker picture. Raises AssertionError for a picture that is none, or not upright."""
    height, width = image.shape[:2]
    corner = image[: height // 5, : width // 5].mean((0, 1))
    assert corner[0] > corner[1] + 80 and corner[0] > corner[2] + 80, f"no red corner: {corner}"
    edges = np.linspace(0, width, BITS + 1)
    middles = ((edges[1:] + edges[:-1]) / 2).astype(int)
    return sum(int(image[height * 3 // 4, x].mean() > 128) << bit for bit, x in enumerate(middles))


def markers(count: int, width: int = 128, height: int = 96) -> list[Picture]:
    return [marker(index, width, height) for index in range(count)]


def write_video(
    path: Path,
    frames: Iterable[Picture],
    *,
    rate: Fraction = Fraction(25),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    time_base: Fraction | None = None,
    pts: Sequence[int] | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    pixel_aspect: Fraction | None = None,
    audio: str | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """Encodes (H, W, 3) or (H, W, 4) uint8 pictures, with a tone of the same length where an audio codec is named."""
    frames = list(frames)
    with av.open(str(path), "w", options=container or {}) as output:
        video = output.add_stream(codec, rate=rate, options={**_FAST.get(codec, {}), **(options or {})})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = pixels
        video.codec_context.thread_count = 1
        video.codec_context.time_base = time_base or 1 / rate
        if pixels.startswith("gray"):
            video.codec_context.color_range = 2  # grey is written at full range; say so, as H.264 assumes the other
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation or mirrored:
            video.set_display_rotation(rotation, hflip=mirrored)
        sound = output.add_stream(audio, rate=44100) if audio else None
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, "rgb24" if image.shape[2] == 3 else "rgba")
            frame.pts = index if pts is None else pts[index]
            frame.time_base = time_base or 1 / rate
            output.mux(video.encode(frame))
        output.mux(video.encode())
        if sound is not None:
            for tone in _tone(sound.codec_context.format.name, float(len(frames) / rate)):
                output.mux(sound.encode(tone))
            output.mux(sound.encode())
    return path


_FAST = {
    "libx264": {"preset": "ultrafast", "crf": "12"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=error"},
}


def _tone(form: str, seconds: float, rate: int = 44100, block: int = 1024) -> Iterable[av.AudioFrame]:
    samples = np.sin(np.arange(int(seconds * rate)) * (440 * 2 * np.pi / rate)) * 0.3
    for start in range(0, len(samples), block):
        part = samples[start : start + block]
        stereo = np.stack([part, part])
        if form.startswith("s16"):
            stereo = (stereo * 32767).astype(np.int16)
        packed = stereo if form.endswith("p") else stereo.T.reshape(1, -1)
        dtype = packed if packed.dtype == np.int16 else packed.astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(dtype), format=form, layout="stereo")
        frame.sample_rate = rate
        frame.pts = start
        yield frame


def truncated(source: Path, path: Path, share: float) -> Path:
    """The first `share` of the bytes of a file, as another file."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@dataclass(frozen=True)
class Clip:
    """A whole video as plain PyAV sees it."""

    images: list[Picture]
    times: list[Fraction]
    """Seconds."""
    rate: Fraction | None
    duration: Fraction
    """Seconds."""
    codec: str
    pixels: str | None


def read_video(path: Path) -> Clip:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = stream.time_base or Fraction(0)
        frames = list(container.decode(stream))
        return Clip(
            images=[f.to_ndarray(format="rgb24") for f in frames],
            times=[f.pts * base for f in frames],
            rate=stream.average_rate,
            duration=(stream.duration or 0) * base,
            codec=stream.codec_context.name,
            pixels=stream.codec_context.pix_fmt,
        )


def audio_packets(path: Path) -> list[tuple[bytes, float]]:
    """The bytes and time in seconds of every audio packet."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(bytes(p), float(p.pts * p.time_base)) for p in packets if p.size]
