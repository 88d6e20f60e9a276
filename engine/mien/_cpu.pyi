"""The C++ kernels: C-contiguous arrays in, the result written into `out`. mien.kernels checks them first."""

from mien.kernels.protocol import Bytes, Floats, Matrix

def blend(out: Bytes, frame: Bytes, patch: Bytes, mask: Bytes | Floats, to_patch: Matrix, feather: float) -> None: ...
def blend_faces(
    out: Bytes,
    frame: Bytes,
    layout: int,
    yuv: Floats,
    patches: Bytes | Floats,
    masks: Bytes | Floats,
    to_patch: Matrix,
    feather: float,
) -> None: ...
def crop(out: Floats, frame: Bytes, layout: int, yuv: Floats, to_frame: Matrix) -> None: ...
def warp_blend(
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
