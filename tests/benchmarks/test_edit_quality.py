"""The table of edits on the tiny bundle, whose results can be worked out on paper."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from typer.testing import CliRunner

from benchmarks import edit_quality
from benchmarks.edit_quality import Job, run
from benchmarks.edit_report import COLUMNS
from benchmarks.edit_scores import CELL
from mien.bundle import Bundle, NetworkSpec, Parity, TensorInfo, write_bundle
from mien.editing.editor import Editor
from mien.editing.methods import METHODS
from mien.editing.result import EditResult, Subject
from mien.errors import EditError, InputError
from mien.image import load_image, save_image
from tests.editing.flat import FLAT
from tests.tiny import OPSET, serialized, tiny_manifest
from tests.tiny_edit import ROLES, SIDE, tiny_edit_bundle

Image = NDArray[np.uint8]

SMILE = {"smile": 1.0}
STEP = 1 / 255


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_edit_bundle(tmp_path_factory.mktemp("edit") / "bundle")


def halves(left: int = 100, right: int = 150) -> Image:
    """Two greys, side by side: the tiny generator gives their mean back."""
    return np.full((SIDE, SIDE, 3), np.repeat([left, right], SIDE // 2)[None, :, None], np.uint8)


def folder(path: Path, **pictures: Image) -> Path:
    path.mkdir()
    for name, picture in pictures.items():
        save_image(path / f"{name}.png", picture)
    return path


def identity_bundle(path: Path) -> Bundle:
    """Faces are as alike as their mean colours."""
    graph = onnx.parser.parse_graph(
        """identity (float[batch,3,256,256] image) => (float[batch,3] embedding) {
            colour = ReduceMean <keepdims = 0> (image, places)
            length = ReduceL2 <keepdims = 1> (colour, one)
            embedding = Div (colour, length)
        }"""
    )
    graph.initializer.append(numpy_helper.from_array(np.array([2, 3], np.int64), "places"))
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    spec = NetworkSpec(
        "identity", "identity.onnx", "fp32", OPSET, (TensorInfo("image", "float32", ("batch", 3, 256, 256)),),
        (TensorInfo("embedding", "float32", ("batch", 3)),), Parity("by hand", 0.0, 1e-4),
    )  # fmt: skip
    return write_bundle(path, tiny_manifest(spec), {"identity": serialized(graph)})


def test_an_inversion_is_held_against_the_original(bundle: Bundle, tmp_path: Path) -> None:
    report = run(Job(folder(tmp_path / "in", one=halves(100, 150), two=halves(60, 130)), (bundle,), {}, tmp_path / "o"))
    assert list(report.rows) == ["inversion, psp"] and report.pictures == 2
    row = report.rows["inversion, psp"]
    assert row["MAE"] == pytest.approx((25 + 35) / 2 * STEP)
    assert row["ms"] is not None and row["ms"] > 0
    assert [name for name in COLUMNS if row[name] is None] == [
        "MAE outside", "changed outside", "mask", "LPIPS", "FID", "identity"
    ]  # fmt: skip
    assert [note.split(":")[0] for note in report.notes] == ["Inversions alone", "LPIPS", "FID", "Identity"]


def test_each_method_is_a_row_worked_out_by_hand(bundle: Bundle, tmp_path: Path) -> None:
    report = run(Job(folder(tmp_path / "in", flat=FLAT), (bundle,), SMILE, tmp_path / "o"))
    assert list(report.rows) == ["inversion, psp", *METHODS]
    rows, mouth = report.rows, 8 * 16 / SIDE**2
    # The mouth, 0.4 0.2 0.8, gets 0.5 more red; the deghosting network halves all and adds a quarter.
    clean = (abs(0.7 - 0.4) + abs(0.35 - 0.2) + abs(0.65 - 0.8)) / 3
    assert rows["diffcam"]["MAE"] == pytest.approx(mouth * clean, abs=mouth * STEP)
    assert rows["diffcam"]["mask"] == pytest.approx(mouth)
    assert rows["none"]["MAE"] == pytest.approx(mouth * 0.5 / 3, abs=mouth * STEP)  # not deghosted
    assert rows["none"]["mask"] == pytest.approx(((SIDE - 2) / SIDE) ** 2)
    assert all(row["MAE outside"] == 0 and row["changed outside"] == 0 for row in list(rows.values())[1:])
    assert not report.broken


def test_without_a_deghosting_network_the_mask_alone_tells(tmp_path: Path) -> None:
    roles = [role for role in ROLES if role not in ("deghost", "parsing")]
    plain = tiny_edit_bundle(tmp_path / "plain", roles)
    report = run(Job(folder(tmp_path / "in", flat=FLAT), (plain,), SMILE, tmp_path / "o"))
    mouth = 8 * 16 / SIDE**2
    assert report.rows["diffcam"]["MAE"] == pytest.approx(mouth * 0.5 / 3, abs=mouth * STEP)
    assert report.rows["gradcam++"]["MAE"] == pytest.approx(0.75 * mouth * 0.5 / 3, abs=mouth * STEP)
    assert {"parsing", "diffcam++"} == set(METHODS) - set(report.rows)
    assert [note.split(":")[0] for note in report.notes[:2]] == ["parsing", "diffcam++"]


def test_every_bundle_inverts_and_the_first_one_edits(bundle: Bundle, tmp_path: Path) -> None:
    stepped = tiny_edit_bundle(tmp_path / "restyle", ROLES[:4], stepped=1)
    faces = folder(tmp_path / "in", flat=FLAT)
    report = run(Job(faces, (bundle, stepped, bundle), SMILE, tmp_path / "o"))
    assert list(report.rows) == ["inversion, psp", *METHODS, "inversion, restyle-psp", "inversion, psp (2)"]
    off = np.abs(np.array([0.4, 0.2, 0.8]) - [0.5, 0.25, 0.75]).mean() / 2  # one round goes half of the way
    assert report.rows["inversion, restyle-psp"]["MAE"] == pytest.approx(off, abs=STEP)
    assert report.bundles["inversion, psp"] == report.bundles["inversion, psp (2)"]


def test_the_attribute_is_checked_before_anything_is_run(bundle: Bundle, tmp_path: Path) -> None:
    faces = folder(tmp_path / "in", flat=FLAT)
    with pytest.raises(EditError, match="there are: smile"):
        run(Job(faces, (bundle,), {"hat": 1.0}, tmp_path / "o"))
    report = run(Job(faces, (bundle,), {"tan": 1.0}, tmp_path / "o"))  # the difference network does not know it
    assert list(report.rows)[1:] == ["none", "parsing"]


def test_identity_by_another_bundle(bundle: Bundle, tmp_path: Path) -> None:
    judge = identity_bundle(tmp_path / "judge.zip")
    report = run(Job(folder(tmp_path / "in", flat=FLAT), (bundle,), SMILE, tmp_path / "o", identity=judge))
    assert report.rows["inversion, psp"]["identity"] == pytest.approx(1, abs=1e-4)
    before, after = np.array([0.4, 0.2, 0.8]), np.array([0.4 + 0.5 / 32, 0.2, 0.8])
    cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    assert report.rows["none"]["identity"] == pytest.approx(cosine, abs=1e-4)
    assert cosine < 1 - 1e-4
    assert not any(note.startswith("Identity") for note in report.notes)


def test_a_picture_of_noise_is_compared_pixel_by_pixel(bundle: Bundle, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    face = edit_quality.Face(Editor(bundle, threads=1), noise)
    np.testing.assert_array_equal(face.original, noise)
    shown = face.edited(SMILE, "diffcam", deghost=True)
    assert shown.mask is not None and (shown.mask == 0).any() and (shown.image != noise).any()
    np.testing.assert_array_equal(shown.image[shown.mask == 0], noise[shown.mask == 0])


class Counted:
    """Counts what an editor is asked to do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.edits: list[str] = []
        self.inversions = 0
        alter, render = Editor.alter, Editor.render

        def counted(editor: Editor, subject: Subject, edits: Mapping[str, float], **how: Any) -> EditResult:
            self.edits.append(how["method"])
            return alter(editor, subject, edits, **how)

        def rendered(editor: Editor, latent: Any) -> Image:
            self.inversions += 1
            return render(editor, latent)

        monkeypatch.setattr(Editor, "alter", counted)
        monkeypatch.setattr(Editor, "render", rendered)

    def since(self) -> tuple[int, int]:
        """Inversions and edits since the last call."""
        counts = self.inversions, len(self.edits)
        self.inversions, self.edits = 0, []
        return counts


def test_what_was_measured_is_not_measured_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, faces = Counted(monkeypatch), folder(tmp_path / "in", one=halves(), two=FLAT)
    job = Job(faces, (bundle,), SMILE, tmp_path / "o")
    first = run(job)
    assert counted.since() == (2, 2 * len(METHODS))
    again = run(job)
    assert counted.since() == (0, 0)
    assert again == first
    save_image(faces / "three.png", halves(10, 200))
    assert run(job).pictures == 3 and counted.since() == (1, len(METHODS))
    run(replace(job, edits={"smile": -1.0}))
    assert counted.since() == (0, 3 * len(METHODS))
    save_image(faces / "one.png", halves(11, 200))  # another picture of that name
    run(job)
    assert counted.since() == (1, len(METHODS))


def test_another_judge_sees_every_picture_again(bundle: Bundle, tmp_path: Path) -> None:
    job = Job(folder(tmp_path / "in", one=FLAT), (bundle,), {}, tmp_path / "o")
    assert run(job).rows["inversion, psp"]["identity"] is None
    judge = identity_bundle(tmp_path / "judge.zip")
    assert run(replace(job, identity=judge)).rows["inversion, psp"]["identity"] == pytest.approx(1, abs=1e-4)


def test_a_picture_that_comes_onto_the_sheet_later_is_drawn(bundle: Bundle, tmp_path: Path) -> None:
    faces = folder(tmp_path / "in", **{f"p{index}": halves(20 * index, 20 * index) for index in range(9)})
    job = Job(faces, (bundle,), {}, tmp_path / "o")
    run(job)
    (faces / "p0.png").unlink()
    run(job)
    sheet = load_image(tmp_path / "o" / "edit_quality.png")
    np.testing.assert_array_equal(sheet[24 :: 2 * CELL, 0, 0], [20 * index for index in range(1, 9)])


def test_a_damaged_memory_is_measured_again(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    job = Job(folder(tmp_path / "in", one=FLAT), (bundle,), {}, tmp_path / "o")
    first = run(job)
    counted.since()
    for place in (tmp_path / "o" / "edit_quality").iterdir():
        place.write_bytes(place.read_bytes()[:100])
    assert run(job).rows["inversion, psp"]["MAE"] == first.rows["inversion, psp"]["MAE"]
    assert counted.since() == (1, 0)


def test_bad_pictures_never_stop_the_rest(bundle: Bundle, tmp_path: Path) -> None:
    faces = folder(tmp_path / "in", a=halves(), c=FLAT[:, :40], d=FLAT)
    (faces / "b.png").write_bytes((faces / "a.png").read_bytes()[:60])
    report = run(Job(faces, (bundle,), SMILE, tmp_path / "o"))
    assert report.pictures == 2
    assert [Path(failure.source).name for failure in report.failed] == ["b.png", "c.png"]
    assert "b.png" in report.failed[0].error and "square" in report.failed[1].error
    assert str(tmp_path) not in json.dumps(report.json())


def test_only_bad_pictures_are_an_error(bundle: Bundle, tmp_path: Path) -> None:
    faces = folder(tmp_path / "in")
    (faces / "b.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"None of the pictures .*b\.png"):
        run(Job(faces, (bundle,), SMILE, tmp_path / "o"))


def test_the_sheet_shows_results_above_masks(bundle: Bundle, tmp_path: Path) -> None:
    names = {f"p{index}": halves(20 * index, 20 * index) for index in range(10)}
    run(Job(folder(tmp_path / "in", **names), (bundle,), {"smile": 0.5}, tmp_path / "o"))
    sheet = load_image(tmp_path / "o" / "edit_quality.png")
    assert sheet.shape == (24 + 8 * 2 * CELL, (2 + len(METHODS)) * CELL, 3)
    column = 2 + list(METHODS).index("diffcam")
    cells = sheet[24:].reshape(8, 2, CELL, -1, CELL, 3)[:, :, :, [0, 1, column]]
    middle = 44 * CELL // SIDE, CELL // 2
    np.testing.assert_array_equal(cells[:, 0, 0, 0, 0, 0], [20 * index for index in range(8)])
    assert (cells[:, 1, :, :2] == 0).all()  # original and inversion have no mask
    assert (cells[:, 1, middle[0], 2, middle[1]] == 255).all() and (cells[:, 1, 0, 2, 0] == 0).all()


def test_the_command_prints_the_table_and_writes_it(bundle: Bundle, tmp_path: Path) -> None:
    faces, out = folder(tmp_path / "in", flat=FLAT), tmp_path / "o"
    words = [str(faces), "--bundle", bundle.place, "--set", "smile=1", "--most", "1", "--out", str(out)]
    result = CliRunner().invoke(edit_quality.app, words)
    assert result.exit_code == 0, result.output
    assert "diffcam++" in result.output and "--lpips-weights" in result.output
    written = json.loads((out / "edit_quality.json").read_text())
    assert written["rows"]["diffcam++"]["changed outside"] == 0 and written["rows"]["diffcam++"]["FID"] is None
    assert written["paper"]["LPIPS"] == 0.304 and written["hardware"]["cores"] > 0
    assert (out / "edit_quality.png").is_file()


def test_the_command_fails_where_an_edit_leaves_its_mask(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter = Editor.alter

    def leaking(editor: Editor, subject: Subject, edits: Mapping[str, float], **how: Any) -> EditResult:
        result = alter(editor, subject, edits, **how)
        if how["method"] == "pca":
            result.image[0, 0, 0] ^= 1
        return result

    monkeypatch.setattr(Editor, "alter", leaking)
    words = [str(folder(tmp_path / "in", flat=FLAT)), "--bundle", bundle.place, "--set", "smile=1"]
    result = CliRunner().invoke(edit_quality.app, [*words, "--out", str(tmp_path / "o")])
    assert result.exit_code == 1
    assert "outside the mask have changed: pca." in result.output


def test_the_command_says_what_is_wrong(bundle: Bundle, tmp_path: Path) -> None:
    faces = folder(tmp_path / "in", flat=FLAT)
    words = [str(faces), "--out", str(tmp_path / "o"), "--bundle"]
    for more, said in (
        ([bundle.place, "--set", "hat=1"], "hat"),
        ([str(tmp_path / "none")], "There is no bundle"),
        ([bundle.place, "--lpips-weights", str(faces / "flat.png")], "Invalid value"),
    ):
        result = CliRunner().invoke(edit_quality.app, [*words, *more])
        assert result.exit_code == 2 and said in result.output
