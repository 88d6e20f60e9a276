"""A tiny LIA bundle, made in a moment, whose results can be worked out on paper.

A face's magnitudes are its mean colour (r, g, b), from -3 to 3. The generator shows the portrait, each colour brighter
by a tenth of the way that its magnitude goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
from numpy.typing import NDArray
from onnx import numpy_helper

from mien.bundle import Bundle, Licence, Manifest, write_bundle
from tests.tiny import serialized, spec_of

SIDE = 64
DIRECTIONS = 3


def colour_bundle(path: Path) -> Bundle:
    """The bundle, a folder or a zip by the suffix."""
    reading: dict[str, Any] = {
        "places": np.array([2, 3]), "half": np.float32([0.5]), "wide": np.float32([6]), "back": np.float32([-1])
    }  # fmt: skip
    models = {
        "motion": _network(
            f"""motion (float[batch,3,{SIDE},{SIDE}] image) => (float[batch,3] motion) {{
                mean = ReduceMean <keepdims = 0> (image, places)
                centred = Sub (mean, half)
                motion = Mul (centred, wide)
            }}""",
            **{name: reading[name] for name in ("places", "half", "wide")},
        ),
        "appearance": _network(
            f"""appearance (float[1,3,{SIDE},{SIDE}] image)
            => (float[1,3] latent, float[1,3] motion, float[1,3,{SIDE},{SIDE}] feature_{SIDE}) {{
                mean = ReduceMean <keepdims = 0> (image, places)
                centred = Sub (mean, half)
                motion = Mul (centred, wide)
                latent = Mul (motion, back)
                feature_{SIDE} = Identity (image)
            }}""",
            **reading,
        ),
        "generator": _network(
            f"""generator (float[1,3] latent, float[1,3] motion, float[1,3,{SIDE},{SIDE}] feature_{SIDE})
            => (float[1,3,{SIDE},{SIDE}] image) {{
                way = Add (latent, motion)
                light = Mul (way, tenth)
                lights = Unsqueeze (light, places)
                lit = Add (feature_{SIDE}, lights)
                image = Clip (lit, dark, bright)
            }}""",
            places=np.array([2, 3]), tenth=np.float32([0.1]), dark=np.float32(0), bright=np.float32(1),
        ),
    }  # fmt: skip
    manifest = Manifest(
        name="colours",
        task="reenact",
        family="lia",
        licence=Licence("Apache-2.0", "Apache-2.0"),
        origin="Made by hand for a test.",
        networks={role: spec_of(model, role) for role, model in models.items()},
    )
    return write_bundle(path, manifest, models)


def _network(text: str, **constants: NDArray[Any] | np.float32) -> bytes:
    graph = onnx.parser.parse_graph(text)
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    return serialized(graph)
