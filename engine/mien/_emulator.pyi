"""What each thread of the CUDA kernels computes, one after the other on the CPU: for the tests, and slow.

Signatures as in mien._cpu; up to 32 patches. What mien._cpu lacks runs on CUDA only; mien.kernels.device says what it
does.
"""

from mien.kernels.protocol import Bytes, Floats, Matrix

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
def crop(out: Floats, frame: Bytes, layout: int, yuv: Floats, to_frame: Matrix, black: bool = False) -> None: ...
def fit(out: Floats, planes: Floats, height: int, width: int) -> None: ...
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
def sample_volume(out: Floats, volume: Floats, grid: Floats) -> None: ...
def place_keypoints(
    out: Floats, canonical: Floats, angles: Floats, expression: Floats, scale: Floats, translation: Floats
) -> None: ...
