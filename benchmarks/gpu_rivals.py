"""The kernels' work as CuPy and torch do it with what they bring: array operations, map_coordinates, grid_sample.

One chain of array operations for both, each on the box that it needs; only sampling and the types are the library's
own. With NumPy and SciPy in CuPy's place, and torch on the CPU, the tests hold it against mien's kernels. On a GPU: not
executed yet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.kernels.layouts import Layout

Matrix = NDArray[np.float64]
Tensor = Any
"""The library's own."""


class Rival(ABC):
    """A library of arrays on a GPU. Planes are (C, h, w); points are in continuous pixel coordinates."""

    name: str
    lib: Any

    @abstractmethod
    def array(self, values: NDArray[Any]) -> Tensor:
        """A copy in its memory."""

    @abstractmethod
    def host(self, values: Tensor) -> NDArray[Any]:
        """A copy in the host's memory, once all work is done."""

    @abstractmethod
    def floats(self, values: Tensor) -> Tensor:
        """As float32."""

    @abstractmethod
    def halves(self, values: Tensor) -> Tensor:
        """As float16."""

    @abstractmethod
    def copied(self, values: Tensor) -> Tensor:
        """In memory of its own."""

    @abstractmethod
    def as_bytes(self, values: Tensor) -> Tensor:
        """As uint8, cut to 0..255 and rounded."""

    @abstractmethod
    def steps(self, first: int, last: int) -> Tensor:
        """The centres of pixels: first + 0.5 to last - 0.5, float32."""

    @abstractmethod
    def sample(self, planes: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Linear, with the planes' edge repeated: (C, *x.shape) float32."""

    @abstractmethod
    def sample_volume(self, volume: Tensor, grid: Tensor) -> Tensor:
        """`mien.kernels.device.sample_volume`."""

    def points(self, rows: range, columns: range, matrix: Matrix) -> tuple[Tensor, Tensor]:
        """Where a matrix (2, 3) puts the centres of a box's pixels: x and y."""
        x, y = self.steps(columns.start, columns.stop)[None], self.steps(rows.start, rows.stop)[:, None]
        (a, b, c), (d, e, f) = matrix.tolist()
        return a * x + b * y + c, d * x + e * y + f

    def planes(self, picture: Tensor) -> Tensor:
        """(C, H, W) float32 of (H, W, C)."""
        return self.floats(self.lib.moveaxis(picture, -1, 0))

    def crop(self, frame: Tensor, to_frame: Matrix, size: int, half: bool = False) -> Tensor:
        """`mien.kernels.crop` of one square that lies in an RGB frame."""
        shrink = max(1, int(np.hypot(to_frame[0, 0], to_frame[1, 0])))
        rows, columns = box(to_frame, (size, size), (frame.shape[0], frame.shape[1]), 2 * shrink)
        rows, columns = (whole(side, shrink) for side in (rows, columns))
        part = self.floats(frame[rows.start : rows.stop, columns.start : columns.stop])
        if shrink > 1:
            part = part.reshape(len(rows) // shrink, shrink, len(columns) // shrink, shrink, 3).mean((1, 3))
        x, y = self.points(range(size), range(size), to_frame)
        shown = self.sample(self.planes(part), (x - columns.start) / shrink, (y - rows.start) / shrink) / 255
        return self.halves(shown) if half else shown

    def blend_faces(
        self, frame: Tensor, patches: Tensor, masks: Tensor, similarities: Matrix, layout: Layout, yuv: NDArray[Any]
    ) -> Tensor:
        """`mien.kernels.blend_faces` in place, without a feather, for masks of float32."""
        height = frame.shape[0] // 3 * 2 if layout == "nv12" else frame.shape[0]
        for i, matrix in enumerate(similarities):
            patch = patches[i]
            bytes_ = patch.shape[-1] == 3
            size = tuple(patch.shape[:2] if bytes_ else patch.shape[1:])
            rows, columns = box(matrix, size, (height, frame.shape[1]), 2 if layout == "nv12" else 0)
            if layout == "nv12":
                rows, columns = (range(side.start // 2 * 2, side.stop // 2 * 2) for side in (rows, columns))
            x, y = self.points(rows, columns, inverse(matrix))
            planes = self.planes(patch) if bytes_ else 255 * self.floats(patch)
            mask = masks if masks.ndim == 2 else masks[i]
            seen = self.sample(self.lib.concatenate((planes, mask[None])), x, y)
            inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
            self._lay(frame, layout, yuv, (rows, columns), seen[:3], seen[3] * inside)
        return frame

    def _lay(
        self, frame: Tensor, layout: Layout, yuv: NDArray[Any], at: tuple[range, range], colour: Tensor, weight: Tensor
    ) -> None:
        rows, columns = at
        if layout != "nv12":
            order = [2, 1, 0] if layout.startswith("b") else [0, 1, 2]
            part = frame[rows.start : rows.stop, columns.start : columns.stop, :3]
            under = self.planes(part)
            part[...] = self.lib.moveaxis(self.as_bytes(under + weight * (colour[order] - under)), 0, -1)
            return
        black, gain, rv, _, _, bu, kr, kb = (float(number) for number in yuv)
        height = frame.shape[0] // 3 * 2
        luma = kr * colour[0] + (1 - kr - kb) * colour[1] + kb * colour[2]
        part = frame[rows.start : rows.stop, columns.start : columns.stop]
        under = self.floats(part)
        part[...] = self.as_bytes(under + weight * (black + luma / gain - under))
        chroma = self.lib.stack(((colour[2] - luma) / bu + 128, (colour[0] - luma) / rv + 128))
        shape = (len(rows) // 2, 2, len(columns) // 2, 2)
        pairs = frame[height:].reshape(height // 2, -1, 2)[rows.start // 2 : rows.stop // 2]
        pairs = pairs[:, columns.start // 2 : columns.stop // 2]
        share, laid = weight.reshape(shape).mean((1, 3)), (weight * chroma).reshape(2, *shape).mean((2, 4))
        pairs[...] = self.lib.moveaxis(self.as_bytes(self.planes(pairs) * (1 - share) + laid), 0, -1)

    def fit(self, planes: Tensor, side: int) -> Tensor:
        """`mien.kernels.device.fit` where planes are a multiple of that side; one more row and column."""
        images, channels, wide = planes.shape[:3]
        step = wide // side
        out = planes.reshape(images, channels, side, step, side, step).mean((3, 5))
        out = self.lib.concatenate((out, out[:, :, -1:]), 2)
        return self.lib.concatenate((out, out[..., -1:]), 3)

    def warp_blend(
        self,
        source: Tensor,
        flow: Tensor,
        visible: Tensor,
        paint: Tensor,
        mask: Tensor,
        to_source: Matrix,
        shade: Tensor | None = None,
    ) -> Tensor:
        """`mien.kernels.warp_blend` into a new picture."""
        size = (mask.shape[0], mask.shape[1])
        rows, columns = box(to_source, size, (source.shape[0], source.shape[1]), 0)
        x, y = self.points(rows, columns, inverse(to_source))
        inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
        maps = self.sample(self.lib.concatenate((visible[None], mask[None], paint)), x, y)
        offset = self.sample(flow, x * (flow.shape[2] / size[1]), y * (flow.shape[1] / size[0]))
        u, v = offset[0] * (size[1] / 2), offset[1] * (size[0] / 2)
        (a, b, _), (d, e, _) = to_source.tolist()
        at_x = self.steps(columns.start, columns.stop)[None] + a * u + b * v
        at_y = self.steps(rows.start, rows.stop)[:, None] + d * u + e * v
        share, weight = maps[0].clip(0, 1), maps[1] * inside
        warped = self.sample(self.planes(source), at_x, at_y)
        if shade is not None:
            warped = warped * self.sample(shade, x * (shade.shape[2] / size[1]), y * (shade.shape[1] / size[0]))
        colour = share * warped + (1 - share) * (255 * maps[2:])
        out = self.copied(source)
        part = out[rows.start : rows.stop, columns.start : columns.stop]
        under = self.planes(part)
        part[...] = self.lib.moveaxis(self.as_bytes(under + weight * (colour - under)), 0, -1)
        return out

    def place_keypoints(
        self, canonical: Tensor, angles: Tensor, expression: Tensor, scale: Tensor, translation: Tensor
    ) -> Tensor:
        """`mien.kernels.device.place_keypoints`."""
        radians = angles * (np.pi / 180)
        cosine, sine = self.lib.cos(radians).T[..., None], self.lib.sin(radians).T[..., None]
        x, y, z = (canonical[..., axis] for axis in range(3))
        y, z = cosine[0] * y - sine[0] * z, sine[0] * y + cosine[0] * z
        x, z = cosine[1] * x + sine[1] * z, cosine[1] * z - sine[1] * x
        x, y = cosine[2] * x - sine[2] * y, sine[2] * x + cosine[2] * y
        placed = scale[:, None] * (self.lib.stack((x, y, z), -1) + expression)
        placed[..., :2] += translation[:, None, :2]
        return placed


class CupyRival(Rival):
    """CuPy with cupyx.scipy.ndimage; NumPy and SciPy have the same names and can stand in for them."""

    def __init__(self, lib: Any, ndimage: Any) -> None:
        self.name, self.lib, self._ndimage = "CuPy", lib, ndimage

    @classmethod
    def open(cls) -> CupyRival:
        """Raises ImportError without CuPy, RuntimeError without a GPU for it."""
        cupy = import_module("cupy")
        if not cupy.cuda.is_available():
            raise RuntimeError("CuPy finds no GPU")
        return cls(cupy, import_module("cupyx.scipy.ndimage"))

    def array(self, values: NDArray[Any]) -> Tensor:
        return self.lib.array(values)

    def host(self, values: Tensor) -> NDArray[Any]:
        return np.array(values if isinstance(values, np.ndarray) else values.get())

    def floats(self, values: Tensor) -> Tensor:
        return values.astype(np.float32)

    def halves(self, values: Tensor) -> Tensor:
        return values.astype(np.float16)

    def copied(self, values: Tensor) -> Tensor:
        return values.copy()

    def as_bytes(self, values: Tensor) -> Tensor:
        return (values.clip(0, 255) + np.float32(0.5)).astype(np.uint8)

    def steps(self, first: int, last: int) -> Tensor:
        return self.lib.arange(first, last, dtype=np.float32) + np.float32(0.5)

    def sample(self, planes: Tensor, x: Tensor, y: Tensor) -> Tensor:
        at = self.lib.stack((y - 0.5, x - 0.5))
        return self._each(planes, at, "nearest")

    def sample_volume(self, volume: Tensor, grid: Tensor) -> Tensor:
        sides = volume.shape[2:]
        at = [((grid[..., 2 - axis] + 1) * side - 1) / 2 for axis, side in enumerate(sides)]
        each = [self._each(one, self.lib.stack([a[n] for a in at]), "grid-constant") for n, one in enumerate(volume)]
        return self.lib.stack(each).astype(volume.dtype)

    def _each(self, planes: Tensor, at: Tensor, mode: str) -> Tensor:
        out = self.lib.empty((len(planes), *at.shape[1:]), np.float32)
        for into, plane in zip(out, planes, strict=True):
            self._ndimage.map_coordinates(self.floats(plane), at, into, order=1, mode=mode)
        return out


class TorchRival(Rival):
    """torch with grid_sample, eager."""

    def __init__(self, device: str = "cuda") -> None:
        self.name, self.lib, self._device = "torch", import_module("torch"), device
        self._sampling = import_module("torch.nn.functional").grid_sample

    @classmethod
    def open(cls) -> TorchRival:
        """Raises ImportError without torch, RuntimeError without CUDA in it or a GPU for it."""
        if not import_module("torch").cuda.is_available():
            raise RuntimeError("torch finds no GPU, or was installed without CUDA")
        return cls()

    def array(self, values: NDArray[Any]) -> Tensor:
        return self.lib.tensor(values, device=self._device)

    def host(self, values: Tensor) -> NDArray[Any]:
        return np.array(values.cpu().numpy())

    def floats(self, values: Tensor) -> Tensor:
        return values.float()

    def halves(self, values: Tensor) -> Tensor:
        return values.half()

    def copied(self, values: Tensor) -> Tensor:
        return values.clone()

    def as_bytes(self, values: Tensor) -> Tensor:
        return (values.clip(0, 255) + 0.5).to(self.lib.uint8)

    def steps(self, first: int, last: int) -> Tensor:
        return self.lib.arange(first, last, dtype=self.lib.float32, device=self._device) + 0.5

    def sample(self, planes: Tensor, x: Tensor, y: Tensor) -> Tensor:
        grid = self.lib.stack((x * (2 / planes.shape[2]) - 1, y * (2 / planes.shape[1]) - 1), -1)
        return self._sampling(planes[None], grid[None], padding_mode="border", align_corners=False)[0]

    def sample_volume(self, volume: Tensor, grid: Tensor) -> Tensor:
        return self._sampling(volume, grid.to(volume.dtype), padding_mode="zeros", align_corners=False)


def box(matrix: Matrix, size: tuple[int, ...], sides: tuple[int, int], margin: int) -> tuple[range, range]:
    """Rows and columns of a frame that a patch (h, w) may touch, and some more."""
    height, width = size
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    low, high = np.floor(corners.min(1)).astype(int) - margin, np.ceil(corners.max(1)).astype(int) + margin
    columns, rows = (range(max(low[i], 0), min(high[i], side)) for i, side in enumerate(sides[::-1]))
    return rows, columns


def whole(side: range, step: int) -> range:
    """So many that they are whole blocks."""
    return range(side.start, side.stop - len(side) % step)


def inverse(matrix: Matrix) -> Matrix:
    """Of a map of points (2, 3)."""
    return np.asarray(np.linalg.inv(np.vstack((matrix, (0, 0, 1))))[:2])
