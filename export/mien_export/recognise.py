"""What a state dict is: the public architectures, each by the few keys that no other has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Signature:
    """An architecture: all ``keys`` are there, and ``width`` (if given) is the second axis of the first of them."""

    name: str
    keys: tuple[str, ...]
    width: int | None = None

    def fits(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has what the architecture has."""
        if not all(key in state for key in self.keys):
            return False
        shape = state[self.keys[0]].shape
        return self.width is None or (len(shape) > 1 and shape[1] == self.width)


TRUNK = "body.0.res_layer.1.weight"

SIGNATURES = (
    Signature("a StyleGAN2 generator", ("style.1.weight", "input.input", "conv1.conv.weight", "to_rgb1.conv.weight")),
    Signature("a StyleGAN2 generator of mmgeneration", ("style_mapping.1.linear.weight_orig", "constant_input.input")),
    Signature("a pSp or e4e encoder", ("input_layer.0.weight", TRUNK, "latlayer1.weight", "styles.0.linear.weight"), 3),
    Signature("a ReStyle encoder with a pyramid", ("input_layer.0.weight", TRUNK, "latlayer1.weight"), 6),
    Signature("a ReStyle encoder", ("input_layer.0.weight", TRUNK, "styles.0.linear.weight")),
    Signature("a ReStyle encoder on ResNet34", ("conv1.weight", "styles.0.linear.weight")),
    Signature("a pSp encoder into W+ (last layer)", (TRUNK, "output_layer_2.0.weight", "linear.weight")),
    Signature("a pSp encoder into W", ("input_layer.0.weight", TRUNK, "linear.weight")),
    Signature("an ArcFace IR-SE50", ("input_layer.0.weight", TRUNK, "output_layer.3.weight")),
    Signature("a BiSeNet face parser", ("cp.arm16.conv.conv.weight", "ffm.convblk.conv.weight")),
    Signature("a difference network", ("shared.0.weight", "classifier.0.conv1.weight", "fc.weight")),
    Signature("a deghosting network", ("FCN.encoder.0.conv_first.weight", "generator.constant_input.input")),
    Signature("a Fader autoencoder", ("enc_layers.0.0.weight", "enc_layers.1.0.weight")),
    Signature("LivePortrait's appearance extractor (F)", ("resblocks_3d.3dr0.conv1.weight", "second.weight")),
    Signature("LivePortrait's motion extractor (M)", ("detector.fc_kp.weight", "detector.fc_exp.weight")),
    Signature("LivePortrait's warp (W)", ("dense_motion_network.compress.weight", "fourth.weight")),
    Signature("LivePortrait's decoder (G)", ("G_middle_0.conv_0.weight_orig", "fc.weight")),
    Signature("LivePortrait's stitching network", ("mlp.0.weight", "mlp.6.weight"), 126),
    Signature("LivePortrait's eye retargeting", ("mlp.0.weight", "mlp.10.weight"), 66),
    Signature("LivePortrait's lip retargeting", ("mlp.0.weight", "mlp.6.weight"), 65),
    Signature("FOMM's generator", ("dense_motion_network.mask.weight", "bottleneck.r0.conv1.weight")),
    Signature("FOMM's keypoint detector", ("kp.weight", "predictor.encoder.down_blocks.0.conv.weight")),
    Signature("LIA's generator", ("dec.direction.weight", "enc.fc.0.weight")),
    Signature("TPSMM's keypoint detector", ("fg_encoder.conv1.weight", "fg_encoder.fc.weight")),
    Signature("TPSMM's dense motion network", ("maps.weight", "occlusion.0.weight", "up.0.conv.weight")),
    Signature("TPSMM's inpainting network", ("resblock.0.conv1.weight", "final.weight")),
    Signature("TPSMM's AVD network", ("id_encoder.0.weight", "pose_encoder.0.weight")),
    Signature("a ResNet of torchvision's layout", ("conv1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight")),
)


def recognise(state: Mapping[str, Tensor]) -> str | None:
    """The architecture that ``state`` is the weights of ("a pSp or e4e encoder"), None for one that is not known."""
    return next((signature.name for signature in SIGNATURES if signature.fits(state)), None)


def described(state: Mapping[str, Tensor]) -> str:
    """What ``state`` is, for an error message: an architecture, or one for each network in it, or its first keys."""
    whole = recognise(state)
    if whole:
        return whole
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        parts.setdefault(first, {})[rest] = value
    known = [f"{name}. ({found})" for name, inner in parts.items() if (found := recognise(inner))]
    if known:
        return " and ".join(known)
    return f"nothing known: {', '.join(list(state)[:3]) or 'no tensors'}"
