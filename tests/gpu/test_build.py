"""`mien build` on a real GPU: engines in the cache, opened by the next session, with a report that names the nodes.

Not executed yet: there was no GPU when this was written.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from mien.bundle import Bundle
from mien.commands.engines import EnginesJob, fill_cache
from mien.errors import MissingDependency
from mien.sessions import open_session, trt_open
from mien.sessions.cuda import Cuda
from mien.sessions.places import node_places
from mien.sessions.trt_flavour import FlavourName, load_flavour

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
def test_the_first_session_finds_the_engine_that_was_built(
    flavour: FlavourName, cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        load_flavour(flavour)
    except MissingDependency as error:
        pytest.skip(f"not executed: {error}")
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    report = fill_cache(EnginesJob("studio", flavour, cuda))
    assert all(engine.built and engine.layers for engine in report.networks.values())
    again = fill_cache(EnginesJob("studio", flavour, cuda))
    assert not any(engine.built for engine in again.networks.values())
    monkeypatch.setattr(trt_open, "build_plan", None)  # which nobody may call any more
    bundle = Bundle.open("studio")
    for role in bundle.manifest.networks:
        open_session(bundle.model(role), flavour, "cuda").close()
        nodes = {node.name for node in onnx.load_from_string(bundle.model(role)).graph.node}
        assert nodes & {place.name for place in node_places(bundle.model(role), flavour, "cuda")}, role
