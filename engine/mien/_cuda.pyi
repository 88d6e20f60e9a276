"""The CUDA kernels on raw device addresses and a stream handle. Built only with nvcc; mien.kernels.device checks first.

Sizes are (height, width) or (depth, height, width); types are those of __array_interface__: "|u1", "<f4", "<f2". Work
is queued and not waited for. Raises ValueError for an address of 0 or a size no kernel takes, RuntimeError where CUDA
refuses.
"""

from mien.kernels.protocol import Floats, Matrix

CUDART_VERSION: int

def blend_faces(
    out: int,
    frame: int,
    layout: int,
    frame_size: tuple[int, int],
    yuv: Floats,
    patches: int,
    patch_type: str,
    masks: int,
    mask_type: str,
    one_mask: bool,
    patch_size: tuple[int, int],
    to_patch: Matrix,
    feather: float,
    stream: int,
) -> None: ...
def crop(
    out: int,
    out_type: str,
    size: tuple[int, int],
    frame: int,
    layout: int,
    frame_size: tuple[int, int],
    yuv: Floats,
    to_frame: Matrix,
    black: bool,
    stream: int,
) -> None: ...
def fit(
    out: int,
    out_size: tuple[int, int],
    planes: int,
    size: tuple[int, int],
    fitted: tuple[int, int],
    count: int,
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
    shade: int | None = None,
    shade_size: tuple[int, int] = (1, 1),
) -> None: ...
def sample_volume(
    out: int,
    volume: int,
    type: str,
    grid: int,
    batch: int,
    channels: int,
    size: tuple[int, int, int],
    out_size: tuple[int, int, int],
    stream: int,
) -> None: ...
def place_keypoints(
    out: int,
    canonical: int,
    angles: int,
    expression: int,
    scale: int,
    translation: int,
    batch: int,
    count: int,
    stream: int,
) -> None: ...
def begin_capture(stream: int) -> None:
    """Records what this thread queues on the stream (not the default one) from now on, instead of running it."""

def discard_capture(stream: int) -> None:
    """Ends a capture that failed half way; the stream can be used again."""

def end_capture(stream: int) -> Graph:
    """Ends the capture: what was recorded, ready to be launched."""

class Graph:
    """The memory that was used while recording has to be there at every launch."""

    def launch(self, stream: int) -> None:
        """Queues the whole."""
