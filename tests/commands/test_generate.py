"""`mien generate`: the same seed the same face, and faces as they were described."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mien.bundle import Bundle
from mien.commands.generate import generate
from mien.editing.attribute_model import Attribute, AttributeModel, write_model
from mien.editing.editor import Editor
from mien.editing.latent import Latent
from mien.editing.tables import make_column
from mien.errors import EditError, InputError, OutputError
from mien.image import load_image
from mien.provenance import read_mark

app = typer.Typer()
app.command()(generate)


def run(*words: object) -> Any:
    return CliRunner().invoke(app, list(map(str, words)))


def report(*words: object) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def refusal(kind: type[Exception], *words: object) -> str:
    result = run(*words)
    assert isinstance(result.exception, kind), (result.output, result.exception)
    return str(result.exception)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """ "light" is the colour of the face, of all channels, from 0 to 1; what it does not say is its red."""
    light = Attribute.measured(make_column("light", ["0", "1"]))
    codes = np.zeros((1, 1, 512), np.float32)
    codes[..., :3] = 1
    red = np.zeros((1, 1, 512), np.float32)
    red[..., 0] = 1
    spreads = np.array([0.2], np.float32)
    write_model(tmp_path / "model.npz", AttributeModel((light,), codes, codes[0] / 2, red, spreads, 1.0, 0.5))
    return tmp_path / "model.npz"


def test_a_random_face_is_that_of_the_editor(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "face.png"
    told = report("--bundle", bundle, "--seed", 3, "--truncation", "0.5", "-o", out)
    assert told["faces"] == [{"output": str(out), "seed": 3}] and told["synthetic"] is True
    editor = Editor(Bundle.open(bundle))
    assert np.array_equal(load_image(out), editor.render(editor.sample(3, 0.5)))
    assert read_mark(out) is not None


def test_without_a_seed_one_is_drawn_and_told(bundle: Path, tmp_path: Path) -> None:
    first = report("--bundle", bundle, "-o", tmp_path / "a.png")["faces"][0]["seed"]
    second = report("--bundle", bundle, "-o", tmp_path / "b.png")["faces"][0]["seed"]
    assert first != second
    report("--bundle", bundle, "--seed", first, "-o", tmp_path / "c.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_several_go_to_a_folder(bundle: Path, tmp_path: Path) -> None:
    result = run("--bundle", bundle, "--seed", 5, "--count", 3, "-o", tmp_path / "faces")
    assert result.exit_code == 0 and "(seed 7)" in result.stdout
    assert sorted(path.name for path in (tmp_path / "faces").iterdir()) == ["seed-5.png", "seed-6.png", "seed-7.png"]
    one, other = (load_image(tmp_path / "faces" / f"seed-{seed}.png") for seed in (5, 6))
    assert (one != other).any()


def test_a_face_is_made_as_it_was_described(bundle: Path, model: Path, tmp_path: Path) -> None:
    means = {}
    for value in ("0.25", "0.75"):
        out = tmp_path / f"{value}.png"
        told = report("--bundle", bundle, "--model", model, "--set", f"light={value}", "-o", out)
        assert told["settings"] == {"light": value} and told["faces"][0]["seed"] is None
        means[value] = load_image(out).mean((0, 1))
    assert np.allclose(means["0.25"], 255 * 0.25, atol=1) and np.allclose(means["0.75"], 255 * 0.75, atol=1)


def test_a_seed_varies_what_was_not_said(bundle: Path, model: Path, tmp_path: Path) -> None:
    words = ["--bundle", bundle, "--model", model, "--set", "light=0.5", "--count", 4, "--seed", 1]
    report(*words, "-o", tmp_path / "faces")
    pictures = [load_image(path).mean((0, 1)) for path in sorted((tmp_path / "faces").iterdir())]
    assert np.ptp(pictures, axis=0)[0] > 5 and (np.ptp(pictures, axis=0)[1:] < 1).all()
    report(*words, "--truncation", 0, "-o", tmp_path / "flat")
    still = [load_image(path) for path in sorted((tmp_path / "flat").iterdir())]
    assert all(np.array_equal(one, still[0]) for one in still)


def test_a_model_for_every_layer(bundle: Path, tmp_path: Path) -> None:
    light = Attribute.measured(make_column("light", ["0", "1"]))
    for rows, fits in ((10, True), (18, False)):
        codes = np.random.default_rng(0).random((1, rows, 512)).astype(np.float32)
        parts = codes, codes[0], codes[:0], np.zeros(0, np.float32)
        write_model(tmp_path / "model.npz", AttributeModel((light,), *parts, 1.0, 0.5))
        words = ["--bundle", bundle, "--model", tmp_path / "model.npz", "-o", tmp_path / "face.png"]
        if fits:
            report(*words)
            assert np.array_equal(load_image(tmp_path / "face.png"), Editor(bundle).render(Latent(codes[0])))
        else:
            assert "latents of 18 rows; this bundle's generator has 10" in refusal(InputError, *words)


def test_wrong_words(bundle: Path, model: Path, tmp_path: Path) -> None:
    at = ["--bundle", bundle, "-o"]
    out = tmp_path / "face.png"
    assert "name a folder" in refusal(OutputError, *at, out, "--count", 2)
    assert "does not exist" in refusal(OutputError, *at, tmp_path / "none" / "face.png")
    assert "has no suffix" in refusal(OutputError, *at, tmp_path / "face.gif")
    (tmp_path / "file").write_bytes(b"")
    assert "is a file" in refusal(OutputError, *at, tmp_path / "file")
    assert "this model knows: light" in refusal(InputError, *at, out, "--model", model, "--set", "age=60")
    assert "one of: 0, 1" in refusal(InputError, *at, out, "--model", model, "--set", "light=nan")
    refusal(EditError, *at, out, "--truncation", "nan")
    for words in (["--set", "light=1"], ["--model", model, "--set", "light"], ["--count", 0], ["--seed", -1]):
        assert run(*at, out, *words).exit_code == 2
    twice = ["--model", model, "--set", "light=1", "--set", "light=0"]
    assert run(*at, out, *twice).exit_code == 2
    assert not out.exists()
