"""How fast are the kernels, against what OpenCV and NumPy offer for the same picture?

    python -m benchmarks.kernels [--rounds 60]

The floor, for a 512 x 512 patch in a 1080p frame, each of its 262,144 pixels done once:

* Memory: patch 0.8 MB, float mask 1.0 MB, frame 0.8 MB read and 0.8 MB written: 3.4 MB, 0.2 ms at 17 GB/s.
* Arithmetic: four bilinear samples, one blend, the coordinates: about 65 operations a pixel, 17 million in all, which
  two cores with AVX2 do in 0.1 ms.
* Loads: the neighbours of a point do not lie in one vector. Four of the mask, two of eight bytes for the patch: at two
  loads a cycle and 2.7 GHz three cycles a pixel, 0.3 ms on one core and 0.15 on two. This is what bounds the kernel.

A frame that is not written in place is first copied: 6.2 MB, about 0.5 ms.

warp_blend samples seven more float maps with four neighbours each, so 15 cycles a pixel where the mask is above 0: for
the 460 x 460 crop below, 60 % of it active, 0.7 ms on one core and 0.35 on two. Where nothing is painted, or nothing is
visible, a tile of 64 pixels skips the half that does not count.
"""

import argparse
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import compare, show_timings, timings_json, write_json
from mien import image, kernels
from mien.geometry import Similarity
from mien.kernels import checks, reference

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]


class BlendScene:
    """A 512 x 512 patch with a soft round mask, turned by 5 degrees, in a 1080p frame."""

    def __init__(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
        self.frame: Bytes = cv2.GaussianBlur(noise, (0, 0), 2).astype(np.uint8)
        self.patch: Bytes = np.ascontiguousarray(255 - self.frame[:512, :512])
        self.mask = disc(512, radius=0.45, soft=20)
        self.matrix = Similarity.from_crop((960, 540), 512, 512, np.radians(5)).matrix
        corners = np.array([[0, 0], [512, 0], [512, 512], [0, 512]]) @ self.matrix[:, :2].T + self.matrix[:, 2]
        self.x0, self.y0 = np.floor(corners.min(0)).astype(int).tolist()
        self.x1, self.y1 = np.ceil(corners.max(0)).astype(int).tolist()

    def opencv_matrix(self, x: int = 0, y: int = 0) -> Matrix:
        """The same transform for pixel centres at integers, into a picture whose corner is at (x, y)."""
        matrix = self.matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5 - (x, y)
        return matrix

    def opencv_whole(self) -> Bytes:
        """The chain as usually written: over the whole frame."""
        return self.opencv_chain(self.frame, self.opencv_matrix())

    def opencv_box(self, frame: Bytes) -> Bytes:
        """The same chain in the bounding box only, in place."""
        box = frame[self.y0 : self.y1, self.x0 : self.x1]
        box[:] = self.opencv_chain(box, self.opencv_matrix(self.x0, self.y0))
        return frame

    def opencv_chain(self, frame: Bytes, matrix: Matrix) -> Bytes:
        size = (frame.shape[1], frame.shape[0])
        patch = cv2.warpAffine(self.patch, matrix, size)
        weight = cv2.warpAffine(self.mask, matrix, size)[..., None]
        return (frame * (1 - weight) + patch * weight + np.float32(0.5)).astype(np.uint8)

    def opencv_best(self, frame: Bytes) -> Bytes:
        """In the bounding box, with OpenCV's own fused blend instead of NumPy arithmetic."""
        box = frame[self.y0 : self.y1, self.x0 : self.x1]
        size, matrix = (box.shape[1], box.shape[0]), self.opencv_matrix(self.x0, self.y0)
        patch, weight = cv2.warpAffine(self.patch, matrix, size), cv2.warpAffine(self.mask, matrix, size)
        box[:] = cv2.blendLinear(patch, np.ascontiguousarray(box), weight, 1 - weight)
        return frame

    def mien(self, out: Bytes | None = None, mask: Bytes | Floats | None = None) -> Bytes:
        frame = self.frame if out is None else out
        return kernels.blend(frame, self.patch, self.mask if mask is None else mask, self.matrix, out=out)

    def numpy(self) -> Bytes:
        out = np.empty_like(self.frame)
        to_patch = checks.matrix("matrix", self.matrix)[1]
        reference.blend(out, self.frame, self.patch, self.mask, to_patch, 0.0)
        return out

    def contenders(self) -> dict[str, Callable[[], Bytes]]:
        a, b, c, d = (self.frame.copy() for _ in range(4))
        byte_mask = (255 * self.mask).round().astype(np.uint8)
        return {
            "OpenCV chain, in place": lambda: self.opencv_box(a),
            "OpenCV chain, whole frame": self.opencv_whole,
            "OpenCV with blendLinear, in place": lambda: self.opencv_best(b),
            "NumPy reference": self.numpy,
            "mien, in place": lambda: self.mien(c),
            "mien, in place, byte mask": lambda: self.mien(d, byte_mask),
            "mien, new frame": self.mien,
        }


class WarpScene:
    """A 256-pixel crop of maps, as the studio generator gives them, over a source of the given side."""

    def __init__(self, side: int) -> None:
        noise = np.random.default_rng(1)
        self.side = side
        source = noise.integers(0, 256, (side, side, 3), np.uint8)
        self.source: Bytes = cv2.GaussianBlur(source, (0, 0), 2).astype(np.uint8)
        flow = cv2.GaussianBlur(noise.standard_normal((128, 128, 2)).astype(np.float32), (0, 0), 8)
        self.flow: Floats = np.ascontiguousarray(flow.transpose(2, 0, 1), np.float32)
        self.visible = 1 - disc(256, radius=0.1, soft=6)
        self.paint: Floats = noise.random((3, 256, 256), np.float32)
        self.mask = disc(256, radius=0.45, soft=12)
        self.matrix = Similarity.from_crop((side / 2, side / 2), 0.9 * side, 256).matrix

    def mien(self) -> Bytes:
        return kernels.warp_blend(self.source, self.flow, self.visible, self.paint, self.mask, self.matrix)

    def numpy(self) -> Bytes:
        out = np.empty_like(self.source)
        to_source, to_crop = checks.matrix("matrix", self.matrix)
        maps = (self.flow, self.visible, self.paint, self.mask)
        reference.warp_blend(out, self.source, *maps, to_crop=to_crop, to_source=to_source)
        return out

    def opencv(self) -> Bytes:
        """Every map brought to the source's size by warpAffine, the source by remap, then float arithmetic."""
        step = np.array([[0.5, 0, 0], [0, 0.5, 0]])
        centred = self.matrix.copy()
        centred[:, 2] += centred[:, :2] @ [0.5, 0.5] - 0.5
        of_flow = np.column_stack([self.matrix[:, :2] * 2, self.matrix[:, 2]])
        of_flow[:, 2] += of_flow[:, :2] @ step[:, :2].sum(1) - 0.5

        def spread(image: Floats, matrix: Matrix, border: int = cv2.BORDER_REPLICATE) -> Floats:
            return np.asarray(cv2.warpAffine(image, matrix, (self.side, self.side), borderMode=border), np.float32)

        mask = spread(self.mask, centred, cv2.BORDER_CONSTANT)[..., None]
        visible = spread(self.visible, centred)[..., None]
        paint = 255 * spread(np.ascontiguousarray(self.paint.transpose(1, 2, 0)), centred)
        offset = spread(np.ascontiguousarray(self.flow.transpose(1, 2, 0)), of_flow)
        offset = offset @ (128 * self.matrix[:, :2].T).astype(np.float32)
        rows, columns = np.indices((self.side, self.side), np.float32)
        at_x, at_y = columns + offset[..., 0], rows + offset[..., 1]
        warped = cv2.remap(self.source, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colour = visible * warped + (1 - visible) * paint
        return (self.source + mask * (colour - self.source) + np.float32(0.5)).astype(np.uint8)


class CropScene:
    """A square of a 1080p frame as the input of a network, turned by 5 degrees."""

    def __init__(self, side: float, pixels: int) -> None:
        self.frame = BlendScene().frame
        self.place = Similarity.from_crop((960, 540), side, pixels, np.radians(5))
        self.pixels = pixels

    def opencv(self) -> Floats:
        """The chain of INTER_AREA, warpAffine and conversion to planes."""
        return image.to_tensor(image.crop(self.frame, self.place, self.pixels))

    def mien(self) -> Floats:
        return kernels.crop(self.frame, self.place.matrix, self.pixels)


def disc(side: int, radius: float, soft: float) -> Floats:
    """A round mask: 1 inside radius x side, 0 outside, falling over `soft` pixels."""
    y, x = np.mgrid[:side, :side] + 0.5
    distance = np.hypot(x - side / 2, y - side / 2)
    weight: Floats = np.clip((radius * side - distance) / soft, 0, 1).astype(np.float32)
    return weight


def difference(a: Bytes, b: Bytes) -> int:
    """The largest difference of two pictures, in steps of 1/255."""
    return int(np.abs(a.astype(int) - b).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="turns that each contender takes")
    rounds = parser.parse_args().rounds

    scene = BlendScene()
    chain = scene.opencv_whole()
    blend = compare(scene.contenders(), "OpenCV chain, in place", rounds)
    show_timings(f"blend, 512 x 512 into 1080p; kernels: {kernels.backend()}", blend)
    blend_difference = difference(scene.mien(), chain)
    print(f"Largest difference to the OpenCV chain: {blend_difference}/255\n")
    results: dict[str, object] = {
        "backend": kernels.backend(),
        "blend": timings_json(blend),
        "blend_difference_to_opencv": blend_difference,
    }
    for side in (512, 1080):
        warp = WarpScene(side)
        timings = compare({"OpenCV": warp.opencv, "NumPy reference": warp.numpy, "mien": warp.mien}, "OpenCV", rounds)
        show_timings(f"warp_blend, source {side} x {side}, maps of 256 and 128", timings)
        apart = difference(warp.mien(), warp.opencv())
        print(f"Largest difference to OpenCV: {apart}/255\n")
        results[f"warp_blend_{side}"] = timings_json(timings) | {"difference_to_opencv": apart}
    for wide, pixels in ((300, 256), (560, 256), (900, 256), (900, 512)):
        crop = CropScene(wide, pixels)
        timings = compare({"OpenCV": crop.opencv, "mien": crop.mien}, "OpenCV", rounds)
        show_timings(f"crop {wide} x {wide} to a tensor of {pixels} x {pixels}", timings)
        far = float(np.abs(crop.mien() - crop.opencv()).max() * 255)
        print(f"Largest difference to OpenCV: {far:.2f}/255\n")
        results[f"crop_{wide}_to_{pixels}"] = timings_json(timings) | {"difference_to_opencv": far}
    print(write_json("kernels", results))


if __name__ == "__main__":
    main()
