"""Real builds with TensorRT-RTX, which needs no GPU; TensorRT 11's path runs with that package in its place."""

from __future__ import annotations

import pickle
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest
from onnx import TensorProto, helper

from mien.bundle import Bundle, NetworkSpec
from mien.errors import DeviceError, InputError, MienError, MissingDependency
from mien.sessions import trt_build
from mien.sessions.base import TensorSpec
from mien.sessions.engine_cache import ShapeRange
from mien.sessions.own_folder import OwnFolder, make_folder
from mien.sessions.timing_cache import read_timings, write_timings
from mien.sessions.trt_build import (
    BuildOptions,
    EngineBuildError,
    Network,
    Target,
    Timings,
    batch_ranges,
    build_plan,
)
from mien.sessions.trt_flavour import Flavour, load_flavour
from mien.sessions.trt_progress import BuildStep
from tests.tiny import conv_model, failing_model, int8_model, precision_model, scale_model, serialized, spec_of

pytest.importorskip("tensorrt_rtx", reason="mien[rtx] is not installed")

ADA = Target("rtx", 89)
STUDIO = Bundle.open("studio")


def described(model: bytes, spec: NetworkSpec) -> Network:
    return Network(model, tuple(info.spec for info in spec.inputs), tuple(info.spec for info in spec.outputs))


def tiny(model: bytes) -> Network:
    return described(model, spec_of(model, "tiny"))


def built(network: Network, most: int = 4, target: Target = ADA) -> bytes:
    return build_plan(network, batch_ranges(network.inputs, most), target)


@pytest.mark.parametrize("role", STUDIO.manifest.networks)
def test_every_network_of_the_studio_bundle_builds(role: str) -> None:
    plan = built(described(STUDIO.model(role), STUDIO.network(role)))
    assert len(plan) > STUDIO.network(role).bytes  # the weights, float32 again, are in it


def test_a_network_with_a_free_batch_builds_for_one_batch_alone_as_well() -> None:
    plan = built(described(STUDIO.model("motion"), STUDIO.network("motion")), most=1)
    assert len(plan) > STUDIO.network("motion").bytes


@pytest.mark.parametrize("capability", [75, 80, 86, 120, None])
def test_every_target_gets_a_plan_of_its_own(capability: int | None) -> None:
    network = tiny(conv_model())
    assert built(network, target=Target("rtx", capability)) != built(network)


def test_the_profile_is_in_the_plan() -> None:
    network = tiny(scale_model())
    plans = {built(network, most=2), built(network, most=1)}
    assert len(plans) == 2


def test_shapes_of_a_batch() -> None:
    inputs = TensorSpec("flip", "bool", ("batch",)), TensorSpec("image", "float32", (1, 3, 4, 4))
    assert batch_ranges(inputs, 6) == (ShapeRange("flip", (1,), (1,), (6,)),)
    assert batch_ranges(inputs[1:], 6) == ()
    with pytest.raises(InputError, match="at least 1"):
        batch_ranges(inputs, 0)
    with pytest.raises(EngineBuildError, match=r"image.*not the first"):
        batch_ranges([TensorSpec("image", "float32", (1, 3, "height", 4))], 6)


def test_an_operator_that_is_not_supported_is_told_with_its_node() -> None:
    values = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
    graph = helper.make_graph([helper.make_node("Det", ["x"], ["y"], name="the_determinant")], "g", [values], [result])
    with pytest.raises(EngineBuildError, match=r"'the_determinant' \(Det\): UNSUPPORTED_NODE.*checkDet") as caught:
        built(tiny(serialized(graph)))
    assert [(fault.node, fault.operator) for fault in caught.value.faults] == [("the_determinant", "Det")]
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.faults) == (str(caught.value), caught.value.faults)


def test_two_types_meeting_is_told_with_its_node() -> None:
    model = onnx.load_from_string(conv_model())
    model.graph.node[0].name = "the_convolution"
    weight = model.graph.initializer[0]
    weight.data_type, weight.raw_data = TensorProto.FLOAT16, weight.raw_data[::2]
    network = replace(tiny(conv_model()), model=model.SerializeToString())
    with pytest.raises(EngineBuildError) as caught:
        built(network)
    assert "the_convolution" in str(caught.value)


@pytest.mark.parametrize("model", [b"", b"not a network", conv_model()[:300]])
def test_a_file_that_is_no_network_is_told(model: bytes) -> None:
    with pytest.raises(EngineBuildError, match="ONNX"):
        built(Network(model, (), ()))


@pytest.mark.parametrize(
    "change",
    [{"name": "picture"}, {"dtype": "float16"}, {"shape": (1, 3, 16, 17)}, {"shape": ("batch", 3, 16, 16)}],
)
def test_inputs_and_outputs_have_to_be_the_promised_ones(change: dict[str, object]) -> None:
    network = tiny(conv_model())
    with pytest.raises(EngineBuildError, match=r"inputs.* are image: float32 \(1, 3, 16, 16\); they should"):
        build_plan(replace(network, inputs=(replace(network.inputs[0], **change),)), (), ADA)
    with pytest.raises(EngineBuildError, match=r"outputs.* are features: float32 \(1, 4, 16, 16\); they should"):
        build_plan(replace(network, outputs=(replace(network.outputs[0], **change),)), (), ADA)


def test_shapes_have_to_be_those_of_the_free_inputs() -> None:
    network = tiny(scale_model())
    with pytest.raises(EngineBuildError, match=r"free dimensions \(image\).*given for: none"):
        build_plan(network, (), ADA)
    with pytest.raises(EngineBuildError, match=r"free dimensions \(none\).*given for: image"):
        build_plan(tiny(conv_model()), batch_ranges(network.inputs, 2), ADA)
    with pytest.raises(EngineBuildError, match="are not in order: image"):
        build_plan(network, (ShapeRange("image", (2, 3, 8, 8), (1, 3, 8, 8), (4, 3, 8, 8)),), ADA)
    for shape in ((1, 3, 9, 9), (1,)):
        with pytest.raises(EngineBuildError, match="image"):
            build_plan(network, (ShapeRange("image", shape, shape, shape),), ADA)


def test_a_network_whose_values_are_shapes_is_refused_in_words() -> None:
    network = tiny(failing_model())
    inputs = (network.inputs[0], replace(network.inputs[1], dtype="int64"))
    with pytest.raises(EngineBuildError, match="no optimization profile"):
        build_plan(replace(network, inputs=inputs), (), ADA)


def test_a_workspace_that_is_too_small_is_told_in_the_builders_words() -> None:
    network = described(STUDIO.model("detector"), STUDIO.network("detector"))
    with pytest.raises(EngineBuildError, match="cannot build the network for compute capability 89: .*workspace"):
        build_plan(network, (), ADA, BuildOptions(workspace=1000))


@pytest.mark.parametrize(
    ("kind", "capability", "fits"),
    [
        (TensorProto.FLOAT16, 75, True),
        (TensorProto.BFLOAT16, 75, False),
        (TensorProto.BFLOAT16, 80, True),
    ],
)
def test_a_precision_that_the_target_does_not_have_is_told(kind: int, capability: int, fits: bool) -> None:
    network = replace(tiny(conv_model()), model=precision_model(kind))
    if fits:
        assert built(network, target=Target("rtx", capability))
        return
    with pytest.raises(EngineBuildError, match=f"for compute capability {capability}: .*datatypes: b16"):
        built(network, target=Target("rtx", capability))


@pytest.mark.parametrize("capability", [75, 89])
def test_eight_bits_build_for_every_target(capability: int) -> None:
    assert built(replace(tiny(conv_model()), model=int8_model()), target=Target("rtx", capability))


def test_four_bits_are_told_in_the_builder_s_words() -> None:
    network = replace(tiny(conv_model()), model=int8_model(TensorProto.INT4))
    with pytest.raises(EngineBuildError, match="for compute capability 75: .*datatypes: int4"):
        built(network, target=Target("rtx", 75))


@pytest.mark.parametrize("wrong", [{"level": -1}, {"level": 6}, {"workspace": 0}])
def test_options_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong.values()))}"):
        BuildOptions(**wrong)


def test_options_have_names_for_the_cache() -> None:
    assert BuildOptions().named == (("layers", "detailed"), ("level", 3), ("workspace", "all"))
    assert BuildOptions(1 << 30, 5).named == (("layers", "detailed"), ("level", 5), ("workspace", 1 << 30))


def test_a_compute_capability_that_is_not_built_for_is_told_with_those_that_are() -> None:
    with pytest.raises(DeviceError, match="capability 90 .*75, 80, 86, 89, 120, 121"):
        built(tiny(conv_model()), target=Target("rtx", 90))


def test_progress_comes_with_phases_and_goes_up() -> None:
    steps: list[BuildStep] = []
    build_plan(tiny(conv_model()), (), ADA, progress=steps.append)
    shares = [step.share for step in steps]
    assert shares == sorted(shares) and shares[0] < 0.1 and shares[-1] > 0.9
    assert len({step.phase for step in steps}) > 2
    assert all(0 < step.step <= step.steps and (step.remaining or 0) >= 0 for step in steps)


def test_ctrl_c_stops_the_build() -> None:
    steps: list[BuildStep] = []

    def interrupted(step: BuildStep) -> None:
        steps.append(step)
        if len(steps) == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build_plan(tiny(conv_model()), (), ADA, progress=interrupted)
    assert len(steps) == 3
    assert built(tiny(conv_model()))  # and the next one is as always


def test_what_progress_raises_stops_the_build_and_comes_out() -> None:
    def full(step: BuildStep) -> None:
        raise MienError(f"enough at {step.step}")

    with pytest.raises(MienError, match="enough at 1"):
        build_plan(tiny(conv_model()), (), ADA, progress=full)


def test_complaints_are_heard_by_those_who_listen_only() -> None:
    flavour = load_flavour("rtx")
    with flavour.complaints() as first, flavour.complaints() as second, pytest.raises(EngineBuildError):
        built(Network(b"no network", (), ()))
    assert first == second and first
    assert flavour.logger.listeners == []


def test_a_missing_package_is_told_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, package in (("tensorrt", "tensorrt"), ("rtx", "tensorrt_rtx")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingDependency, match=rf"mien\[{name}\]"):
            load_flavour.__wrapped__(name)


def test_a_package_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.11: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(DeviceError, match="libnvinfer.so.11"):
        load_flavour.__wrapped__("tensorrt")


@pytest.fixture
def as_tensorrt(monkeypatch: pytest.MonkeyPatch) -> Flavour:
    """TensorRT-RTX's package in the place of TensorRT's: both have the builder that mien uses."""
    rtx = load_flavour("rtx")
    flavour = Flavour("tensorrt", rtx.trt, "11.4.0.106", rtx.logger)
    monkeypatch.setattr(trt_build, "load_flavour", lambda name: {"tensorrt": flavour}[name])
    return flavour


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timing caches do nothing in TensorRT-RTX
@pytest.mark.usefixtures("as_tensorrt")
def test_the_path_of_tensorrt_keeps_timings() -> None:
    timings = Timings()
    network = tiny(scale_model())
    for _ in range(2):
        assert build_plan(network, batch_ranges(network.inputs, 2), Target("tensorrt"), timings=timings)
        assert timings.data
    timings.data = b"not TensorRT's"
    assert build_plan(network, batch_ranges(network.inputs, 2), Target("tensorrt"), timings=timings)
    assert timings.data != b"not TensorRT's"


@pytest.mark.usefixtures("as_tensorrt")
def test_tensorrt_builds_for_no_other_gpu() -> None:
    with pytest.raises(DeviceError, match="89 .*builds for the GPU in this machine only.*--target rtx"):
        built(tiny(conv_model()), target=Target("tensorrt", 89))


def test_a_library_that_gives_no_builder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(logger: object) -> None:
        raise TypeError("pybind11::init(): factory function returned nullptr")

    flavour = Flavour("tensorrt", SimpleNamespace(Builder=nothing), "11.4", load_flavour("rtx").logger)
    monkeypatch.setattr(trt_build, "load_flavour", lambda name: flavour)
    with pytest.raises(DeviceError, match="TensorRT 11.4 does not start.*NVIDIA GPU"):
        built(tiny(conv_model()), target=Target("tensorrt"))


def test_timings_are_kept_by_version_in_a_file_of_the_users_own(tmp_path: Path) -> None:
    make_folder(tmp_path / "engines")
    with OwnFolder(tmp_path / "engines") as folder, folder.locked():
        assert read_timings(folder, "11.4.0.106") == Timings()
        write_timings(folder, "11.4.0.106", Timings(b"measured"))
        write_timings(folder, "11.4.0.107", Timings())
        assert read_timings(folder, "11.4.0.106") == Timings(b"measured")
        assert read_timings(folder, "11.4.0.107") == Timings()
        (file,) = (tmp_path / "engines").glob("*.timings")
        assert file.stat().st_mode & 0o777 == 0o600
