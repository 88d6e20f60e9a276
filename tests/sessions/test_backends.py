"""Every backend runs the same tiny networks the same way and fails with mien's own errors only."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien.errors import DeviceError, MissingDependency, SessionError
from mien.sessions import Session, open_session
from mien.sessions.base import usable_cores
from tests import tiny

openvino = pytest.param(
    "openvino", marks=pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
)
every_backend = pytest.mark.parametrize("backend", ["ort", openvino])


def image(count: int = 1, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3, size, size), dtype=np.float32)


@every_backend
def test_a_network_runs_by_name(backend: str) -> None:
    session = open_session(tiny.scale_model(3.0), backend)
    assert session.run({"image": image(2)})["scaled"] == pytest.approx(image(2) * 3)
    assert [spec.name for spec in session.inputs + session.outputs] == ["image", "scaled"]
    assert session.inputs[0].dtype == "float32"
    assert session.inputs[0].shape[1:] == (3, 8, 8)
    assert isinstance(session.inputs[0].shape[0], str)
    assert session.info.device == "cpu"
    assert session.info.threads <= usable_cores()


@every_backend
def test_outputs_keep_their_names_where_a_runtime_drops_the_last_operation(backend: str) -> None:
    session = open_session(tiny.idle_model(), backend)
    assert session.run({"image": image(size=16)})["sum"].shape == session.outputs[0].shape == (1, 4, 16, 16)


@every_backend
def test_threads_share_a_session_and_batches_of_any_size_follow_each_other(backend: str) -> None:
    session = open_session(tiny.scale_model(3.0), backend)

    def wrong(count: int) -> bool:
        fed = np.full((count, 3, 8, 8), count, np.float32)
        return not np.array_equal(session.run({"image": fed})["scaled"], fed * 3)

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(wrong, [1 + turn % 6 for turn in range(60)]))


@every_backend
def test_a_network_may_be_a_file(backend: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(tiny.scale_model())
    assert open_session(tmp_path / "net.onnx", backend).run({"image": image()})["scaled"].shape == (1, 3, 8, 8)


@every_backend
def test_results_are_the_caller_s_own(backend: str) -> None:
    session = open_session(tiny.scale_model(size=8), backend)
    first = session.run({"image": image()})["scaled"]
    before = first.copy()
    session.run({"image": image() + 1})
    assert np.array_equal(first, before)
    first[:] = 0  # and it may be written to


@every_backend
def test_what_is_fed_need_not_be_contiguous(backend: str) -> None:
    views = np.random.default_rng(0).random((8, 8, 3, 1), dtype=np.float32).transpose(3, 2, 0, 1)
    assert open_session(tiny.scale_model(), backend).run({"image": views})["scaled"] == pytest.approx(views * 2)


@every_backend
@pytest.mark.parametrize(
    "feeds",
    [{}, {"image": image()[0]}, {"image": image().astype(np.float64)}, {"image": image(), "x": image()}],
    ids=["missing", "rank", "dtype", "too many"],
)
def test_wrong_feeds_are_named_before_the_runtime_sees_them(backend: str, feeds: dict[str, np.ndarray]) -> None:
    with pytest.raises(SessionError, match="should be"):
        open_session(tiny.scale_model(), backend).run(feeds)


def test_a_failure_while_running_is_a_session_error() -> None:
    session = open_session(tiny.failing_model())
    assert session.run({"values": np.ones(4, np.float32), "shape": np.array([4])})["out"].shape == (4,)
    with pytest.raises(SessionError, match="failed while running"):
        session.run({"values": np.ones(4, np.float32), "shape": np.array([5])})


@every_backend
@pytest.mark.parametrize("model", [b"", b"no network", tiny.scale_model()[:40]], ids=["empty", "text", "cut off"])
def test_an_unreadable_network_is_a_session_error(backend: str, model: bytes) -> None:
    with pytest.raises(SessionError, match="cannot read the network"):
        open_session(model, backend)


def test_a_precision_that_onnx_runtime_does_not_have_is_a_device_error_that_says_what_does() -> None:
    model = tiny.precision_model(onnx.TensorProto.BFLOAT16)
    with pytest.raises(DeviceError, match=r"bf16 .*backend openvino.*8\.0.*fp32.*NOT_IMPLEMENTED.*Conv"):
        open_session(model)
    pytest.importorskip("openvino")
    fed = {"image": np.ones((1, 3, 16, 16), np.float32)}
    exact = open_session(tiny.conv_model()).run(fed)["features"]
    assert open_session(model, "openvino").run(fed)["features"] == pytest.approx(exact, rel=1e-2)


@every_backend
@pytest.mark.parametrize("model", [tiny.precision_model(onnx.TensorProto.FLOAT16), tiny.int8_model()])
def test_half_and_eight_bits_run_on_the_cpu(backend: str, model: bytes) -> None:
    fed = {"image": np.ones((1, 3, 16, 16), np.float32)}
    exact = open_session(tiny.conv_model(), backend).run(fed)["features"]
    assert open_session(model, backend).run(fed)["features"] == pytest.approx(exact, rel=2e-3)


@every_backend
def test_a_missing_file_is_a_session_error(backend: str, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="Cannot read the network"):
        open_session(tmp_path / "missing.onnx", backend)


@every_backend
def test_a_closed_session_does_not_run(backend: str) -> None:
    session: Session = open_session(tiny.scale_model(), backend)
    session.close()
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run({"image": image()})


@every_backend
def test_threads_are_as_asked(backend: str) -> None:
    assert open_session(tiny.scale_model(), backend, threads=1).info.threads == 1
    with pytest.raises(SessionError, match="at least 1"):
        open_session(tiny.scale_model(), backend, threads=0)


@every_backend
@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "CPU"])
def test_an_unknown_device_lists_the_known_ones(backend: str, device: str) -> None:
    with pytest.raises(DeviceError, match=f"Requested device was: '{device}', but .*cpu"):
        open_session(tiny.scale_model(), backend, device)


def test_an_unknown_backend_lists_the_known_ones() -> None:
    with pytest.raises(DeviceError, match="Requested backend was: 'tensorflow', but there are: ort, openvino"):
        open_session(tiny.scale_model(), "tensorflow")


def test_an_unavailable_provider_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.sessions.ort.ort.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match=r"'cuda:1' \(CUDAExecutionProvider\), but .*CPUEx.*onnxruntime-gpu"):
        open_session(tiny.scale_model(), device="cuda:1")


def test_a_provider_that_does_not_start_is_an_error_and_not_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    # What ONNX Runtime makes of CUDA where its libraries are missing: a session on the CPU, and a line in the log.
    real = pytest.importorskip("onnxruntime").InferenceSession

    def without_cuda(model: bytes, options: object, providers: list[object]) -> object:
        return real(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr("mien.sessions.ort.available_providers", lambda: ("CUDAExecutionProvider",))
    monkeypatch.setattr("mien.sessions.ort.ort.InferenceSession", without_cuda)
    with pytest.raises(DeviceError, match="only these started: CPUExecutionProvider"):
        open_session(tiny.scale_model(), device="cuda")


def test_without_openvino_the_line_to_type_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mien.sessions.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependency, match=r"pip install 'mien\[openvino\]'"):
        open_session(tiny.scale_model(), "openvino")


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import mien.sessions", ("onnxruntime", "openvino")),
        ("import mien.bundle", ("onnxruntime", "openvino")),
        ("from mien.sessions import OrtSession", ("openvino",)),
    ],
)
def test_a_runtime_is_imported_only_when_it_is_used(statement: str, unwanted: tuple[str, ...]) -> None:
    check = f"import sys; {statement}; sys.exit(bool({set(unwanted)} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_waiting_threads_do_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    real = pytest.importorskip("onnxruntime").SessionOptions

    class Options(real):  # type: ignore[misc, valid-type]
        def add_session_config_entry(self, key: str, value: str) -> None:
            seen[key] = value
            super().add_session_config_entry(key, value)

    monkeypatch.setattr("mien.sessions.ort.ort.SessionOptions", Options)
    open_session(tiny.scale_model())
    assert seen["session.intra_op.allow_spinning"] == "0"
