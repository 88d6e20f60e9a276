"""The doctor's facts are facts: what runs is run, what does not is said."""

import numpy as np
import onnx
import pytest

from mien import doctor
from mien.doctor import Diagnosis, Fact, diagnose
from mien.sessions import open_session


@pytest.fixture(scope="module")
def facts() -> dict[tuple[str, str], Fact]:
    return {(fact.topic, fact.name): fact for fact in diagnose().facts}


def test_this_machine_runs_networks(facts: dict[tuple[str, str], Fact]) -> None:
    assert facts["session", "ort on cpu"].works
    assert "CPUExecutionProvider" in facts["session", "ort on cpu"].value


def test_what_cannot_run_says_why(facts: dict[tuple[str, str], Fact]) -> None:
    cuda = facts["session", "ort on cuda"]
    assert cuda.works or "onnxruntime-gpu" in cuda.value


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
