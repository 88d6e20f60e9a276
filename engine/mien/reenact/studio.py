"""The studio family: its networks chained, from a source picture and a driving motion to a finished picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mien.bundle import Bundle
from mien.faces import CROP_CM, Face, NetworkDetector, Tracked, Tracker, side_of
from mien.geometry import Similarity
from mien.reenact.following import face_of
from mien.reenact.motion import Floats, Motion, PointModel, draw_openings
from mien.reenact.transfer import CHANGES, Feature, Transfer
from mien.runners import Runner, There, open_runner
from mien.sessions import Session

SOURCE_CM = 30.0
"""Side of the source crop on the head; the generator redraws nothing outside it."""

CROP = 256
LOOKS = ((0.0, 0.0, 1.0), (-0.03, 0.0, 1.03), (0.03, 0.0, 0.97), (0.0, -0.03, 0.95), (0.0, 0.03, 1.05))
"""Offsets (shares of the side) and zooms of the crops whose motion is averaged for a source: it is read only once."""


@dataclass(frozen=True)
class StudioSource:
    """A source portrait, read once.

    ``image``: uint8 (H, W, 3) RGB, where the chain runs. ``crop``: pixels of the 256 px source crop to pixels of the
    image. ``motion``: the portrait's own, in the crop. ``shape``: (K, 3) cm, how this person differs from the mean
    head. ``points``: (K, 3). ``appearance``: what the appearance network says of it, by the generator's input names:
    features, context, identity, small, plate.
    """

    image: There
    crop: Similarity
    motion: Motion
    shape: Floats
    points: Floats
    appearance: Mapping[str, There]


class Studio:
    """The four networks and the point model of a bundle; holds nothing of any source or driver. See `Family`."""

    name = "studio"
    features: frozenset[Feature] = frozenset()
    motion_type = Motion

    def __init__(
        self, bundle: Bundle, device: str | Runner = "cpu", threads: int | None = None, backend: str = "ort"
    ) -> None:
        self.runner = open_runner(device, threads, backend)
        self.sessions: Mapping[str, Session] = {
            role: self.runner.open(bundle, role) for role in ("detector", "motion", "appearance", "generator")
        }
        self.points = PointModel(
            points=bundle.array("points"),
            basis=bundle.array("basis"),
            spread=bundle.array("spread"),
            rigid=bundle.array("rigid"),
            pivot=bundle.array("pivot"),
            limits=bundle.array("limits"),
        )

    def tracker(self) -> Tracker:
        """A tracker of its own for one clip or camera, over the shared networks."""
        detector = NetworkDetector(self.sessions["detector"], runner=self.runner)
        return Tracker(detector, self.sessions["motion"], runner=self.runner)

    def source(self, image: There, face: Tracked | None = None) -> StudioSource:
        """Read a portrait, uint8 (H, W, 3) RGB of any size: this face of it, or the most prominent.

        Raises ImageError, and NoFace where there is none.
        """
        picture = self.runner.own(image)
        tracked = face or face_of(self.tracker(), image)
        found = tracked.face
        place = Similarity.from_crop(found.centre, found.size * SOURCE_CM / CROP_CM, CROP)
        motion = self._settled(picture, found)
        shape = self.points.shape_of(motion)
        tensor = self.runner.crop(picture, place.matrix, CROP)
        points = self.points.project(motion, shape)
        return StudioSource(picture, place, motion, shape, points, self.look(tensor, points))

    def look(self, tensor: There, points: Floats) -> Mapping[str, There]:
        """What the appearance network says of a source crop, (1, 3, 256, 256) in 0..1, and of its points (K, 3)."""
        session = self.sessions["appearance"]
        return self.runner.run(session, {"image": tensor} | _openings(session, points))

    def _settled(self, image: There, face: Face) -> Motion:
        """The mean over a few crops of what the motion network says, in coordinates of the source crop."""
        size = side_of(self.sessions["motion"])
        x, y = face.centre
        places = [
            Similarity.from_crop((x + dx * face.size, y + dy * face.size), face.size * zoom, size)
            for dx, dy, zoom in LOOKS
        ]
        batch = self.runner.crop(image, [place.matrix for place in places], size)
        outputs = self.runner.answer(self.sessions["motion"], {"image": batch})
        frame = Similarity.from_crop(face.centre, face.size * SOURCE_CM / CROP_CM, size)
        seen = [
            Tracked(place, {k: v[i] for k, v in outputs.items()}, 1.0, size).seen_from(frame).outputs
            for i, place in enumerate(places)
        ]
        return Motion.of({k: np.mean([one[k] for one in seen], 0) for k in seen[0]})

    def motion(self, frame: There, tracked: Tracked) -> Motion:
        """A driver's motion; place and landmarks in pixels of the frame, so that the crop may move."""
        return Motion.of({**tracked.outputs, "place": tracked.place, "landmarks": tracked.landmarks})

    def render(self, source: StudioSource, driving: Motion, reference: Motion | None, transfer: Transfer) -> There:
        """The portrait as the driver moves it. Raises MotionError for what this family lacks, SessionError."""
        transfer.check(self.name, self.features)
        return self.draw(source, self.drive(source, driving, reference, transfer))

    def drive(
        self, source: StudioSource, driving: Motion, reference: Motion | None, transfer: Transfer = CHANGES
    ) -> Floats:
        """The source's points (K, 3) as the driver moves them; see `Family.render`."""
        shape = source.shape
        if not transfer.relative:
            motion = self.points.transfer(source.motion, driving, None)
        elif reference is None:
            motion = self.points.express(source.motion, driving)
        else:
            motion = self.points.transfer(source.motion, driving, reference)
            shape = shape + self.points.rest_of(driving, reference)
            heads = self.points.head(motion, shape), self.points.head(source.motion, source.shape)
            shape = shape + self.points.lids_of(*heads, driving, reference)
        points = self.points.project(motion, shape)
        return points if transfer.multiplier == 1 else _between(source.points, points, transfer.multiplier)

    def draw(self, source: StudioSource, points: Floats) -> There:
        """The portrait with its points (K, 3) moved: a new picture of the source's size."""
        maps = self.maps(source, points)
        return self.runner.warp_blend(
            source.image, maps["flow"][0], maps["visible"][0][0], maps["paint"][0], maps["mask"][0][0],
            source.crop.matrix, maps["shade"][0] if "shade" in maps else None,
        )  # fmt: skip

    def maps(self, source: StudioSource, points: Floats) -> Mapping[str, There]:
        """What the generator says of the source with its points (K, 3) moved: see `mien.kernels.warp_blend`."""
        session = self.sessions["generator"]
        places = {"source_points": source.points[None], "driving_points": points[None]}
        return self.runner.run(session, {**source.appearance, **places, **_openings(session, points)})


def _openings(session: Session, points: Floats) -> dict[str, Floats]:
    """The openings as the network was made for them: none, two maps, or three with the irises."""
    return {
        spec.name: draw_openings(points, irises=spec.shape[1] == 3)[None]
        for spec in session.inputs
        if spec.name == "openings"
    }


def _between(rest: Floats, moved: Floats, share: float) -> Floats:
    return (rest + np.float32(share) * (moved - rest)).astype(np.float32)
