"""What pyproject.toml asks for, what constraints.txt pins, and what the errors tell people to install fit together."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mien

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
ASKED = [
    Requirement(line) for line in (*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines))
]
PINNED = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line[:1] not in ("", "#")
    )
}


@pytest.mark.parametrize("requirement", ASKED, ids=str)
def test_the_version_that_is_tested_is_one_that_may_be_installed(requirement: Requirement) -> None:
    version = PINNED.get(canonicalize_name(requirement.name))
    assert version is None or requirement.specifier.contains(version)


def test_what_mien_cannot_do_without_is_pinned() -> None:
    names = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert names <= set(PINNED)


def test_a_package_that_several_extras_bring_is_asked_for_alike() -> None:
    asked = {(canonicalize_name(requirement.name), str(requirement.specifier)) for requirement in ASKED}
    assert len({name for name, _ in asked}) == len(asked)


def named_by_errors(file: Path) -> Iterator[tuple[str, str]]:
    """The package and the extra of every MissingDependency whose arguments stand there as words."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingDependency":
            words = [value.value for value in node.args if isinstance(value, ast.Constant)]
            if len(words) == 2:
                yield str(words[0]), str(words[1])


def test_every_extra_that_an_error_names_brings_the_package() -> None:
    files = [*Path(mien.__file__).parent.rglob("*.py"), *(ROOT / "export").rglob("*.py")]
    named = {pair for file in files for pair in named_by_errors(file)}
    assert named >= {("pycuda", "cuda"), ("openvino", "openvino")}
    brings = {extra: {Requirement(line).name for line in lines} for extra, lines in EXTRAS.items()}
    assert not [(package, extra) for package, extra in named if package not in brings.get(extra, ())]
