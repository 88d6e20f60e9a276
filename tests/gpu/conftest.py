"""What tests on a GPU share: they run with `pytest -m gpu` only, and fail where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mien.sessions.cuda import Cuda


@pytest.fixture
def cuda() -> Iterator[Cuda]:
    gpu = Cuda.open()
    yield gpu
    gpu.close()
