"""The tiny edit bundle and an editor of it, made once a module; counted runs of its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.editing.editor import Editor
from mien.editing.networks import Networks
from tests.tiny_edit import tiny_edit_bundle

Runs = list[tuple[str, Mapping[str, NDArray[Any]]]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path: Path = tmp_path_factory.mktemp("edit") / "bundle"
    return tiny_edit_bundle(path)


@pytest.fixture(scope="module")
def editor(bundle: Bundle) -> Editor:
    return Editor(bundle, threads=1)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Every network that is run from now on, in order: its role and what it was fed."""
    seen: Runs = []

    def counted(run: Callable[..., dict[str, NDArray[Any]]]) -> Callable[..., dict[str, NDArray[Any]]]:
        def running(self: Networks, role: str, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            seen.append((role, {name: np.array(value) for name, value in feeds.items()}))
            return run(self, role, feeds)

        return running

    monkeypatch.setattr(Networks, "run", counted(Networks.run))
    monkeypatch.setattr(Networks, "answer", counted(Networks.answer))
    return seen
