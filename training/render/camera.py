"""Camera: what a lens, a sensor and a JPEG encoder do to a rendered picture; drawn once per scene, noise per frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Camera:
    """One camera's character.

    gains: white balance times exposure per channel; gamma, contrast, lift: tone curve; saturation: 0 is grey;
    vignette: light lost in the corners; blur: lens blur, sigma in pixels; motion: (pixels, radians), 0 px is none;
    noise: standard deviation of 255 levels; grain: size of the noise in pixels, 1 or 2; sharpen: unsharp amount;
    shrink: the picture passes through a size of 1 / shrink; jpeg: quality 1 to 100, or 0 for none.
    """

    gains: tuple[float, float, float]
    gamma: float
    contrast: float
    lift: float
    saturation: float
    vignette: float
    blur: float
    motion: tuple[float, float]
    noise: float
    grain: int
    sharpen: float
    shrink: float
    jpeg: int


def sample_camera(rng: np.random.Generator) -> Camera:
    """Draw a camera: most are decent, some are poor."""
    poor = rng.random() < 0.2
    exposure = float(np.exp(rng.normal(0.15, 0.16)))
    warmth, green = rng.normal(0, 0.05), rng.normal(0, 0.015)
    return Camera(
        gains=(exposure * (1 + warmth), exposure * (1 + green), exposure * (1 - warmth)),
        gamma=float(np.exp(rng.normal(0, 0.12))),
        contrast=float(rng.normal(1.05, 0.12)),
        lift=float(abs(rng.normal(0, 0.02))),
        saturation=0.0 if rng.random() < 0.05 else float(np.clip(rng.normal(1.0, 0.2), 0.3, 1.5)),
        vignette=float(abs(rng.normal(0, 0.12))) if rng.random() < 0.5 else 0.0,
        blur=float(rng.uniform(0.3, 1.4) if poor else rng.uniform(0, 0.5)),
        motion=(float(rng.uniform(2, 6)) if rng.random() < 0.07 else 0.0, float(rng.uniform(0, np.pi))),
        noise=float(rng.uniform(3, 12) if poor else rng.uniform(0.3, 4)),
        grain=1 if rng.random() < 0.6 else 2,
        sharpen=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.4 else 0.0,
        shrink=float(rng.uniform(1.3, 2.4)) if poor and rng.random() < 0.6 else 1.0,
        jpeg=0 if rng.random() < 0.2 else int(rng.uniform(35, 75) if poor else rng.uniform(70, 97)),
    )


def develop(camera: Camera, image: NDArray[np.float32] | Bytes, rng: np.random.Generator) -> Bytes:
    """Take one picture. image (H, W, 3) RGB, sRGB-coded, uint8 or float32 in [0, 1]; returns (H, W, 3) uint8 RGB."""
    picture = np.asarray(image if image.dtype == np.uint8 else cv2.convertScaleAbs(image, alpha=255.0), np.uint8)
    height, width = picture.shape[:2]
    picture = _optics(camera, np.ascontiguousarray(picture, np.uint8))
    picture = _bytes(cv2.LUT(picture, _tone(camera)))
    if camera.saturation != 1.0:
        picture = _bytes(cv2.transform(picture, _saturation(camera.saturation)))
    if camera.vignette > 0:
        shade = 1 - camera.vignette * _radius(height, width)
        picture = _bytes(cv2.multiply(picture, shade, dtype=cv2.CV_8U))
    if camera.noise > 0:
        picture = _bytes(cv2.add(picture, _noise(camera, height, width, rng), dtype=cv2.CV_8U))
    if camera.sharpen > 0:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
        picture = _bytes(cv2.addWeighted(picture, 1 + camera.sharpen, soft, -camera.sharpen, 0))
    if camera.jpeg > 0:
        swapped = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", swapped, (cv2.IMWRITE_JPEG_QUALITY, camera.jpeg))
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
    return np.ascontiguousarray(picture, np.uint8)


def _bytes(array: object) -> Bytes:
    return np.asarray(array, np.uint8)


def _optics(camera: Camera, picture: Bytes) -> Bytes:
    height, width = picture.shape[:2]
    if camera.motion[0] > 0:
        picture = np.asarray(cv2.filter2D(picture, -1, _streak(*camera.motion)), np.uint8)
    if camera.blur > 0.2:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), camera.blur), np.uint8)
    if camera.shrink > 1:
        small = (max(1, round(width / camera.shrink)), max(1, round(height / camera.shrink)))
        picture = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return picture


def _tone(camera: Camera) -> Bytes:
    """The tone curve of each channel as a (1, 256, 3) table: gains in linear light, then contrast about mid grey."""
    level = np.linspace(0, 1, 256)[:, None]
    linear = level**2.2 * np.asarray(camera.gains)
    coded = np.clip(linear, 0, None) ** (camera.gamma / 2.2)
    coded = np.where(coded > 0.8, 0.8 + 0.2 * np.tanh((coded - 0.8) / 0.2), coded)
    curved = (coded - 0.5) * camera.contrast + 0.5
    curved = camera.lift + (1 - camera.lift) * np.clip(curved, 0, 1)
    return _bytes(np.clip(np.rint(curved * 255), 0, 255))[None]


def _saturation(amount: float) -> NDArray[np.float32]:
    grey = np.array([[0.299, 0.587, 0.114]], np.float32).repeat(3, axis=0)
    return np.asarray(amount * np.eye(3, dtype=np.float32) + (1 - amount) * grey, np.float32)


@cache
def _radius(height: int, width: int) -> NDArray[np.float32]:
    """(H, W, 3): squared distance from the centre, 1 in the corners."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    square = ((x * x + y * y) / 2).astype(np.float32)
    return np.ascontiguousarray(np.repeat(square[..., None], 3, axis=2))


@cache
def _noise_bank() -> NDArray[np.float32]:
    """(640, 640, 3) normal noise of unit variance, one third of it shared by the channels."""
    rng = np.random.default_rng(9)
    own = rng.standard_normal((640, 640, 3), dtype=np.float32)
    shared = rng.standard_normal((640, 640, 1), dtype=np.float32)
    return np.asarray(0.58 * own + 0.81 * shared, np.float32)


def _noise(camera: Camera, height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    bank = _noise_bank()
    rows, columns = -(-height // camera.grain), -(-width // camera.grain)
    if rows > bank.shape[0] or columns > bank.shape[1]:
        part = rng.standard_normal((rows, columns, 3), dtype=np.float32)
    else:
        top = int(rng.integers(bank.shape[0] - rows + 1))
        left = int(rng.integers(bank.shape[1] - columns + 1))
        part = bank[top : top + rows, left : left + columns]
    noise = np.asarray(part * np.float32(camera.noise))
    if camera.grain > 1:
        noise = cv2.resize(noise, (columns * camera.grain, rows * camera.grain), interpolation=cv2.INTER_LINEAR)
    return np.asarray(noise[:height, :width], np.float32)


def _streak(length: float, angle: float) -> NDArray[np.float32]:
    """A motion blur kernel, (9, 9), sum 1."""
    kernel = np.zeros((9, 9), np.float32)
    step = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start, stop = (4 - step) * 16, (4 + step) * 16
    ends = [(round(float(p[0])), round(float(p[1]))) for p in (start, stop)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 4)
    return np.asarray(kernel / kernel.sum(), np.float32)
