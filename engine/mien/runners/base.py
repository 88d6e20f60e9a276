"""What a chain asks of the place where it runs: pictures there and back, crops, networks, blends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as Names
from typing import Any, Literal, Protocol, TypeAlias

from numpy.typing import ArrayLike

from mien.bundle import Bundle
from mien.geometry import Similarity
from mien.image import Image
from mien.sessions import Session
from mien.sessions.base import Array

There: TypeAlias = Any
"""An array where the chain runs: NumPy's on the host, a `DeviceTensor` on a GPU. Both have `shape`."""

Outside: TypeAlias = Literal["edge", "black"]
"""What a crop shows beyond its picture: the picture's edge, repeated, or black, with half a pixel between them."""


class Runner(Protocol):
    """One place and its networks' options; may be shared by threads. What it gives stays valid while it is held."""

    @property
    def device(self) -> str:
        """Where pictures and tensors are: "cpu", "cuda:0"."""

    def open(self, bundle: Bundle, role: str) -> Session:
        """A network of a bundle, to be run here. Raises as `Bundle.session` does."""

    def take(self, picture: object) -> There:
        """A picture, uint8 (H, W, 3), brought here; one that is here already comes back as it is.

        The host's picture must not change while what is given here is in use. Raises ImageError for another kind of
        array, DeviceError for one on a GPU where the chain is not.
        """

    def own(self, picture: object) -> There:
        """As `take`, in memory that nobody else has."""

    def host(self, array: There) -> Array:
        """A picture or tensor on the host, without a copy where it is there."""

    def image(self, tensor: There) -> Image:
        """What a network drew, (1, 3, H, W) float32 in [0, 1], on the host; see `mien.image.to_image`."""

    def split(self, tensor: There) -> list[There]:
        """(N, ...) as N tensors (1, ...), without a copy."""

    def join(self, tensors: Sequence[There]) -> There:
        """Tensors (N, ...) of one type and otherwise one shape, one behind the other."""

    def keep(self, array: Array) -> There:
        """An array that goes into many runs, brought here once."""

    def crop(self, picture: There, similarities: ArrayLike, size: int, outside: Outside = "edge") -> There:
        """See `mien.kernels.crop` and `mien.image.shown`: (N, 3, size, size) float32."""

    def run(self, session: Session, feeds: Mapping[str, There], read: Names[str] = frozenset()) -> dict[str, There]:
        """All outputs of a network, here, but for those to be ``read``: NumPy arrays, as on the host.

        ``feeds``: tensors that are here, and NumPy arrays, which are brought here. Raises SessionError.
        """

    def answer(self, session: Session, feeds: Mapping[str, There]) -> dict[str, Array]:
        """`run`, with all outputs read."""

    def warp_blend(
        self,
        source: There,
        flow: There,
        visible: There,
        paint: There,
        mask: There,
        similarity: ArrayLike,
        shade: There | None = None,
    ) -> There:
        """See `mien.kernels.warp_blend`: a new picture."""

    def blend(self, picture: There, patch: There, mask: Array, place: Similarity, side: int | None = None) -> There:
        """A new picture with what a network drew, (1, 3, S, S) float32 in [0, 1], laid over it; see `kernels.blend`.

        The patch is first averaged down to ``side`` pixels, then its right and lower edge repeated up to the size of
        the ``mask`` (h, w), uint8 or float32. ``place``: pixels of the mask to those of the picture.
        """

    def finish(self) -> None:
        """Waits for all that was asked for. Work that failed shows here: SessionError."""


def kept(runner: Runner, arrays: Mapping[str, Array]) -> dict[str, There]:
    """Arrays by name, each kept where the chain runs."""
    return {name: runner.keep(array) for name, array in arrays.items()}
