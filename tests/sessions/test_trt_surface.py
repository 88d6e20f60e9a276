"""Every name that mien uses of TensorRT is one of both flavours: the installed TensorRT-RTX, and a list of TensorRT 11.

Found in the source by two conventions: the package is called ``trt`` (also as an attribute), and objects of its classes
bear the names of `OBJECTS`, or these after an underscore, in the modules ``sessions/trt*.py``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import pytest

import mien
from tests.sessions.trt11_names import NAMES, RTX_ONLY

trt = pytest.importorskip("tensorrt_rtx", reason="mien[rtx] is not installed")

ENGINE = Path(mien.__file__).parent
PACKAGES = {"trt", "_trt", "tensorrt", "tensorrt_rtx"}
OBJECTS = {
    "border": "ITensor",
    "builder": "Builder",
    "cache": "ITimingCache",
    "config": "IBuilderConfig",
    "context": "IExecutionContext",
    "engine": "ICudaEngine",
    "inspector": "EngineInspector",
    "parsed": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "runtime": "Runtime",
    "runtime_cache": "IRuntimeCache",
    "runtime_config": "IRuntimeConfig",
    "told": "ParserError",
}


@dataclass(frozen=True)
class Use:
    """A name of TensorRT's, "Builder.create_network", and where it stands."""

    name: str
    function: str
    place: str


def uses(source: str, file: str) -> Iterator[Use]:
    """All names that a module uses, with the innermost named function around each."""

    def visit(node: ast.AST, function: str) -> Iterator[Use]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        if isinstance(node, ast.ClassDef):
            for base in filter(None, map(name_of, node.bases)):
                methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
                own = (method for method in methods if not method.name.startswith("_"))
                yield from (Use(f"{base}.{method.name}", function, f"{file}:{method.lineno}") for method in own)
        name = name_of(node) if isinstance(node, ast.Attribute) else None
        if name is not None:
            yield Use(name, function, f"{file}:{getattr(node, 'lineno', 0)}")
            return  # the rest of the chain is in the name
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    def name_of(node: ast.AST) -> str | None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            if parts and name in PACKAGES:
                return ".".join(reversed(parts))
            if parts and name.lstrip("_") in OBJECTS and Path(file).name.startswith("trt"):
                return f"{OBJECTS[name.lstrip('_')]}.{parts[-1]}"
            if isinstance(node, ast.Name):
                return None
            parts.append(name)
            node = node.value
        return None

    for use in visit(ast.parse(source), ""):
        plain = use.name.split(".__", maxsplit=1)[0]
        if not plain.startswith("__"):
            yield Use(plain, use.function, use.place)


USES = [
    use for path in sorted(ENGINE.rglob("*.py")) for use in uses(path.read_text(), path.relative_to(ENGINE).as_posix())
]


def known_to_rtx(name: str) -> bool:
    missing = object()
    return reduce(lambda value, part: getattr(value, part, missing), name.split("."), trt) is not missing


def test_the_names_are_found_in_every_way_of_writing_them() -> None:
    source = (
        "def f(flavour):\n"
        "    builder = flavour.trt.Builder(self._trt.x)\n"
        "    trt.MemoryPoolType.WORKSPACE.value\n"
        "    class A(trt.ILogger):\n"
        "        def log(self): trt.ILogger.__init__(self)\n"
        "    builder.create_network(0).get_input(1)\n"
        "    self._engine.create_execution_context(runtime.x.y)\n"
    )
    found = {use.name for use in uses(source, "sessions/trt_x.py")}
    assert found == {
        "Builder", "Builder.create_network", "ICudaEngine.create_execution_context", "ILogger", "ILogger.log",
        "MemoryPoolType.WORKSPACE.value", "Runtime.x", "x",
    }  # fmt: skip
    assert {use.function for use in uses("def f():\n  def g(): trt.A\n", "x.py")} == {"g"}
    assert not list(uses("builder.create_network(0)", "sessions/other.py"))


def test_the_names_that_are_certainly_used_are_found() -> None:
    names = {use.name for use in USES}
    assert {"Builder.build_serialized_network", "OnnxParser.parse", "IProgressMonitor.step_complete"} <= names
    assert set(RTX_ONLY) <= names


def test_no_object_of_tensorrt_s_goes_by_another_name() -> None:
    """By the names of members that nothing else has: those with an underscore in them."""
    classes = [value for value in vars(trt).values() if isinstance(value, type)]
    members = {name for value in classes for name in vars(value) if "_" in name.strip("_") and name[0] != "_"}
    found = {use.name.split(".")[-1] for use in USES}
    for path in (ENGINE / "sessions").glob("trt*.py"):
        written = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert written & members <= found, path.name


def test_every_name_is_one_of_tensorrt_rtx() -> None:
    assert not [use for use in USES if not known_to_rtx(use.name)]


def test_every_name_is_one_of_tensorrt_11() -> None:
    assert not [use for use in USES if use.name not in NAMES and use.name not in RTX_ONLY]


def test_what_rtx_has_alone_is_used_where_the_flavour_is_known() -> None:
    assert not [use for use in USES if use.name in RTX_ONLY and use.function not in RTX_ONLY[use.name]]


def test_the_list_has_no_name_that_nobody_uses_or_knows() -> None:
    used = {use.name for use in USES}
    classes = {name.split(".")[0] for name in used}
    assert not [name for name in NAMES if name not in used and name not in classes]
    assert not [name for name in NAMES if not known_to_rtx(name)]
