"""What a set of kernels has to offer: mien._cpu and mien.kernels.reference both do."""

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Matrix: TypeAlias = NDArray[np.float64]


class Kernels(Protocol):
    """Arguments are checked and C-contiguous already; the result is written into `out`."""

    def blend(
        self, out: Bytes, frame: Bytes, patch: Bytes, mask: Bytes | Floats, to_patch: Matrix, feather: float
    ) -> None: ...

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
    ) -> None: ...
