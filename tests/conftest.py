"""Rules for the whole suite: where native kernels are required, a test that would skip for want of them fails."""

import os

import pytest

from mien import kernels


@pytest.fixture(scope="session")
def native() -> None:
    """Needs the compiled kernels: skips in a pure build, fails under CI=true or MIEN_REQUIRE_NATIVE=1."""
    if kernels.backend() == "native":
        return
    message = "mien was built without its C++ kernels (MIEN_PURE=1, or no mien._cpu in this installation)."
    if os.environ.get("CI") == "true" or os.environ.get("MIEN_REQUIRE_NATIVE") == "1":
        pytest.fail(message)
    pytest.skip(message)
