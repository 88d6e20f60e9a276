"""The LivePortrait family: a portrait's keypoints, moved by a driver, redrawn as a crop and pasted back.

Guo et al., LivePortrait: Efficient Portrait Animation with Stitching and Retargeting Control, 2024. Here it follows the
studio's tracker instead of the public code's landmark networks, takes every driving frame from a crop that holds still
instead of a clip's mean crop, and keeps the rest of the driver's motion where eyes or lips are retargeted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.bundle import Bundle
from mien.errors import BundleInvalid, MotionError
from mien.faces import Tracked, Tracker, side_of
from mien.geometry import Similarity
from mien.image import to_tensor
from mien.reenact import keypoints, retarget
from mien.reenact.crops import cut, driving_crop, paste, portrait_crop
from mien.reenact.finite import numbers
from mien.reenact.following import Follower, face_of
from mien.reenact.keypoints import EYES, LIPS, Head
from mien.reenact.liveportrait_motion import LivePortraitMotion
from mien.reenact.transfer import Feature, Transfer
from mien.runners import Runner, There, kept, open_runner
from mien.sessions import Session

Floats = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.float32]]

LANDMARKS = 68
"""The tracker's first landmarks are in the order of Multi-PIE, which the crop rule knows; more follow."""

OPEN_LIPS = 0.03
"""Below this opening a mouth is closed, and needs no closing."""


@dataclass(frozen=True, eq=False)
class LivePortraitSource:
    """A portrait, read once.

    ``image``: uint8 (H, W, 3) RGB, where the chain runs. ``crop``: pixels of its crop to pixels of the image.
    ``canonical``: (21, 3) and ``head``: its own keypoints, and how they stand; ``points``: (21, 3) where that puts
    them. ``openings``: of its eyes and lips, None where they could not be measured. ``closing``: (21, 3), moves the
    points so that the mouth closes; 0 where it is closed. ``appearance``: what the generator is fed of it in every
    frame.
    """

    image: There
    crop: Similarity
    canonical: Floats
    head: Head
    points: Floats
    openings: retarget.Openings | None
    closing: Floats
    appearance: Mapping[str, There]


class LivePortrait:
    """The networks of a LivePortrait bundle and the arithmetic around them; see `Family`.

    Raises BundleInvalid where the bundle lacks a network, the neutral lips or the crop's size; DeviceError,
    SessionError. A bundle without ``retarget_eye`` and ``retarget_lip`` cannot retarget.
    """

    name = "liveportrait"
    motion_type = LivePortraitMotion

    def __init__(
        self, bundle: Bundle, device: str | Runner = "cpu", threads: int | None = None, backend: str = "ort"
    ) -> None:
        self.runner = open_runner(device, threads, backend)
        extra = [role for role in ("retarget_eye", "retarget_lip") if role in bundle.manifest.networks]
        own = {role: self.runner.open(bundle, role) for role in ("motion", "appearance", "generator", *extra)}
        self._follower = Follower(self.runner)
        self.sessions: Mapping[str, Session] = {**own, **self._follower.sessions}
        self.features: frozenset[Feature] = frozenset(
            ("regions", "retargeting", "lip normalisation") if len(extra) == 2 else ("regions",)
        )
        self._neutral = _neutral_lips(bundle)
        self._side = _crop_side(bundle)
        self._pixels = side_of(own["motion"])
        self._fed = frozenset(spec.name for spec in own["generator"].inputs)

    def tracker(self) -> Tracker:
        """A tracker of its own for one clip or camera, over the studio's networks."""
        return self._follower.tracker()

    def source(
        self, image: There, face: Tracked | None = None, landmarks: ArrayLike | None = None
    ) -> LivePortraitSource:
        """Read a portrait, uint8 (H, W, 3) RGB of any size: this face of it, or the most prominent.

        ``landmarks``: (N, 2) in pixels, of a face that was found otherwise; 203, 106, 101, 68 or 5. Openings can be
        measured on 203 and 68 of them. Where the crop reaches beyond the picture it is black. Raises ImageError,
        InputError for other landmarks, and NoFace where there is none.
        """
        picture = self.runner.own(image)
        if landmarks is None:
            seen = (face or face_of(self.tracker(), image)).landmarks
            return self._source(picture, portrait_crop(seen[:LANDMARKS], self._side), retarget.tracked_openings(seen))
        return self._source(picture, portrait_crop(landmarks, self._side), retarget.openings_by_count(landmarks))

    def _source(self, picture: There, place: Similarity, openings: retarget.Openings | None) -> LivePortraitSource:
        seen = cut(self.runner.host(picture), place, self._side)
        small = cv2.resize(seen, (self._pixels, self._pixels), interpolation=cv2.INTER_AREA)
        tensor = to_tensor(np.asarray(small, np.uint8))
        head, canonical = _read(numbers(self.runner.answer(self.sessions["motion"], {"image": tensor}), "motion"))
        points = keypoints.placed(canonical, head)
        feeds = {"image": tensor, "source_points": _tensor(points)}
        given = numbers(self.runner.answer(self.sessions["appearance"], feeds), "appearance")
        appearance = kept(self.runner, {name: value for name, value in given.items() if name in self._fed})
        closing = self._closing(points, openings)
        return LivePortraitSource(picture, place, canonical, head, points, openings, closing, appearance)

    def motion(self, frame: There, tracked: Tracked) -> LivePortraitMotion:
        """The motion of a tracked face in a driving frame, uint8 (H, W, 3) RGB. Raises SessionError."""
        place = driving_crop(tracked, self._pixels)
        tensor = self.runner.crop(frame, place.matrix, self._pixels, outside="black")
        head, _ = _read(self.runner.answer(self.sessions["motion"], {"image": tensor}))
        half = self._pixels / 2
        middle, unit = place.apply((half, half)), place.scale * half
        seen = retarget.tracked_openings(tracked.landmarks)
        return LivePortraitMotion(
            rotation=head.rotation,
            expression=head.expression,
            scale=np.array([head.scale * unit]),
            translation=head.translation * unit + middle,
            eyes=seen.eyes,
            lips=np.array([seen.lips]),
            crop=np.append(middle, unit),
            extent=np.array([max(frame.shape[:2]) / 4]),
        )

    def render(
        self,
        source: LivePortraitSource,
        driving: LivePortraitMotion,
        reference: LivePortraitMotion | None,
        transfer: Transfer,
    ) -> There:
        """See `Family.render`. Raises MotionError for retargeting without the networks for it, SessionError."""
        transfer.check(self.name, self.features)
        points = self.drive(source, driving, reference, transfer)
        closes = transfer.normalise_lips and transfer.relative and _target_lips(driving, transfer) is None
        if closes:
            _known(source)
        outputs = self.runner.run(
            self.sessions["generator"],
            {
                **source.appearance,
                "source_points": _tensor(source.points),
                "driving_points": _tensor(points),
                "stitching": np.array([transfer.stitching], np.float32),
                "offsets": _tensor(source.closing if closes else np.zeros_like(source.points)),
                "multiplier": np.array([transfer.multiplier], np.float32),
            },
        )
        return paste(self.runner, source.image, outputs["image"], source.crop)

    def drive(
        self,
        source: LivePortraitSource,
        driving: LivePortraitMotion,
        reference: LivePortraitMotion | None,
        transfer: Transfer,
    ) -> Floats:
        """(21, 3): the portrait's points as the driver moves them, before they are stitched to the shoulders."""
        head = self._moved(source, driving, reference, transfer)
        eyes, lips = _target_eyes(driving, transfer), _target_lips(driving, transfer)
        if eyes is None and lips is None:
            return keypoints.placed(source.canonical, head)
        own, expression, offset = _known(source), head.expression.copy(), np.zeros_like(source.points)
        if eyes is not None:
            expression[list(EYES)] = source.head.expression[list(EYES)]
            offset += self._delta("retarget_eye", retarget.eye_feature(source.points, own.eyes, eyes))
        if lips is not None:
            expression[list(LIPS)] = source.head.expression[list(LIPS)]
            offset += self._delta("retarget_lip", retarget.lip_feature(source.points, own.lips, lips))
        return keypoints.placed(source.canonical, replace(head, expression=expression)) + offset

    def _moved(
        self,
        source: LivePortraitSource,
        driving: LivePortraitMotion,
        reference: LivePortraitMotion | None,
        transfer: Transfer,
    ) -> Head:
        if not transfer.relative:
            return keypoints.absolute(source.head, driving.head(driving.crop[:2], driving.crop[2]), transfer.region)
        first = driving if reference is None else reference
        unit = float(first.scale[0]) / source.head.scale if transfer.adapt_scale else float(first.crop[2])
        still = first.head(first.crop[:2], unit)
        if reference is None:  # a single picture: only its expression, measured from a mouth at rest
            neutral = np.zeros_like(self._neutral) if transfer.region == "eyes" else self._neutral
            still = replace(still, expression=neutral)
        return keypoints.relative(source.head, driving.head(first.crop[:2], unit), still, transfer.region)

    def _closing(self, points: Floats, own: retarget.Openings | None) -> Floats:
        if "lip normalisation" not in self.features or own is None or own.lips < OPEN_LIPS:
            return np.zeros_like(points)
        return self._delta("retarget_lip", retarget.lip_feature(points, own.lips, 0.0))

    def _delta(self, role: str, feature: NDArray[np.float32]) -> Floats:
        return np.asarray(self.runner.answer(self.sessions[role], {"feature": feature})["delta"][0], np.float64)


def _read(outputs: Tensors) -> tuple[Head, Floats]:
    """The head in a crop and its canonical keypoints (21, 3), from what the motion network says of it."""
    out = {name: value[0].astype(np.float64) for name, value in outputs.items()}
    turn = keypoints.rotation_of(out["angles"])
    return Head(turn, out["expression"], float(out["scale"][0]), out["translation"][:2]), out["keypoints"]


def _target_eyes(driving: LivePortraitMotion, transfer: Transfer) -> float | None:
    """The opening that the eyes shall have; the driver's is that of its eye on the picture's left, as in training."""
    return transfer.eyes if transfer.eyes is not None else float(driving.eyes[0]) if transfer.retarget_eyes else None


def _target_lips(driving: LivePortraitMotion, transfer: Transfer) -> float | None:
    return transfer.lips if transfer.lips is not None else float(driving.lips[0]) if transfer.retarget_lips else None


def _known(source: LivePortraitSource) -> retarget.Openings:
    if source.openings is None:
        raise MotionError(
            "Retargeting was asked for, but how far the portrait's eyes and lips are open cannot be measured on the "
            "landmarks it was read with. Give 203 or 68, or none."
        )
    return source.openings


def _tensor(points: Floats) -> NDArray[np.float32]:
    return points[None].astype(np.float32)


def _neutral_lips(bundle: Bundle) -> Floats:
    neutral = bundle.array("lip_neutral")
    if neutral.shape != (keypoints.COUNT, 3):
        raise BundleInvalid(f"'lip_neutral' of the bundle {bundle.place!r} is {neutral.shape}; it has to be (21, 3).")
    return neutral.astype(np.float64)


def _crop_side(bundle: Bundle) -> int:
    side = bundle.manifest.extra.get("crop")
    if isinstance(side, bool) or not isinstance(side, int) or side < 2:
        raise BundleInvalid(f"The bundle {bundle.place!r} gives no side of the crop (extra.crop, pixels): {side!r}.")
    return side
