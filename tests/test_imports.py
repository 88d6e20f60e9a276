"""Who may import whom: no torch in the engine, heavy packages in one place each, imports pointing downwards only."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mien

ENGINE = Path(mien.__file__).parent
FILES = sorted(ENGINE.rglob("*.py"))

NEVER = {"torch", "torchvision", "onnx", "onnxscript", "numba", "mien_export", "training", "benchmarks", "pickle"}
HOMES = {  # a heavy package, and the only module or folder that imports it
    "onnxruntime": "sessions/ort.py",
    "openvino": "sessions/openvino.py",
    "tensorrt": "sessions/trt_flavour.py",
    "tensorrt_rtx": "sessions/trt_flavour.py",
    "pycuda": "sessions/cuda.py",
    "av": "stream/",
    "aiortc": "stream/webrtc.py",
}

# From the top down: each part knows only what lies below it. What is not named here is above everything.
STACK = [
    {"commands"},
    {"doctor"},
    {"stream", "reenact", "editing"},
    {"faces"},
    {"runners"},
    {"bundle"},
    {"sessions"},
    {"image", "kernels"},
    {"geometry"},
]
GROUND = {"errors", "files", "timing", "provenance", "picture_header", "archive", "hub", "_cpu", "_cuda"}
LEVEL = {part: level for level, parts in enumerate([*STACK, GROUND]) for part in parts}


def imports(file: Path) -> Iterator[str]:
    """The full names that a file imports, wherever in it: a.b for `import a.b`, a.b.c for `from a.b import c`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}:{node.lineno}: write absolute imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(file: Path) -> str:
    return file.relative_to(ENGINE).as_posix()


def part_of(file: Path) -> str:
    return file.relative_to(ENGINE).parts[0].removesuffix(".py")


def test_the_files_are_there() -> None:
    assert {"errors.py", "kernels/__init__.py"} <= {name_of(file) for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_heavy_packages_have_one_home(file: Path) -> None:
    for name in imports(file):
        package = name.split(".")[0]
        assert package not in NEVER, f"the engine never imports {package}"
        home = HOMES.get(package)
        assert home is None or name_of(file).startswith(home), f"{package} is imported in {home} only"


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.name != "__init__.py" or file.parent != ENGINE], ids=name_of
)
def test_imports_point_downwards(file: Path) -> None:
    own = part_of(file)
    for name in imports(file):
        parts = name.split(".")
        if parts[0] != "mien" or parts[1] == own or (len(parts) == 2 and parts[1].startswith("__")):
            continue
        assert parts[1] in LEVEL, f"mien.{parts[1]} is at the top (or missing from this test's tables)"
        below = LEVEL[parts[1]] > LEVEL.get(own, -1) or {own, parts[1]} <= GROUND
        assert below, f"mien.{own} may not know mien.{parts[1]}"
        if own == "stream":
            assert parts[1] in GROUND | {"image", "geometry"}, "a stream knows frames, and no networks"


def modules_after(statement: str) -> set[str]:
    """The top-level names of what a fresh interpreter has loaded after the statement."""
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_no_module_of_the_engine_loads_torch_or_the_exporter() -> None:
    optional = {HOMES[package] for package in ("openvino", "tensorrt", "pycuda", "aiortc")}
    files = [file.relative_to(ENGINE) for file in FILES if name_of(file) not in optional and file.stem != "__main__"]
    names = [".".join(("mien", *file.with_suffix("").parts)).removesuffix(".__init__") for file in files]
    loaded = modules_after(f"import {', '.join(names)}")
    assert {"mien", "onnxruntime", "cv2", "av"} <= loaded
    assert not loaded & NEVER - {"pickle"}


def test_import_mien_loads_nothing_heavy() -> None:
    loaded = modules_after("import mien")
    assert not loaded & {"numpy", "cv2", "onnxruntime", "av", "rich", "typer"}


def test_the_public_names_load_no_command_line_and_no_video() -> None:
    loaded = modules_after("from mien import Bundle, Reenactor, kernels")
    assert {"mien", "numpy"} <= loaded
    assert not loaded & {"torch", "av", "typer", "rich"}
