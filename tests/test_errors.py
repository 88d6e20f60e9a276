"""The tree of errors is what it says, and what the command line relies on."""

import pickle
import re

import pytest

from mien import errors
from mien.errors import MienError, MissingDependency

TYPES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MienError)]


def test_every_error_is_a_mien_error_with_an_exit_code_beyond_success_and_wrong_usage() -> None:
    for kind in TYPES:
        assert issubclass(kind, MienError)
        assert kind.exit_code == 1 or 3 <= kind.exit_code < 126


def test_the_drawn_tree_is_the_real_one() -> None:
    assert errors.__doc__
    parents: list[str] = []
    drawn = {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"([ │├└─]*)(\w+)\s+(\d+)  ", line)
        if match:
            depth = len(match[1]) // 4 if match[1] else 0
            parents[depth:] = [match[2]]
            drawn[match[2]] = (parents[depth - 1] if depth else "Exception", int(match[3]))
    assert drawn == {kind.__name__: (kind.__bases__[0].__name__, kind.exit_code) for kind in TYPES}


def test_a_missing_dependency_says_what_to_type() -> None:
    error = MissingDependency("openvino", "openvino")
    assert "pip install 'mien[openvino]'" in str(error)
    assert (error.package, error.extra) == ("openvino", "openvino")


@pytest.mark.parametrize("error", [MissingDependency("a", "b"), errors.NoFace("none")])
def test_errors_survive_the_way_to_another_process(error: MienError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
