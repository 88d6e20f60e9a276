"""What every family of reenactment networks offers, whatever its arithmetic: source, motion, render."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.errors import BundleInvalid
from mien.faces import Tracked, Tracker
from mien.reenact.transfer import Feature, Transfer
from mien.runners import Runner, There
from mien.sessions import Session

Floats = NDArray[np.float64]

HOMES = {
    "studio": "mien.reenact.studio:Studio",
    "liveportrait": "mien.reenact.liveportrait:LivePortrait",
    "fomm": "mien.reenact.fomm:Fomm",
    "lia": "mien.reenact.lia:Lia",
    "tpsmm": "mien.reenact.tpsmm:Tpsmm",
}
"""Where each family lives. A class is made as ``Class(bundle, device, threads, backend)``, see `open_family`."""


class FamilySource(Protocol):
    """A portrait, read once: a frozen dataclass."""

    @property
    def image(self) -> There:
        """uint8 (H, W, 3) RGB, in memory of its own."""


class FamilyMotion(Protocol):
    """A face's motion in one frame, in pixels of that frame: a frozen dataclass whose fields are float arrays.

    Being in pixels of the frame, nothing jumps when the tracker moves its crop. Templates keep each field by its name,
    so a motion made of the same fields is the same motion.
    """

    def values(self) -> Floats:
        """All that is to be smoothed, (V,), scaled so that one filter suits them: about 1 for a wide movement."""

    def with_values(self, values: Floats) -> Self:
        """The same motion with these values, (V,)."""


S = TypeVar("S", bound=FamilySource)
M = TypeVar("M", bound=FamilyMotion)


class Family(Protocol[S, M]):
    """A bundle's networks and the arithmetic around them; holds nothing of any source or driver.

    All methods may be called from many threads at once.
    """

    @property
    def name(self) -> str:
        """As in the manifest."""

    @property
    def features(self) -> frozenset[Feature]:
        """What of a `Transfer` it can do beyond the basics."""

    @property
    def motion_type(self) -> type[M]:
        """What `motion` returns; made by its fields, each an array of floats, when a template is read."""

    @property
    def runner(self) -> Runner:
        """Where its chain runs; pictures that it takes and gives are there."""

    @property
    def sessions(self) -> Mapping[str, Session]:
        """What runs each network, by its role."""

    def tracker(self) -> Tracker:
        """A tracker of its own for one clip or camera, over shared networks."""

    def source(self, image: There, face: Tracked | None = None) -> S:
        """Read a portrait, uint8 (H, W, 3) RGB of any size: this face of it, or the most prominent.

        Raises ImageError, and NoFace where there is none.
        """

    def motion(self, frame: There, tracked: Tracked) -> M:
        """The motion of a tracked face in a driving frame, uint8 (H, W, 3) RGB."""

    def render(self, source: S, driving: M, reference: M | None, transfer: Transfer) -> There:
        """The portrait as the driver moves it: a new uint8 (H, W, 3) RGB picture of the source's size.

        ``reference`` is the driver's motion that stands for the portrait as it is. It is given for relative motion, and
        None for absolute. Relative without a reference: the driver is a single picture, and the expression is
        measured from the neutral face where the family knows one, else taken as it is. Raises MotionError for what
        the family lacks.
        """


def open_family(
    bundle: Bundle, device: str | Runner = "cpu", threads: int | None = None, backend: str = "ort"
) -> Family[Any, Any]:
    """The family that the bundle's manifest names, its networks opened.

    ``device``: "cpu", "cuda", "cuda:N", or a `Runner` that families share, which has ``threads`` and ``backend`` of its
    own; see `open_runner`.

    Raises BundleInvalid for a bundle of another task or an unknown family; BundleError, DeviceError, SessionError.
    """
    manifest = bundle.manifest
    if manifest.task != "reenact" or manifest.family not in HOMES:
        raise BundleInvalid(
            f"The bundle {bundle.place!r} is of the family {manifest.family!r} and for the task {manifest.task!r}; "
            f"reenactment takes those for 'reenact' of the families {', '.join(HOMES)}."
        )
    module, _, name = HOMES[manifest.family].partition(":")
    family: Family[Any, Any] = getattr(import_module(module), name)(bundle, device, threads, backend)
    return family
