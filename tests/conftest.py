"""Rules for the whole suite: native kernels that are required have to be there, and no test times the machine."""

import os
import signal

import hypothesis
import pytest

from mien import kernels

# A deadline would fail on a busy machine; the same examples every time make a failure in CI one that can be repeated.
hypothesis.settings.register_profile("mien", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("mien")


@pytest.fixture(scope="session")
def native() -> None:
    """Needs the compiled kernels: skips in a pure build, fails under CI=true or MIEN_REQUIRE_NATIVE=1."""
    if kernels.backend() == "native":
        return
    message = "mien was built without its C++ kernels (MIEN_PURE=1, or no mien._cpu in this installation)."
    if os.environ.get("CI") == "true" or os.environ.get("MIEN_REQUIRE_NATIVE") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """A shell starts what it puts into the background deaf to Ctrl-C, of which several tests are about."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
