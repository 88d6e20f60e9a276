"""The CUDA kernels on raw device addresses and a stream handle; sizes are (height, width). Built only with nvcc."""

from mien.kernels.protocol import Matrix

CUDART_VERSION: int

def blend_byte_mask(
    out: int,
    frame: int,
    frame_size: tuple[int, int],
    patch: int,
    mask: int,
    patch_size: tuple[int, int],
    to_patch: Matrix,
    feather: float,
    stream: int,
) -> None: ...
def blend_float_mask(
    out: int,
    frame: int,
    frame_size: tuple[int, int],
    patch: int,
    mask: int,
    patch_size: tuple[int, int],
    to_patch: Matrix,
    feather: float,
    stream: int,
) -> None: ...
def warp_blend(
    out: int,
    source: int,
    source_size: tuple[int, int],
    flow: int,
    flow_size: tuple[int, int],
    visible: int,
    paint: int,
    mask: int,
    crop_size: tuple[int, int],
    to_crop: Matrix,
    to_source: Matrix,
    stream: int,
) -> None: ...
