"""The compiled implementations that every operation is tested with."""

from types import ModuleType

import pytest


@pytest.fixture(params=["_cpu", "_emulator"])
def compiled(request: pytest.FixtureRequest, native: None) -> ModuleType:
    """The C++ kernels, and the CUDA kernels' arithmetic on the CPU."""
    from importlib import import_module

    return import_module(f"mien.{request.param}")
