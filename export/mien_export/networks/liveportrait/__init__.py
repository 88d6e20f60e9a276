"""LivePortrait's networks with the keys of the public checkpoints, one file each.

Guo et al., "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting Control", 2024;
github.com/KwaiVGI/LivePortrait, code and weights MIT. Evaluation mode only. Pictures are float NCHW, RGB in [0, 1];
volumes are (N, C, depth, height, width); points are (N, K, 3) of x (right), y (down), z (inwards) in [-1, 1].

The modules are written to be read beside the paper and are slow: `mien_export.graphs.liveportrait` is what runs.
"""

from mien_export.networks.liveportrait.appearance import AppearanceFeatureExtractor
from mien_export.networks.liveportrait.motion import MotionExtractor, MotionOutput
from mien_export.networks.liveportrait.spade import SPADEDecoder
from mien_export.networks.liveportrait.stitching import StitchingRetargetingNetwork
from mien_export.networks.liveportrait.warp import DenseMotion, WarpingNetwork

__all__ = [
    "AppearanceFeatureExtractor",
    "DenseMotion",
    "MotionExtractor",
    "MotionOutput",
    "SPADEDecoder",
    "StitchingRetargetingNetwork",
    "WarpingNetwork",
]
