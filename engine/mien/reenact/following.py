"""Finding and following faces, also for families whose bundles have no networks for it: by the studio bundle's."""

from __future__ import annotations

from collections.abc import Mapping

from mien.bundle import Bundle
from mien.errors import NoFace
from mien.faces import NetworkDetector, Tracked, Tracker
from mien.runners import Runner, There
from mien.sessions import Session

FACE_NETWORKS = {"detector": "face detector", "motion": "face motion"}
"""Roles in the studio bundle, and what they are called beside a family's own networks."""


class Follower:
    """The studio bundle's detector and motion networks; makes trackers over them, holds nothing of any face.

    ``runner``: where they run. ``bundle`` is the one mien brings unless given. ``sessions`` goes into the family's own.
    Raises BundleError, DeviceError, SessionError.
    """

    def __init__(self, runner: Runner, bundle: Bundle | None = None) -> None:
        bundle = bundle or Bundle.open("studio")
        self._runner = runner
        self.sessions: Mapping[str, Session] = {name: runner.open(bundle, role) for role, name in FACE_NETWORKS.items()}

    def tracker(self) -> Tracker:
        """A tracker of its own for one clip, camera or picture."""
        detector, motion = (self.sessions[name] for name in FACE_NETWORKS.values())
        return Tracker(NetworkDetector(detector, runner=self._runner), motion, runner=self._runner)


def face_of(tracker: Tracker, image: There) -> Tracked:
    """The most prominent face of a portrait, uint8 (H, W, 3) RGB, by a new tracker. Raises ImageError, NoFace."""
    tracked = tracker.step(image)
    if tracked is None:
        height, width = image.shape[:2]
        raise NoFace(
            f"A source portrait was asked for, but no face was found in the picture of {width} x {height} pixels. "
            "Give one whose face is upright, turned to the camera, and at least an eighth of the picture's side."
        )
    return tracked
