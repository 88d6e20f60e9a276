"""Whole chains on a real GPU: the pictures of the host's chain, and nothing allocated for a frame.

Not executed yet: there was no GPU when this was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.errors import MissingDependency
from mien.image import load_image
from mien.reenact import Reenactor
from mien.sessions.cuda import Cuda
from mien.stream.sources import open_source

pytestmark = pytest.mark.gpu

DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"


@pytest.mark.parametrize("backend", ["ort", "tensorrt", "rtx"])
def test_pictures_are_the_hosts_and_frames_may_stay(cuda: Cuda, backend: str) -> None:
    portrait = load_image(DEMO / "source.jpg")
    with open_source(str(DEMO / "driving.mp4")) as clip:
        frames = [frame.image for frame, _ in zip(clip, range(40), strict=False)]
    host = Reenactor("studio", threads=1)
    try:
        there = Reenactor("studio", device="cuda", backend=backend)
    except MissingDependency as error:
        pytest.skip(f"not executed: {error}")
    runner: Any = there.family.runner
    assert runner.device == f"cuda:{cuda.ordinal}", "mien was built without its CUDA kernels"
    staying = Reenactor(there.family)
    for reenactor in (host, there, staying):
        reenactor.set_source(portrait)
    for number, frame in enumerate(frames):
        if number == 10:
            before = cuda.free()
        wanted, made = host.step(frame), there.step(frame)
        off = np.abs(made.image.astype(int) - wanted.image)
        assert np.percentile(off, 99.9) <= 3, "other arithmetic in the networks, but the same picture"
        stays = staying.step(runner.own(frame))
        assert np.abs(runner.host(stays.image).astype(int) - made.image).max() <= 1
    assert cuda.free() == before
