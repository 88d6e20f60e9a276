"""Batch normalisations folded into the convolutions that a module names beside them, as ResNets do."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mien_export.graphs.folding import Network, folded


def fused(network: Network, pairs: Mapping[str, str]) -> Network:
    """A copy in evaluation mode: `folded`, and in every module each convolution of ``pairs`` with its normalisation.

    ``pairs``: attribute name of a convolution to that of the normalisation which is always applied to its output, as
    ``{"conv1": "bn1"}``. A module without both is left as it is.
    """
    module = folded(network)
    for parent in list(module.modules()):
        for convolution, normalisation in pairs.items():
            conv, norm = getattr(parent, convolution, None), getattr(parent, normalisation, None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, convolution, fuse_conv_bn_eval(conv, norm))
                setattr(parent, normalisation, nn.Identity())
    return module
