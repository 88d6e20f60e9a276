"""The compiled modules: there, complete, and quick to refuse what they cannot take."""

import ast
import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import mien
from mien import kernels
from mien.kernels import layouts
from tests.kernels.cases import floats, picture, similarity

PACKAGE = Path(mien.__file__).parent
YUV = layouts.numbers("test", "bt709")


def stub_names(module: str) -> set[str]:
    nodes = ast.parse((PACKAGE / f"{module}.pyi").read_text()).body
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return functions | {
        node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def public_names(module: object) -> set[str]:
    return {name for name in vars(module) if not name.startswith("_")}


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", ["_cpu", "_dlpack", "_emulator"])
def test_the_stub_names_what_the_module_has(name: str) -> None:
    assert public_names(importlib.import_module(f"mien.{name}")) == stub_names(name)


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

    def test_refuses_what_no_kernel_takes(self) -> None:
        from mien._cuda import blend_faces, crop, fit, sample_volume, warp_blend

        places = similarity()[None]
        with pytest.raises(ValueError, match="address is 0"):
            blend_faces(0, 8, 0, (4, 4), YUV, 8, "|u1", 8, "|u1", True, (2, 2), places, 0.0, 0)
        with pytest.raises(ValueError, match="no kernel for values <f8"):
            blend_faces(8, 8, 0, (4, 4), YUV, 8, "<f8", 8, "|u1", True, (2, 2), places, 0.0, 0)
        with pytest.raises(ValueError, match="even sides"):
            crop(8, "<f4", (4, 4), 8, 4, (4, 5), YUV, places, False, 0)
        with pytest.raises(ValueError, match="too large"):
            crop(8, "<f4", (1 << 16, 1 << 16), 8, 0, (4, 4), YUV, places, False, 0)
        with pytest.raises(ValueError, match="layout is 0 to 4"):
            crop(8, "<f4", (4, 4), 8, 5, (4, 4), YUV, places, False, 0)
        with pytest.raises(ValueError, match="never up"):
            fit(8, (9, 9), 8, (6, 6), (7, 7), 3, 0)
        with pytest.raises(ValueError, match="below 1"):
            sample_volume(8, 8, "<f4", 8, 0, 32, (2, 2, 2), (2, 2, 2), 0)
        with pytest.raises(ValueError, match="below 1"):
            warp_blend(8, 8, (0, 4), 8, (2, 2), 8, 8, 8, (2, 2), similarity(), similarity(), 0)

    @pytest.mark.skipif(has_gpu(), reason="asks what happens without a GPU")
    def test_without_a_driver_the_error_names_the_call(self) -> None:
        from mien import _cuda

        places = similarity()[None]
        with pytest.raises(RuntimeError, match="blend: starting the kernel failed"):
            _cuda.blend_faces(8, 8, 0, (4, 4), YUV, 8, "|u1", 8, "<f4", True, (2, 2), places, 0.0, 0)
        with pytest.raises(RuntimeError, match="crop: starting the kernel failed"):
            _cuda.crop(8, "<f2", (4, 4), 8, 0, (4, 4), YUV, places, False, 0)
        with pytest.raises(RuntimeError, match="fit: starting the kernel failed"):
            _cuda.fit(8, (4, 4), 8, (6, 6), (3, 3), 3, 0)
        with pytest.raises(RuntimeError, match="warp_blend: copying the source failed"):
            _cuda.warp_blend(8, 8, (4, 4), 8, (2, 2), 8, 8, 8, (2, 2), similarity(), similarity(), 0)
        with pytest.raises(RuntimeError, match="sample_volume: starting the kernel failed"):
            _cuda.sample_volume(8, 8, "<f4", 8, 1, 32, (2, 2, 2), (2, 2, 2), 0)
        with pytest.raises(RuntimeError, match="place_keypoints: starting the kernel failed"):
            _cuda.place_keypoints(8, 8, 8, 8, 8, 8, 1, 21, 0)
        with pytest.raises(RuntimeError, match="begin_capture: cudaStreamBeginCapture failed"):
            _cuda.begin_capture(8)
        with pytest.raises(RuntimeError, match="end_capture: cudaStreamEndCapture failed"):
            _cuda.end_capture(8)
        _cuda.discard_capture(8)
