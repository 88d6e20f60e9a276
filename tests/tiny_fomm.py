"""A FOMM bundle made by hand, whose results can be foreseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
from numpy.typing import NDArray
from onnx import numpy_helper

from mien.bundle import Bundle, Licence, Manifest, write_bundle
from tests.tiny import serialized, spec_of


def blob_bundle(path: Path) -> Bundle:
    """Three keypoints: the middles of red, green and blue; the generator shows the source, brighter by their way.

    Affine maps are twice the identity. The way is the mean over the points of how far they went to the right.
    """
    axis = (np.arange(256, dtype=np.float32) + 0.5) / 128 - 1
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    models = {
        "keypoints": _network(
            """keypoints (float[batch,3,256,256] image) => (float[batch,3,2] value, float[batch,3,2,2] jacobian) {
                flat = Reshape (image, rows)
                moment = MatMul (flat, grid)
                mass = ReduceSum <keepdims = 1> (flat, last)
                value = Div (moment, mass)
                masses = Unsqueeze (mass, last)
                nought = Mul (masses, zero)
                jacobian = Add (nought, twice)
            }""",
            rows=np.array([0, 3, 65536]), grid=grid, last=np.array([2]), zero=np.zeros((1, 1, 2, 2), np.float32),
            twice=2 * np.eye(2, dtype=np.float32)[None, None],
        ),
        "appearance": _network(
            """appearance (float[1,3,256,256] image) => (float[1,3,256,256] features, float[1,3,64,64] small) {
                features = Identity (image)
                small = AveragePool <kernel_shape = [4, 4], strides = [4, 4]> (image)
            }"""
        ),
        "generator": _network(
            """generator (float[1,3,256,256] features, float[1,3,64,64] small, float[1,3,2] source_value,
            float[1,3,2,2] source_jacobian, float[1,3,2] driving_value, float[1,3,2,2] driving_jacobian)
            => (float[1,3,256,256] image) {
                way = Sub (driving_value, source_value)
                right = MatMul (way, first)
                light = ReduceMean <keepdims = 0> (right)
                lit = Add (features, light)
                image = Clip (lit, dark, bright)
            }""",
            first=np.array([[1], [0]], np.float32), dark=np.array(0, np.float32), bright=np.array(1, np.float32),
        ),
    }  # fmt: skip
    manifest = Manifest(
        name="blobs",
        task="reenact",
        family="fomm",
        licence=Licence("Apache-2.0", "Apache-2.0"),
        origin="Made by hand for a test.",
        networks={role: spec_of(model, role) for role, model in models.items()},
    )
    return write_bundle(path, manifest, models)


def _network(text: str, **constants: NDArray[Any]) -> bytes:
    graph = onnx.parser.parse_graph(text)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return serialized(graph)
