"""What a set of kernels has to offer: mien._cpu and mien.kernels.reference both do."""

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Matrix: TypeAlias = NDArray[np.float64]


class Kernels(Protocol):
    """Arguments are checked and C-contiguous already; the result is written into `out`.

    ``layout`` is a place in `mien.kernels.layouts.LAYOUTS`, ``yuv`` what `mien.kernels.layouts.numbers` gives.
    """

    def blend(
        self, out: Bytes, frame: Bytes, patch: Bytes, mask: Bytes | Floats, to_patch: Matrix, feather: float
    ) -> None: ...

    def blend_faces(
        self,
        out: Bytes,
        frame: Bytes,
        layout: int,
        yuv: Floats,
        patches: Bytes | Floats,
        masks: Bytes | Floats,
        to_patch: Matrix,
        feather: float,
    ) -> None: ...

    def crop(self, out: Floats, frame: Bytes, layout: int, yuv: Floats, to_frame: Matrix) -> None: ...

    def warp_blend(
        self,
        out: Bytes,
        source: Bytes,
        flow: Floats,
        visible: Floats,
        paint: Floats,
        mask: Floats,
        to_crop: Matrix,
        to_source: Matrix,
        shade: Floats | None = None,
    ) -> None: ...
