"""The compiled modules: there, complete, and quick to refuse what they cannot take."""

import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import mien
from mien import kernels
from tests.kernels.cases import floats, picture, similarity

PACKAGE = Path(mien.__file__).parent


def stub_names(module: str) -> set[str]:
    nodes = ast.parse((PACKAGE / f"{module}.pyi").read_text()).body
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return functions | {
        node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def public_names(module: object) -> set[str]:
    return {name for name in vars(module) if not name.startswith("_")}


@pytest.mark.usefixtures("native")
def test_the_stub_of_cpu_names_what_it_has() -> None:
    import mien._cpu

    assert public_names(mien._cpu) == stub_names("_cpu")


@pytest.mark.usefixtures("native")
def test_backend_says_native() -> None:
    assert kernels.backend() == "native"


@pytest.mark.usefixtures("native")
def test_cpu_checks_types_itself() -> None:
    import mien._cpu

    frame, matrix = picture(8, 8), similarity()
    with pytest.raises(TypeError):
        mien._cpu.blend(frame, frame, picture(4, 4).astype(np.float32), floats(4, 4), matrix, 0.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        mien._cpu.blend(frame[::2], frame[::2], picture(4, 4), floats(4, 4), matrix, 0.0)
    with pytest.raises(ValueError, match="differ in size"):
        mien._cpu.blend(frame, frame, picture(4, 4), floats(5, 4), matrix, 0.0)


def has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


@pytest.mark.skipif(importlib.util.find_spec("mien._cuda") is None, reason="mien was built without a CUDA compiler")
class TestCuda:
    def test_imports_without_a_gpu_and_the_stub_names_what_it_has(self) -> None:
        import mien._cuda

        assert public_names(mien._cuda) == stub_names("_cuda")
        assert mien._cuda.CUDART_VERSION >= 12000

    @pytest.mark.skipif(has_gpu(), reason="asks what happens without a GPU")
    def test_without_a_driver_the_error_names_the_call(self) -> None:
        import mien._cuda

        with pytest.raises(RuntimeError, match="blend: starting the kernel failed"):
            mien._cuda.blend_byte_mask(0, 0, (4, 4), 0, 0, (2, 2), similarity(), 0.0, 0)
        with pytest.raises(RuntimeError, match="warp_blend: copying the source failed"):
            mien._cuda.warp_blend(0, 0, (4, 4), 0, (2, 2), 0, 0, 0, (2, 2), similarity(), similarity(), 0)
