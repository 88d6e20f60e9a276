"""LivePortrait's pickled templates: read without running anything that they name, and converted as they mean it."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import mien
from mien.errors import MotionError
from mien.geometry import rotation
from mien.image import load_image
from mien.reenact import Reenactor, open_family
from mien.reenact.liveportrait_motion import LivePortraitMotion
from mien.reenact.template_files import read_template
from mien_export.convert_template import convert_template
from mien_export.template_files import StoredArray, Unpickler, read_liveportrait_template, read_pickle
from tests.tiny_liveportrait import tiny_liveportrait_bundle

FRAMES = 5
DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"


def frame(index: int) -> dict[str, Any]:
    rng = np.random.default_rng(index)
    return {
        "scale": np.full((1, 1), 1.5 + 0.1 * index, np.float32),
        "R": rotation(0.1 * index, -0.05, 0.02)[None].astype(np.float32),
        "exp": rng.normal(0, 0.02, (1, 21, 3)).astype(np.float32),
        "t": np.array([[0.25, -0.5, 0.7]], np.float32),
        "kp": rng.normal(0, 0.2, (1, 21, 3)).astype(np.float32),
        "x_s": rng.normal(0, 0.2, (1, 21, 3)).astype(np.float32),
    }


def content() -> dict[str, Any]:
    return {
        "n_frames": FRAMES,
        "output_fps": 25,
        "motion": [frame(index) for index in range(FRAMES)],
        "c_eyes_lst": [np.array([[0.3, 0.31]], np.float32)] * FRAMES,
        "c_lip_lst": [np.array([[0.05 * index]], np.float32) for index in range(FRAMES)],
    }


def stored(path: Path, value: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_template_of_any_protocol_is_the_motion_it_means(tmp_path: Path, protocol: int) -> None:
    template = read_liveportrait_template(stored(tmp_path / "a.pkl", content(), protocol))
    assert (template.family, template.size, template.rate) == ("liveportrait", (256, 256), Fraction(25))
    assert template.pts.tolist() == list(range(FRAMES)) and template.seen.all()
    motions = [motion for motion in template.motions(LivePortraitMotion) if motion is not None]
    for index, (motion, meant) in enumerate(zip(motions, content()["motion"], strict=True)):
        head = motion.head(motion.crop[:2], float(motion.crop[2]))  # as seen from the crop again
        np.testing.assert_allclose(head.rotation, meant["R"][0], atol=1e-6)
        np.testing.assert_allclose(head.expression, meant["exp"][0], atol=1e-6)
        np.testing.assert_allclose(head.scale, meant["scale"][0, 0], rtol=1e-6)
        np.testing.assert_allclose(head.translation, meant["t"][0, :2], atol=1e-6)
        np.testing.assert_allclose(motion.eyes, [0.3, 0.31], atol=1e-6)
        np.testing.assert_allclose(motion.lips, [0.05 * index], atol=1e-6)


def test_older_names_are_known(tmp_path: Path) -> None:
    old = content()
    old["c_d_eyes_lst"], old["c_d_lip_lst"] = old.pop("c_eyes_lst"), old.pop("c_lip_lst")
    for one in old["motion"]:
        one["R_d"] = one.pop("R")
    new = read_liveportrait_template(stored(tmp_path / "new.pkl", content()))
    for name, part in read_liveportrait_template(stored(tmp_path / "old.pkl", old)).parts.items():
        np.testing.assert_array_equal(part, new.parts[name])


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(4, dtype=np.int64),
        np.zeros((0, 3), np.float16),
        np.array(2.5, np.float32),
    ],
    ids=["big-endian", "fortran", "int64", "empty", "no axis"],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_out_as_they_went_in(tmp_path: Path, array: Any, protocol: int) -> None:
    value = read_pickle(stored(tmp_path / "a.pkl", [array, np.float32(1.5)], protocol))
    assert isinstance(value, list) and isinstance(value[0], StoredArray) and value[0].array is not None
    np.testing.assert_array_equal(value[0].array, array)
    assert value[0].array.shape == array.shape and value[1] == 1.5


class Called:
    """Pickled as a call of anything."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (Called(os.system, "touch {marker}"), "system"),
        (Called(builtins.eval, "open({marker!r}, 'w')"), "builtin.*eval"),
        (Called(builtins.exec, "open({marker!r}, 'w')"), "builtin.*exec"),
        (Called(builtins.getattr, os, "system"), "builtin.*getattr"),
        (Called(open, "{marker}", "w"), "open"),
        (Called(np.load, "{marker}"), "load"),
        (Called(np.fromfile, "{marker}"), "fromfile"),
        (Called(pickle.loads, b""), "loads"),
        (Called(bytearray, 5), "builtin.*bytearray"),
        (typer.Typer, "typer"),
        (os.environ.__class__, "os"),
        (np.array([object()], dtype=object), "'O8'"),
        (np.array(["text"]), "'U4'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_whatever_else_a_pickle_names_is_refused_and_not_run(
    tmp_path: Path, call: Any, named: str, protocol: int
) -> None:
    marker = tmp_path / "ran"
    if isinstance(call, Called):
        function, arguments = call.call
        if all(not isinstance(a, type(os)) for a in arguments):
            told = (a.format(marker=str(marker)) if isinstance(a, str) else a for a in arguments)
            call = Called(function, *told)
        else:
            call = Called(function, "os", "system")
    path = stored(tmp_path / "a.pkl", {**content(), "extra": call}, protocol)
    with pytest.raises(MotionError, match=f"cannot be read as a motion template: it .*{named}"):
        read_liveportrait_template(path)
    assert not marker.exists()


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


ARRAY = text("numpy.core.multiarray") + text("_reconstruct") + b"\x93"
FRAMING = b"\x80\x04"


@pytest.mark.parametrize(
    "program",
    [
        FRAMING + ARRAY + b"}" + text("__code__") + text("x") + b"sb.",
        FRAMING + ARRAY + b"N}" + text("_function") + text("x") + b"s\x86b.",
        FRAMING + text("numpy") + text("ndarray") + b"\x93)R.",
        FRAMING + text("numpy") + text("ndarray") + b"\x93)\x81.",
        FRAMING + text("numpy.core.multiarray") + text("_reconstruct.__class__") + b"\x93.",
        FRAMING + text("numpy") + text("dtype.__new__") + b"\x93.",
        FRAMING + ARRAY + b")R(KKKKt" + b"b.",
        b"cnumpy\nsave\n.",
        b"(S'touch x'\nios\nsystem\n.",
        b"Pid\n.",
        b"\x80\x04\x82\x01.",
        b"r" + struct.pack("<I", 0x7FFFFFFF) + b".",
        FRAMING + b"\x8e" + struct.pack("<Q", 1 << 50) + b"abc.",
        FRAMING + b"\x96" + struct.pack("<Q", 1 << 50) + b"abc.",
        b"(" * 100_000 + b".",
        b"",
        b"\x00" * 64,
        b"<html>",
    ],
)
def test_made_up_programs_are_refused_at_once(tmp_path: Path, program: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(program)
    with pytest.raises(MotionError, match="cannot be read as a motion template"):
        read_pickle(tmp_path / "a.pkl")


def test_an_array_that_announces_more_than_it_has_is_refused() -> None:
    honest = pickle.dumps(np.zeros(4, np.float32), 4)
    lying = honest.replace(b"K\x04\x85", b"K\xff\x85")
    assert lying != honest
    with pytest.raises(pickle.UnpicklingError, match=r"shape \(255,\) and holds 16 bytes"):
        Unpickler(io.BytesIO(lying)).load()


def test_a_file_cut_off_anywhere_is_an_error_of_our_own(tmp_path: Path) -> None:
    whole = pickle.dumps({**content(), "motion": [frame(0)]}, 4)
    for end in range(0, len(whole), 7):
        (tmp_path / "a.pkl").write_bytes(whole[:end])
        with pytest.raises(MotionError):
            read_liveportrait_template(tmp_path / "a.pkl")


def test_any_byte_may_be_wrong(tmp_path: Path) -> None:
    one = {**content(), "motion": [frame(0)]}
    one["c_eyes_lst"], one["c_lip_lst"] = one["c_eyes_lst"][:1], one["c_lip_lst"][:1]
    whole = pickle.dumps(one, 4)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        spoiled = bytearray(whole)
        spoiled[int(rng.integers(len(whole)))] = int(rng.integers(256))
        (tmp_path / "a.pkl").write_bytes(spoiled)
        try:
            read_liveportrait_template(tmp_path / "a.pkl")
        except MotionError:
            refused += 1
    assert refused > 0
    assert "this" not in sys.modules


def changed(**changes: Any) -> dict[str, Any]:
    return {**content(), **changes}


def with_frame(**changes: Any) -> dict[str, Any]:
    frames = [frame(index) for index in range(FRAMES)]
    frames[2] = {**frames[2], **changes}
    return changed(motion=frames)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2], "dictionary by names"),
        ({1: 2}, "dictionary by names"),
        ({}, "'motion' is missing"),
        (changed(motion=[]), "0 frames"),
        (changed(motion=np.zeros(5)), "dictionary by names"),
        (changed(c_eyes_lst=[]), "eyes for 0"),
        (changed(output_fps=0), "output_fps"),
        (changed(output_fps=float("nan")), "output_fps"),
        (changed(output_fps=None), "output_fps"),
        (with_frame(exp=np.zeros((1, 20, 3), np.float32)), "'exp' has 60 numbers"),
        (with_frame(exp=np.full((1, 21, 3), np.nan, np.float32)), "63 finite"),
        (with_frame(R=np.zeros((1, 3, 3), np.float32)), "no rotation"),
        (with_frame(R=-np.eye(3, dtype=np.float32)[None]), "no rotation"),
        (with_frame(t="far"), "no numbers 't'"),
        (with_frame(scale=None), "no numbers 'scale'"),
        (with_frame(scale=[["a"]]), "not made of numbers"),
    ],
)
def test_what_is_no_template_is_refused_by_name(tmp_path: Path, value: object, said: str) -> None:
    path = stored(tmp_path / "a.pkl", value)
    with pytest.raises(MotionError, match=said) as error:
        read_liveportrait_template(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_an_error_of_our_own(tmp_path: Path) -> None:
    with pytest.raises(MotionError, match="no file"):
        read_liveportrait_template(tmp_path / "missing.pkl")


def test_the_command_writes_what_the_engine_reads(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(convert_template)
    source, out = stored(tmp_path / "d0.pkl", content()), tmp_path / "d0.npz"
    done = CliRunner().invoke(app, [str(source), "-o", str(out)])
    assert done.exit_code == 0 and f"{FRAMES} frames at 25 a second" in done.output
    again = read_template(out)
    meant = read_liveportrait_template(source)
    assert again.family == "liveportrait" and list(again.parts) == list(meant.parts)
    np.testing.assert_array_equal(again.parts["rotation"], meant.parts["rotation"])


def test_a_converted_template_drives_a_portrait(tmp_path: Path) -> None:
    family = open_family(tiny_liveportrait_bundle(tmp_path / "bundle"), threads=1)
    portrait = load_image(DEMO / "source.jpg")
    tracked = family.tracker().step(portrait)
    assert tracked is not None
    template = read_liveportrait_template(stored(tmp_path / "d0.pkl", content()))
    template.check(family, family.motion(portrait, tracked))
    reenactor = Reenactor(family)
    reenactor.set_source(portrait)
    results = [reenactor.move(motion, index / 25) for index, motion in enumerate(template.motions(LivePortraitMotion))]
    assert [result.status for result in results] == ["tracked"] * FRAMES
    assert (results[-1].image != results[0].image).any()
