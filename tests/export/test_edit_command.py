"""`mien export edit`: public files in, one bundle out in any precision, or a sentence that says what is wrong."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mien import Bundle
from mien.editing.editor import Editor
from mien_export import commands
from mien_export.checkpoints import CheckpointError
from mien_export.onnx_export import without_asides
from mien_export.pack import edit as edit_pack
from mien_export.pack.edit import EditFiles
from tests.export.small_edit import NETWORKS, SIZE, write_checkpoints


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> EditFiles:
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit_pack, "EditNetworks", lambda: NETWORKS)


def run(files: EditFiles, *words: object, code: int = 0) -> str:
    """What the command prints of the files that are needed; raises what it raised."""
    given = ["edit", "--encoder", files.encoder, "--generator", files.generator, "--encoder-kind", "psp-w", *words]
    result = CliRunner().invoke(commands.app, [str(word) for word in given], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_noise_can_be_left_open_and_comes_from_the_seed(files: EditFiles, tmp_path: Path) -> None:
    assert files.generator is not None
    stored = torch.load(files.generator, weights_only=True)
    strengths = [value.fill_(0.5) for key, value in stored["g_ema"].items() if key.endswith("noise.weight")]
    assert len(strengths) == 7  # untrained ones are 0
    torch.save(stored, tmp_path / "noisy.pt")
    files = replace(files, generator=tmp_path / "noisy.pt")
    said = run(files, "--noise", "input", "--directions", files.directions[0], "-o", tmp_path / "faces.zip")
    assert "faces.zip" in said and "in 4 networks" in said and "synthesis_early" in said
    bundle = Bundle.open(tmp_path / "faces.zip")
    inputs = [info for role in ("synthesis_early", "synthesis_late") for info in bundle.network(role).inputs]
    noise = {info.name: info.shape for info in inputs if info.name.startswith("noise_")}
    assert list(noise) == [f"noise_{row}" for row in range(7)] and noise["noise_6"] == (1, 1, SIZE, SIZE)
    one, again, other = (Editor(bundle, noise_seed=seed) for seed in (0, 0, 1))
    latent = one.sample(3)
    assert np.array_equal(one.render(latent), again.render(latent))
    assert not np.array_equal(one.render(latent), other.render(latent))
    face = one.render(latent)
    result = one.apply(face, {"smiling": 1.0}, method="none", aligned=True)
    assert result.mask.any() and not np.array_equal(result.edited, result.inverted)


def test_int8_is_tuned_to_drawn_faces_and_says_what_it_cost(files: EditFiles, tmp_path: Path) -> None:
    said = run(files, "--precision", "int8", "-o", tmp_path / "faces")
    bundle = Bundle.open(tmp_path / "faces")
    assert {spec.precision for spec in bundle.manifest.networks.values()} == {"int8"}
    assert "PSNR to fp32" in said and "times as fast as fp32" in said and "ort " in said and "openvino " in said
    assert ".mien-" not in said  # where the float32 bundle lay meanwhile is nobody's business
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]
    editor = Editor(bundle)
    assert np.ptp(editor.render(editor.invert(editor.render(editor.sample(1))))) > 0


def test_pictures_to_calibrate_on_are_for_lower_precisions(files: EditFiles, tmp_path: Path) -> None:
    said = run(files, "--calibration", tmp_path, "-o", tmp_path / "faces", code=2)
    assert "--calibration" in said and "fp16, bf16 and int8" in said and not list(tmp_path.iterdir())


def test_half_a_download_leaves_nothing(files: EditFiles, tmp_path: Path) -> None:
    assert files.optional.parsing is not None
    (tmp_path / "part.pth").write_bytes(files.optional.parsing.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="part.pth.*Download it again"):
        run(files, "--parsing", tmp_path / "part.pth", "-o", tmp_path / "faces")
    assert [path.name for path in tmp_path.iterdir()] == ["part.pth"]


def test_asides_of_the_exporter_are_kept_back_and_other_warnings_are_not() -> None:
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = log.level
    with warnings.catch_warnings(record=True) as heard, without_asides():
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated", FutureWarning, stacklevel=1)
        warnings.warn("something else", FutureWarning, stacklevel=1)
        assert not log.isEnabledFor(logging.WARNING)
    assert [str(one.message) for one in heard] == ["something else"] and log.level == before
