"""A TPSMM bundle made by hand, whose results can be foreseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
from numpy.typing import NDArray
from onnx import numpy_helper

from mien.bundle import Bundle, Licence, Manifest, write_bundle
from tests.tiny import serialized, spec_of

MIX = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1)], np.float32)
"""How much of red, green and blue is in each keypoint of `blob_bundle`."""

AVD_SHIFT = 0.25


def blob_bundle(path: Path, avd: bool = False) -> Bundle:
    """One group of keypoints: the middles of red, green and blue, and of two sums of them.

    The generator shows the source, brighter by the points' mean way to the right. ``avd`` gives the source's points,
    moved down by `AVD_SHIFT`.
    """
    axis = (np.arange(256, dtype=np.float32) + 0.5) / 128 - 1
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    models = {
        "keypoints": _network(
            """keypoints (float[batch,3,256,256] image) => (float[batch,5,2] points) {
                flat = Reshape (image, rows)
                mixed = MatMul (mix, flat)
                moment = MatMul (mixed, grid)
                mass = ReduceSum <keepdims = 1> (mixed, last)
                points = Div (moment, mass)
            }""",
            rows=np.array([0, 3, 65536]), grid=grid, last=np.array([2]), mix=MIX,
        ),
        "appearance": _network(
            """appearance (float[1,3,256,256] image) => (float[1,3,256,256] features_256, float[1,3,64,64] small) {
                features_256 = Identity (image)
                small = AveragePool <kernel_shape = [4, 4], strides = [4, 4]> (image)
            }"""
        ),
        "generator": _network(
            """generator (float[1,3,256,256] features_256, float[1,3,64,64] small, float[1,5,2] source_points,
            float[1,5,2] driving_points, float[1,1,8,2] splines) => (float[1,3,256,256] image) {
                way = Sub (driving_points, source_points)
                right = MatMul (way, first)
                light = ReduceMean <keepdims = 0> (right)
                lit = Add (features_256, light)
                image = Clip (lit, dark, bright)
            }""",
            first=np.array([[1], [0]], np.float32), dark=np.array(0, np.float32), bright=np.array(1, np.float32),
        ),
        "avd": _network(
            """avd (float[1,5,2] source_points, float[1,5,2] driving_points) => (float[1,5,2] points) {
                points = Add (source_points, down)
            }""",
            down=np.array([[0, AVD_SHIFT]], np.float32),
        ),
    }  # fmt: skip
    if not avd:
        del models["avd"]
    manifest = Manifest(
        name="blobs",
        task="reenact",
        family="tpsmm",
        licence=Licence("Apache-2.0", "Apache-2.0"),
        origin="Made by hand for a test.",
        networks={role: spec_of(model, role) for role, model in models.items()},
    )
    return write_bundle(path, manifest, models)


def _network(text: str, **constants: NDArray[Any]) -> bytes:
    graph = onnx.parser.parse_graph(text)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return serialized(graph)
