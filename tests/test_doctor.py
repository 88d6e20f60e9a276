"""The doctor's facts are facts: what runs is run, what does not is said."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import onnx
import pytest

from mien import doctor
from mien.doctor import Diagnosis, Fact, diagnose
from mien.errors import DeviceError
from mien.sessions import open_session
from mien.sessions.nvidia import Driver, Gpu


@pytest.fixture(scope="module")
def facts() -> dict[tuple[str, str], Fact]:
    return {(fact.topic, fact.name): fact for fact in diagnose().facts}


def test_this_machine_runs_networks(facts: dict[tuple[str, str], Fact]) -> None:
    assert facts["session", "ort on cpu"].works
    assert "CPUExecutionProvider" in facts["session", "ort on cpu"].value


def test_what_cannot_run_says_why(facts: dict[tuple[str, str], Fact]) -> None:
    cuda = facts["session", "ort on cuda"]
    assert cuda.works or "onnxruntime-gpu" in cuda.value


def fact(facts: object, name: str) -> Fact:
    [found] = [fact for fact in facts if fact.name == name]  # type: ignore[attr-defined]
    return found


def test_without_a_driver_everything_of_the_gpu_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Driver:
        raise DeviceError("There is no NVIDIA driver: libcuda.so.1. Install it.")

    monkeypatch.setattr(doctor, "find_driver", absent)
    monkeypatch.setattr(doctor, "find_library", lambda library: None)
    monkeypatch.setattr(doctor, "provider_library", lambda: None)
    facts = diagnose().facts
    assert "no NVIDIA driver" in fact(facts, "driver").value
    assert "pip install nvidia-cudnn-cu13" in fact(facts, "cuDNN").value
    assert "pip uninstall -y onnxruntime && pip install" in fact(facts, "CUDA provider").value
    assert not any(fact(facts, name).works for name in ("driver", "CUDA runtime", "cuDNN", "CUDA provider"))
    assert not fact(facts, "CUDA kernels").works, "kernels that no GPU has run do not work"


def test_each_gpu_is_told_with_its_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = (Gpu("NVIDIA H100", 90, 80 << 30), Gpu("NVIDIA L4", 89, 24 << 30))
    monkeypatch.setattr(doctor, "find_driver", lambda: Driver("580.65.06", 13000, gpus))
    facts = diagnose().facts
    assert fact(facts, "driver").value == "580.65.06, CUDA 13.0"
    assert fact(facts, "cuda:1").value == "NVIDIA L4, compute capability 8.9, 24.0 GiB"
    assert fact(facts, "CUDA kernels").works is not True, "they were not run"


def test_kernels_that_are_there_and_were_not_run_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CUDA_KERNELS", "kernels_of_a_gpu")
    module = ModuleType("kernels_of_a_gpu")
    module.__spec__ = ModuleSpec("kernels_of_a_gpu", None)
    module.CUDART_VERSION = 13000  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kernels_of_a_gpu", module)
    [_, cuda] = doctor._kernels(None)
    assert (cuda.value, cuda.works) == ("built with CUDA 13.0, not run: there is no GPU", None)


@pytest.mark.parametrize("name", ["tensorrt on cuda", "rtx on cuda", "PyCUDA", "TensorRT", "TensorRT-RTX"])
def test_what_is_missing_of_tensorrt_is_told_with_the_line_to_type(
    facts: dict[tuple[str, str], Fact], name: str
) -> None:
    found = fact(facts.values(), name)
    assert found.works or "pip install" in found.value or "Install" in found.value


def test_versions_and_machine_are_told(facts: dict[tuple[str, str], Fact]) -> None:
    assert facts["package", "numpy"].value == np.__version__
    assert "usable cores" in facts["machine", "cpu"].value


def test_what_can_be_pulled_is_listed(facts: dict[tuple[str, str], Fact]) -> None:
    assert {name for topic, name in facts if topic == "cache"} >= {"yunet", "face-mesh"}


def test_no_fact_stands_twice(facts: dict[tuple[str, str], Fact]) -> None:
    assert len(facts) == len(diagnose().facts)


def test_a_broken_necessity_is_not_healthy() -> None:
    fine = Fact("session", doctor.NEEDED, "", works=True)
    optional = Fact("session", "openvino on cpu", "", works=False)
    assert Diagnosis((fine, optional)).healthy
    assert not Diagnosis((Fact("session", doctor.NEEDED, "", works=False),)).healthy
    assert not Diagnosis((fine, Fact("bundle", "studio", "", works=False))).healthy


def test_the_network_in_a_few_bytes_is_what_it_says() -> None:
    model = onnx.load_from_string(doctor.IDENTITY)
    onnx.checker.check_model(model)
    result = open_session(doctor.IDENTITY).run({"x": np.array([7], np.float32)})
    assert result["y"].tolist() == [7]
