"""Two public networks, YuNet and Face Mesh, as outside judges of faces in clips, and the comparison of two clips.

The judges share no code with mien's own tracking, so that a mistake there cannot hide itself here. Run as a program it
says how much clips move: python -m benchmarks.judge CLIP...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av
import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort  # type: ignore[import-untyped]
import typer

from benchmarks import measure
from mien import hub

MIRROR_HELP = "folder or URL from which `mien pull` fetches the judges, instead of their public addresses"

# Points of Face Mesh that the skull carries: forehead, temples, nose bridge, corners of the eyes.
STABLE = np.array(
    [10, 67, 109, 297, 338, 103, 332, 151, 9, 8, 168, 6, 197, 195, 54, 284, 21, 251, 127, 356, 33, 133, 263, 362]
)
BROW_RIGHT, BROW_LEFT = np.array([63, 105, 66]), np.array([293, 334, 296])

# A quantity counts for a clip only where its 5th to 95th percentile range in the driver exceeds this (degrees; ratios).
LEAST_RANGE = {
    "yaw": 6.0,
    "pitch": 6.0,
    "roll": 6.0,
    "mouth": 0.04,
    "eye_left": 0.03,
    "eye_right": 0.03,
    "smile": 0.04,
    "brow": 0.03,
}

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measures:
    """What the judges saw in a clip of T frames; everything is NaN in a frame where YuNet found no face."""

    boxes: Floats
    """(T, 5): left, top, width, height in pixels, and YuNet's score in 0..1."""
    landmarks: Floats
    """(T, 468, 3): x right, y down, z away from the viewer, all in pixels of the frame."""

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """(T,): whether YuNet found a face."""
        return np.isfinite(self.boxes[:, 0])

    def quantities(self) -> dict[str, Floats]:
        """The compared quantities, each (T,): see `quantities`."""
        return quantities(self.landmarks)

    def save(self, path: Path) -> None:
        """Write as npz (float32)."""
        np.savez_compressed(path, boxes=self.boxes.astype(np.float32), landmarks=self.landmarks.astype(np.float32))

    @staticmethod
    def load(path: Path) -> Measures:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            return Measures(arrays["boxes"].astype(np.float64), arrays["landmarks"].astype(np.float64))


class Judge:
    """YuNet's box, enlarged 1.5 times, then Face Mesh on it, frame by frame and without any smoothing."""

    def __init__(self, yunet_path: Path, face_mesh_path: Path, threads: int = 1) -> None:
        self._yunet = cv2.FaceDetectorYN.create(str(yunet_path), "", (320, 320), score_threshold=0.6)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._mesh = ort.InferenceSession(str(face_mesh_path), options, providers=["CPUExecutionProvider"])

    @staticmethod
    def pulled(mirror: str | None = None) -> Judge:
        """With both networks as `mien pull` gives them, from its cache or fetched now."""
        return Judge(hub.pull("yunet", mirror), hub.pull("face-mesh", mirror))

    def detect(self, image: Image) -> Floats | None:
        """Left, top, width, height (pixels) and score of the most prominent face in an RGB picture, or None."""
        height, width = image.shape[:2]
        # YuNet's anchors end at faces of some hundred pixels.
        shrink = min(1.0, 640 / max(height, width))
        small = (max(round(width * shrink), 1), max(round(height * shrink), 1))
        bgr = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), small, interpolation=cv2.INTER_AREA)
        self._yunet.setInputSize(small)
        faces = self._yunet.detect(bgr)[1]
        if faces is None or not len(faces):
            return None
        best = faces[np.argmax(faces[:, 2] * faces[:, 3] * faces[:, 14])].astype(np.float64)
        scale = np.array([width / small[0], height / small[1]])
        return np.concatenate([best[:2] * scale, best[2:4] * scale, best[14:15]])

    def landmarks(self, image: Image, box: Floats) -> Floats:
        """(468, 3) Face Mesh landmarks in pixels of an RGB picture, given a face's box."""
        side = max(round(1.5 * max(box[2], box[3])), 2)
        left, top = round(box[0] + box[2] / 2 - side / 2), round(box[1] + box[3] / 2 - side / 2)
        interpolation = cv2.INTER_AREA if side > 192 else cv2.INTER_LINEAR
        patch = cv2.resize(_square(image, left, top, side), (192, 192), interpolation=interpolation)
        feed = patch[None].astype(np.float32) / 255
        points = np.asarray(self._mesh.run(None, {self._mesh.get_inputs()[0].name: feed})[0], np.float64)
        mapped: Floats = points.reshape(468, 3) * (side / 192) + (left, top, 0)
        return mapped

    def measure(self, frames: Iterable[Image]) -> Measures:
        """Judge RGB frames one after the other."""
        boxes, landmarks = [], []
        for frame in frames:
            box = self.detect(frame)
            boxes.append(np.full(5, np.nan) if box is None else box)
            landmarks.append(np.full((468, 3), np.nan) if box is None else self.landmarks(frame, box))
        return Measures(np.array(boxes).reshape(-1, 5), np.array(landmarks).reshape(-1, 468, 3))

    def measure_clip(self, clip: Path, cache: Path | None = None) -> Measures:
        """Judge a video file; with a cache folder, only once for each state of the file."""
        if cache is None:
            return self.measure(read_clip(clip))
        stat = clip.stat()
        stored = cache / f"{clip.stem}-{stat.st_size:x}-{stat.st_mtime_ns:x}.npz"
        if stored.exists():
            return Measures.load(stored)
        measures = self.measure(read_clip(clip))
        cache.mkdir(parents=True, exist_ok=True)
        measures.save(stored)
        return measures


def read_clip(path: Path) -> Iterator[Image]:
    """The frames of a video file, uint8 (H, W, 3) RGB."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def _square(image: Image, left: int, top: int, side: int) -> Image:
    """The square with this corner, the picture's border repeated where the square leaves it."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return np.ascontiguousarray(image[rows[:, None], columns])


def quantities(landmarks: Floats) -> dict[str, Floats]:
    """What is compared, from (T, 468, 3) landmarks in pixels.

    yaw, pitch, roll: degrees relative to the first frame with a face, positive to the subject's left, downwards, and
    with the top of the head to the subject's right. mouth: inner-lip gap over face height. eye_left, eye_right (the
    subject's): lid gap; smile: mouth width; brow: height of the brows above the corners of the eyes; these four over
    the distance of the outer corners of the eyes.
    """
    flat = landmarks[..., :2]

    def gap(one: int, other: int) -> Floats:
        distance: Floats = np.linalg.norm(flat[:, one] - flat[:, other], axis=-1)
        return distance

    eyes = gap(33, 263)
    along = (flat[:, 263] - flat[:, 33]) / eyes[:, None]
    up = np.stack([along[:, 1], -along[:, 0]], axis=-1)
    brows = (flat[:, BROW_RIGHT].mean(1) + flat[:, BROW_LEFT].mean(1) - flat[:, 33] - flat[:, 263]) / 2
    yaw, pitch, roll = np.degrees(head_angles(landmarks)).T
    return {
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "mouth": gap(13, 14) / gap(10, 152),
        "eye_left": gap(386, 374) / eyes,
        "eye_right": gap(159, 145) / eyes,
        "smile": gap(61, 291) / eyes,
        "brow": (brows * up).sum(-1) / eyes,
    }


def head_angles(landmarks: Floats) -> Floats:
    """(T, 3) yaw, pitch, roll in radians of (T, 468, 3) landmarks, relative to the first frame with a face."""
    # To the head frame: y up, z towards the viewer.
    points = landmarks[:, STABLE] * (1, -1, -1)
    seen = np.isfinite(points).all((1, 2))
    angles = np.full((len(points), 3), np.nan)
    if seen.any():
        reference = points[np.argmax(seen)]
        for frame in np.flatnonzero(seen):
            angles[frame] = euler(fit_rotation(reference, points[frame]))
    return angles


def fit_rotation(source: Floats, target: Floats) -> Floats:
    """(3, 3) rotation that best turns (N, 3) points onto others, free in place and scale (Umeyama, PAMI 1991)."""
    covariance = (target - target.mean(0)).T @ (source - source.mean(0))
    u, _, vt = np.linalg.svd(covariance)
    rotation: Floats = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return rotation


def euler(rotation: Floats) -> Floats:
    """Yaw, pitch, roll of R = Ry(yaw) Rx(pitch) Rz(roll), radians."""
    pitch = np.arcsin(np.clip(-rotation[1, 2], -1, 1))
    yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[1, 1])
    return np.array([yaw, pitch, roll])


@dataclass(frozen=True)
class Agreement:
    """How one quantity of a clip follows the driver's."""

    quantity: str
    driver_range: float
    """5th to 95th percentile in the driver: degrees or ratio."""
    counted: bool
    """Whether the driver moves enough for the comparison to mean anything."""
    correlation: float
    gain: float
    """Slope of the regression of the result on the driver; 1 is right."""


def spread(values: Floats) -> float:
    """5th to 95th percentile range of the finite values; 0 without any."""
    finite = values[np.isfinite(values)]
    return float(np.subtract(*np.percentile(finite, [95, 5]))) if len(finite) else 0.0


def compare(driver: Mapping[str, Floats], result: Mapping[str, Floats]) -> list[Agreement]:
    """One row per quantity that both tables have, over the frames in which both are known."""
    rows = []
    for name in (name for name in driver if name in result):
        if len(driver[name]) != len(result[name]):
            raise ValueError(f"{name}: the driver has {len(driver[name])} frames, the result {len(result[name])}")
        correlation, gain = _regress(driver[name], result[name])
        extent = spread(driver[name])
        rows.append(Agreement(name, extent, extent > LEAST_RANGE.get(name, np.inf), correlation, gain))
    return rows


def _regress(x: Floats, y: Floats) -> tuple[float, float]:
    """Correlation and slope of y on x over the finite pairs; a constant y has correlation 0."""
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 3:
        return float("nan"), float("nan")
    dx, dy = x[known] - x[known].mean(), y[known] - y[known].mean()
    xx, yy, xy = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    if xx == 0:
        return float("nan"), float("nan")
    return (xy / np.sqrt(xx * yy) if yy > 0 else 0.0), xy / xx


def show_agreement(title: str, clips: Mapping[str, list[Agreement]]) -> None:
    """Print correlation and gain of each quantity (row) in each clip (column)."""
    names = list(dict.fromkeys(row.quantity for rows in clips.values() for row in rows))
    cells = {(clip, row.quantity): _cell(row) for clip, rows in clips.items() for row in rows}
    lines = [[name, *(cells.get((clip, name), "") for clip in clips)] for name in names]
    measure.show(f"{title}: correlation (gain)", ["quantity", *clips], lines)


def _cell(row: Agreement) -> str:
    return f"{row.correlation:.2f} ({row.gain:.2f})" if row.counted else "not counted"


def show_ranges(clips: Mapping[str, Measures]) -> None:
    """Print how much each clip moves, in brackets what is too little to count."""
    tables = {name: clip.quantities() for name, clip in clips.items()}
    lines: list[list[object]] = [["frames", *(len(clip.boxes) for clip in clips.values())]]
    lines.append(["face found", *(f"{clip.found.mean():.1%}" for clip in clips.values())])
    for quantity, least in LEAST_RANGE.items():
        extents = [spread(table[quantity]) for table in tables.values()]
        lines.append([f"{quantity} > {least:g}", *(f"{e:.3f}" if e > least else f"({e:.3f})" for e in extents)])
    measure.show("5th to 95th percentile range (in brackets: not counted)", ["quantity", *clips], lines)


def main(
    clips: Annotated[list[Path], typer.Argument(help="video files")],
    mirror: Annotated[str | None, typer.Option(help=MIRROR_HELP)] = None,
    cache: Annotated[Path | None, typer.Option(help="folder for measures, so that a clip is measured once")] = None,
    json: Annotated[Path | None, typer.Option(help="write the ranges here")] = None,
) -> None:
    """Measure how much clips move, and say which quantities count for them."""
    judge = Judge.pulled(mirror)
    measured = {clip.stem: judge.measure_clip(clip, cache) for clip in clips}
    show_ranges(measured)
    if json:
        ranges = {name: {q: spread(v) for q, v in clip.quantities().items()} for name, clip in measured.items()}
        measure.write_json(json.stem, {"ranges": ranges, "least_range": LEAST_RANGE}, json.parent)


if __name__ == "__main__":
    typer.run(main)
