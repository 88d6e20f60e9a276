"""`mien directions`: from photos to codes to directions, models and maps, word by word."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.bundle import Bundle
from mien.commands import encode as encode_module
from mien.commands.directions import app
from mien.editing.attribute_model import read_model
from mien.editing.codes import Codes, read_codes, write_codes
from mien.editing.directions import Direction, read_directions, write_directions
from mien.editing.editor import Editor
from mien.errors import InputError, OutputError
from mien.image import Image, load_image, save_image
from tests.commands.faces import face


def run(*words: object) -> Any:
    return CliRunner().invoke(app, list(map(str, words)))


def report(*words: object) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def refusal(*words: object) -> str:
    """What the words are answered with, an error of mien's own."""
    result = run(*words)
    assert isinstance(result.exception, (InputError, OutputError)), (result.output, result.exception)
    return str(result.exception)


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, Path]:
    """400 codes of three rows in which "smile" and "age" are planted, entangled; the table is in another order."""
    rng = np.random.default_rng(0)
    smile, hair = rng.integers(0, 2, 400), rng.integers(0, 3, 400)
    age = 40 + 8 * smile + rng.normal(0, 8, 400)
    values = 0.1 * rng.normal(size=(400, 3, 512))
    values[..., 0] += 2 * smile[:, None]
    values[..., 1] += (age[:, None] - 40) / 10
    values[..., 2] += hair[:, None]
    names = tuple(f"face-{i}.png" for i in range(400))
    write_codes(tmp_path / "codes.npz", Codes(values.astype(np.float32), names))
    words = ["black", "blond", "light red"]
    lines = [f"{names[i]},{smile[i]},{age[i]:.1f},{words[hair[i]]}" for i in rng.permutation(400)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,smile,age,hair", *lines]))
    return tmp_path / "codes.npz", tmp_path / "labels.csv"


def test_directions_are_fitted_measured_and_written(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "found.npz"
    words = ["--attribute", "smile", "--attribute", "age", "--attribute", "hair=light red"]
    told = report("fit", *labelled, *words, "-o", out)
    names = [one["name"] for one in told["directions"]]
    assert names == ["smile", "age", "hair-light-red"]
    assert all(one["accuracy"] > 0.9 and one["rows"] == 1 for one in told["directions"])
    counts = [(one["positive"], one["negative"]) for one in told["directions"]]
    assert sum(counts[0]) == 400 and all(120 <= count < 130 for count in counts[1])
    matrix = np.array(told["correlations"])
    assert matrix.shape == (3, 3) and np.allclose(np.diag(matrix), 1) and np.allclose(matrix, matrix.T)
    smile, age, _ = read_directions(out, 3)
    assert abs(smile.vector[0, 0]) == np.abs(smile.vector).max() and smile.vector[0, 0] > 0
    assert smile.unit == pytest.approx(2, rel=0.3)
    assert age.vector.argmax() == 1
    shown = run("show", out)
    assert shown.exit_code == 0 and "hair-light-red" in shown.stdout and "100.0%" in shown.stdout
    assert report("show", out)["directions"] == told["directions"]


def test_a_condition_stays(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    free, alone = tmp_path / "free.npz", tmp_path / "alone.npz"
    report("fit", *labelled, "--attribute", "smile", "--attribute", "age", "-o", free)
    told = report("fit", *labelled, "--attribute", "age", "--attribute", "smile", "--given", "smile", "-o", alone)
    assert [(one["name"], one["given"]) for one in told["directions"]] == [("age", ["smile"])]
    smile, (age,) = read_directions(free, 3)[0], read_directions(alone, 3)
    assert float((smile.vector * age.vector).sum()) == pytest.approx(0, abs=1e-5)


def test_the_class_and_the_parts_go_into_the_file(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["--attribute", "age", "--class", "16", "--parts", "age", "-o", tmp_path / "age.npz"]
    (told,) = report("fit", *labelled, *words)["directions"]
    (age,) = read_directions(tmp_path / "age.npz", 3)
    assert (age.difference_class, age.parts, age.vector.argmax()) == (16, "age", 1)
    assert told == report("show", tmp_path / "age.npz")["directions"][0]
    said = refusal("fit", *labelled, *words, "--attribute", "smile")
    assert "--class 16" in said and "2 attributes" in said


def test_every_layer_its_own(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    report("fit", *labelled, "--attribute", "smile", "--space", "w+", "--share", "0.5", "-o", tmp_path / "a.npz")
    (smile,) = read_directions(tmp_path / "a.npz", 3)
    assert smile.vector.shape == (3, 512) and (smile.vector.argmax(1) == 0).all()


def test_entangled_directions_are_pointed_out(tmp_path: Path) -> None:
    one, other = np.eye(2, 512, dtype=np.float32)[:, None]
    write_directions(tmp_path / "a.npz", [Direction("a", one), Direction("b", one - other), Direction("c", other)])
    shown = run("show", tmp_path / "a.npz").stdout
    assert "a and b are entangled (cosine +0.71)" in shown and "b and c are entangled (cosine -0.71)" in shown
    assert "a and c" not in shown


def test_a_model_is_fitted_and_written(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "model.npz"
    told = report("ridge", *labelled, "-o", out)
    assert set(told["importance"]) == {"smile", "age", "hair"} and told["r2"] > 0.2
    model = read_model(out)
    change = model.codes({"age": 60}) - model.codes({"age": 40})
    assert change[0, 1] == pytest.approx(2, rel=0.1)
    text = run("ridge", *labelled, "--attribute", "age", "--alpha", "2", "--space", "w+", "-o", out)
    assert text.exit_code == 0 and "alpha 2" in text.stdout and "age" in text.stdout and "hair" not in text.stdout
    assert read_model(out).codes({}).shape == (3, 512)


def test_a_map_is_drawn(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    told = report(
        "map", *labelled, "--attribute", "smile", "--attribute", "age", "--most", 50, "-o", tmp_path / "m.png"
    )
    assert told["codes"] == 50 and told["attributes"] == ["smile", "age"]
    assert load_image(tmp_path / "m.png").shape == (600, 1200, 3)


def test_a_part_of_codes_without_names_keeps_its_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", np.random.default_rng(0).normal(size=(40, 512)))
    (tmp_path / "labels.csv").write_text("row,smile\n" + "\n".join(f"{i},{i % 2}" for i in range(40)))
    files = tmp_path / "codes.npy", tmp_path / "labels.csv"
    assert report("map", *files, "--attribute", "smile", "--most", 20, "-o", tmp_path / "m.png")["codes"] == 20


def test_wrong_words(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    assert "the table has: smile, age, hair" in refusal("fit", *labelled, "--attribute", "beard", "-o", out)
    assert "hair=black, hair=blond" in refusal("fit", *labelled, "--attribute", "hair", "-o", out)
    assert "black, blond" in refusal("fit", *labelled, "--attribute", "hair=pink", "-o", out)
    same = ["--attribute", "age", "--given", "age"]
    assert "nothing is left" in refusal("fit", *labelled, *same, "-o", out)
    assert "ends in .png" in refusal("map", *labelled, "--attribute", "age", "-o", tmp_path / "map.jpg")
    assert "There is no file" in refusal("show", out)
    assert "the folder" in refusal("fit", *labelled, "--attribute", "age", "-o", tmp_path / "none" / "a.npz")
    assert not out.exists()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for i, name in enumerate(["b.png", "a.jpg", "more/c.png"]):
        save_image(folder / name, face(20 * i))
    return folder


def test_photos_become_codes(photos: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.npz"
    told = report("encode", photos, "--bundle", bundle, "--aligned", "-o", out)
    assert (told["done"], told["skipped"], told["failed"], told["output"]) == (3, 0, [], str(out))
    codes = read_codes(out)
    assert codes.names == ("a.jpg", "b.png", "more/c.png")
    expected = Editor(Bundle.open(bundle)).invert(load_image(photos / "more/c.png")).codes
    assert np.array_equal(codes.values[2], expected)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_photo_that_fails_stops_nothing_and_the_rest_is_not_done_again(
    photos: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "codes.npz"
    (photos / "bad.png").write_bytes(b"no picture")
    words = ["encode", photos, "--bundle", bundle, "--aligned", "-o", out]
    result = run(*words)
    assert result.exit_code == InputError.exit_code and "3 photos encoded, 1 failed" in result.stdout
    assert "bad.png" in result.stderr and read_codes(out).names == ("a.jpg", "b.png", "more/c.png")
    shutil.copy(photos / "b.png", photos / "bad.png")
    told = report(*words)
    assert (told["done"], told["skipped"]) == (1, 3) and len(read_codes(out)) == 4
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_was_stopped_goes_on(photos: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    invert = encode_module._invert
    words = ["encode", photos, "--bundle", bundle, "--aligned", "-o", tmp_path / "codes.npz"]

    def stop(editor: Editor, photo: Path, aligned: bool) -> Any:
        if photo.name == "b.png":
            raise KeyboardInterrupt
        return invert(editor, photo, aligned)

    monkeypatch.setattr(encode_module, "_invert", stop)
    stopped = run(*words)
    assert stopped.exit_code != 0 and "1 photos are encoded" in stopped.stderr
    assert not (tmp_path / "codes.npz").exists()
    monkeypatch.setattr(encode_module, "_invert", invert)
    os.utime(photos / "a.jpg", (1, 1))  # as if it were another photo now
    assert report(*words)["done"] == 3
    monkeypatch.setattr(encode_module, "_invert", stop)
    run(*words)
    monkeypatch.setattr(encode_module, "_invert", invert)
    told = report(*words)
    assert (told["done"], told["skipped"]) == (2, 1)


def test_photos_are_aligned_unless_they_are(portrait: Image, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    save_image(tmp_path / "photos" / "wide.png", portrait)
    save_image(tmp_path / "photos" / "flat.png", face())
    words = ["encode", tmp_path / "photos", "--bundle", bundle, "-o", tmp_path / "codes.npz"]
    result = run(*words)
    assert (
        result.exit_code == InputError.exit_code and "flat.png" in result.stderr and "none was found" in result.stderr
    )
    codes = read_codes(tmp_path / "codes.npz")
    subject = Editor(Bundle.open(bundle)).prepare(portrait)
    assert codes.names == ("wide.png",) and np.allclose(codes.values[0], subject.latent.codes, atol=1e-6)
    aligned = run(*words, "--aligned")
    assert "wide.png" in aligned.stderr and read_codes(tmp_path / "codes.npz").names == ("flat.png",)


def test_nothing_to_encode(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    words = ["encode", tmp_path / "photos", "--bundle", bundle, "-o"]
    assert "names no picture" in refusal(*words, tmp_path / "codes.npz")
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    assert "None of the 1 photos" in refusal(*words, tmp_path / "codes.npz")
    assert "name an .npz file" in refusal(*words, tmp_path / "codes.npy")
    assert "a folder that exists" in refusal(*words, tmp_path / "none" / "codes.npz")
