"""Renders the demonstration: python -m training.make_demo FACEKIT OUT. OUT/source.jpg and OUT/driving.mp4, 512 px."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from mien.image import save_image
from mien.provenance import video_metadata
from training.demo_motion import SECONDS, motion_at
from training.render.camera import Camera
from training.render.head import Head
from training.render.lights import Lights
from training.render.looks import Look, sample_look
from training.render.motion import Motion
from training.render.sample import Stage, Studio

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SIZE: Final = 512
RATE: Final = 25
SEED_SOURCE: Final = 3
SEED_DRIVER: Final = 2

_PLEASANT: Final = {
    "mouthSmile_L": 0.36, "mouthSmile_R": 0.36, "mouthPress_L": 0.35, "mouthPress_R": 0.35, "cheekSquint_L": 0.15,
    "cheekSquint_R": 0.15, "eyeWide_L": 0.2, "eyeWide_R": 0.2,
}  # fmt: skip

_LIGHTS: Final = Lights(
    kind="studio",
    directions=np.array([(0.42, 0.45, 0.79), (-0.75, 0.1, 0.65), (-0.5, 0.5, -0.71)], np.float32),
    colours=np.array([(0.60, 0.57, 0.53), (0.14, 0.15, 0.17), (0.35, 0.36, 0.40)], np.float32),
    sky=np.array([0.40, 0.41, 0.43], np.float32),
    ground=np.array([0.27, 0.25, 0.24], np.float32),
    specular=0.2,
    sharpness=18.0,
)
_CAMERA: Final = Camera(
    gains=(1.08, 1.06, 1.04), gamma=0.97, contrast=1.04, lift=0.0, saturation=1.0, vignette=0.06, blur=0.0,
    motion=(0.0, 0.0), noise=0.0, grain=1, sharpen=0.15, shrink=1.0, jpeg=0,
)  # fmt: skip
_DISTANCE: Final = 110.0  # cm
_ZOOM: Final = 0.88
_CENTRE: Final = np.array([0.0, -0.03], np.float32)


def source_look(rng: np.random.Generator) -> Look:
    """The woman of the portrait: what the seed draws, in calm colours and without anything in front of her face."""
    return replace(
        _calm(sample_look(rng)), masculine=0.2, skin=(232.0, 190.0, 166.0), lips=(196.0, 112.0, 106.0), lipstick=0.4,
        iris=(96.0, 112.0, 92.0), brow=(74.0, 52.0, 40.0), brow_thickness=0.32, lashes=False, eye_liner=0.5,
        hair="wavy", hair_colour=(112.0, 76.0, 50.0), hairline=0.8, cloth=(62.0, 96.0, 118.0),
    )  # fmt: skip


def driver_look(rng: np.random.Generator) -> Look:
    """The man of the video."""
    return replace(
        _calm(sample_look(rng)), masculine=0.8, skin=(198.0, 150.0, 118.0), lips=(164.0, 102.0, 88.0), lipstick=0.0,
        iris=(88.0, 58.0, 34.0), brow=(40.0, 30.0, 26.0), brow_thickness=0.45, lashes=False, eye_liner=0.1,
        hair="side", hair_colour=(46.0, 34.0, 30.0), hairline=0.8, cloth=(72.0, 78.0, 72.0),
    )  # fmt: skip


def _calm(look: Look) -> Look:
    # the turtleneck, because these two bodies' shoulders pierce the thinner garments
    return replace(
        look, style="photo", age=0.2, blush=0.2, redness=0.15, blotches=0.35, wrinkles=0.08, under_eye=0.08,
        freckles=0.0, moles=0, eye_shadow_strength=0.0, brow_strength=0.7, brow_arch=0.08, brow_tilt=0.0, sclera=0.9,
        teeth=(232.0, 224.0, 206.0), beard="none", skin_gloss=0.2, glasses="none", hat="none", earrings="none",
        necklace="none", fringe=0.0, clothes="turtleneck", cloth_pattern="plain", hair_contrast=0.5,
    )  # fmt: skip


def backdrop(colour: tuple[int, int, int], size: int) -> Bytes:
    """A photographer's paper, (size, size, 3) uint8 RGB, lit from above the middle."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    fall = 1.12 - 0.22 * (x**2 + (y + 0.3) ** 2)
    return np.asarray(np.clip(fall[..., None] * np.asarray(colour), 0, 255), np.uint8)


def make_source(studio: Studio, seed: int) -> Bytes:
    """The portrait, (size, size, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    person, _ = studio.cast(rng, source_look(rng))
    names = studio.head.expression_names
    weights = np.array([_PLEASANT.get(n, 0.0) for n in names], np.float32)
    pose = np.radians([5.0, 0.0, -1.5]).astype(np.float32)
    gaze = -0.8 * pose[:2]  # at the camera
    motion = Motion(weights, gaze, pose, np.zeros(3, np.float32), np.zeros(2, np.float32), _ZOOM, _CENTRE)
    return next(studio.film(rng, person, [motion], _stage((142, 152, 158), studio.size)))


def make_driving(studio: Studio, seed: int, seconds: Sequence[float]) -> Iterator[Bytes]:
    """The video's pictures at these times, each (size, size, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    person, _ = studio.cast(rng, driver_look(rng))
    names = studio.head.expression_names
    motions = [motion_at(second, names, _ZOOM, _CENTRE) for second in seconds]
    return studio.film(rng, person, motions, _stage((168, 160, 148), studio.size))


def _stage(colour: tuple[int, int, int], size: int) -> Stage:
    return Stage(_DISTANCE, _LIGHTS, backdrop(colour, size), _CAMERA, follow=0.0)


def make_demo(facekit: Path, out: Path, seed_source: int, seed_driver: int) -> None:
    """Writes source.jpg and driving.mp4 into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    studio = Studio(Head.load(facekit), SIZE)
    save_image(out / "source.jpg", make_source(studio, seed_source))
    seconds = [k / RATE for k in range(round(SECONDS * RATE))]
    write_video(out / "driving.mp4", make_driving(studio, seed_driver, seconds))


def write_video(path: Path, pictures: Iterable[Bytes]) -> None:
    """H.264 at RATE, marked as synthetic; slower and a third of the size of what `mien.stream` writes in real time."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as output:
        output.metadata.update(video_metadata())
        stream = output.add_stream("libx264", rate=RATE, options={"preset": "slow", "crf": "22", "bf": "0"})
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = SIZE, SIZE, "yuv420p"
        context.thread_count = 1  # with more the file depends on the machine
        context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            output.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601)))
        output.mux(stream.encode(None))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facekit", type=Path, help="facekit.npz")
    parser.add_argument("out", type=Path, help="folder for source.jpg and driving.mp4")
    parser.add_argument("--seed-source", type=int, default=SEED_SOURCE, help="who the portrait shows")
    parser.add_argument("--seed-driver", type=int, default=SEED_DRIVER, help="who moves in the video")
    arguments = parser.parse_args()
    make_demo(arguments.facekit, arguments.out, arguments.seed_source, arguments.seed_driver)


if __name__ == "__main__":
    main()
