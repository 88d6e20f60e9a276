"""A chain on the host: NumPy arrays, mien's own kernels, and networks wherever they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as Names

import cv2
import numpy as np
from numpy.typing import ArrayLike

from mien import kernels
from mien.bundle import Bundle
from mien.errors import DeviceError
from mien.geometry import Similarity
from mien.image import Image, check_image, shown, to_image
from mien.runners.base import Outside
from mien.sessions import Session
from mien.sessions.base import Array
from mien.sessions.device_tensor import on_gpu


class HostRunner:
    """See `Runner`. ``device`` and the others are those of `Bundle.session`; nothing is copied but what `own` is."""

    device = "cpu"

    def __init__(self, device: str = "cpu", threads: int | None = None, backend: str = "ort") -> None:
        self._options = (device, threads, backend)

    def open(self, bundle: Bundle, role: str) -> Session:
        """See `Runner.open`."""
        return bundle.session(role, *self._options)

    def take(self, picture: object) -> Image:
        """See `Runner.take`."""
        if not isinstance(picture, np.ndarray) and on_gpu(picture):
            raise DeviceError(
                "A picture on a GPU was given, but this chain keeps its pictures on the CPU. Open it with "
                'device="cuda" in a mien that was built with CUDA, or copy the picture to a NumPy array.'
            )
        check_image(picture)
        image: Image = picture  # type: ignore[assignment]
        return image

    def own(self, picture: object) -> Image:
        """See `Runner.own`."""
        return self.take(picture).copy()

    def host(self, array: Array) -> Array:
        """See `Runner.host`."""
        return array

    def image(self, tensor: Array) -> Image:
        """See `Runner.image`."""
        return to_image(tensor)

    def split(self, tensor: Array) -> list[Array]:
        """See `Runner.split`."""
        return [tensor[i : i + 1] for i in range(len(tensor))]

    def join(self, tensors: Sequence[Array]) -> Array:
        """See `Runner.join`."""
        return np.concatenate(tensors)

    def keep(self, array: Array) -> Array:
        """See `Runner.keep`."""
        return array

    def crop(self, picture: Image, similarities: ArrayLike, size: int, outside: Outside = "edge") -> Array:
        """See `Runner.crop`."""
        seen = kernels.crop(self.take(picture), similarities, size)
        if outside == "black":
            for planes, matrix in zip(seen, np.reshape(similarities, (-1, 2, 3)), strict=True):
                inside = shown(picture.shape, Similarity(matrix), size)
                if inside is not None:
                    planes *= inside
        return seen

    def run(self, session: Session, feeds: Mapping[str, Array], read: Names[str] = frozenset()) -> dict[str, Array]:
        """See `Runner.run`."""
        return session.run(feeds)

    def answer(self, session: Session, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner.answer`."""
        return session.run(feeds)

    def warp_blend(
        self,
        source: Image,
        flow: Array,
        visible: Array,
        paint: Array,
        mask: Array,
        similarity: ArrayLike,
        shade: Array | None = None,
    ) -> Image:
        """See `Runner.warp_blend`."""
        return kernels.warp_blend(source, flow, visible, paint, mask, similarity, shade=shade)

    def blend(self, picture: Image, patch: Array, mask: Array, place: Similarity, side: int | None = None) -> Image:
        """See `Runner.blend`."""
        drawn = to_image(patch)
        if side is not None and side != len(drawn):
            drawn = np.asarray(cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        down, right = np.subtract(mask.shape, drawn.shape[:2]).tolist()
        if down or right:
            drawn = np.asarray(cv2.copyMakeBorder(drawn, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)
        return kernels.blend(picture, drawn, mask, place.matrix)

    def finish(self) -> None:
        """See `Runner.finish`."""


HOST = HostRunner()
"""The host, with the networks' own defaults: for chains whose sessions are open already."""
