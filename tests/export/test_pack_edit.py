"""From public checkpoints to an edit bundle that opens, verifies, and edits a picture as torch would."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mien import Bundle
from mien.editing.editor import Editor
from mien.errors import InputError, OutputError
from mien_export.calibration import editing
from mien_export.checkpoints import CheckpointError
from mien_export.lower import lower
from mien_export.networks.stylegan2 import Generator
from mien_export.onnx_export import TOLERANCE
from mien_export.pack.edit import EditFiles, pack_edit
from mien_export.pack.edit_traced import OptionalFiles
from tests.export.small_edit import NETWORKS, SIZE, write_checkpoints


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> EditFiles:
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def bundle(files: EditFiles, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return pack_edit(files, tmp_path_factory.mktemp("bundle") / "edit.zip", networks=NETWORKS)[0]


def picture(side: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def test_every_network_is_there_and_near_to_torch(bundle: Bundle) -> None:
    assert set(bundle.manifest.networks) == {
        "mapping", "synthesis_early", "synthesis_late", "encoder", "parsing", "difference", "heat", "deghost",
        "identity",
    }  # fmt: skip
    for spec in bundle.manifest.networks.values():
        assert 0 <= spec.parity.max_abs_error <= TOLERANCE
        bundle.session(spec.role).close()


@pytest.mark.parametrize("method", ["none", "parsing", "diffcam", "diffcam++"])
def test_a_picture_is_edited_in_one_call(bundle: Bundle, method: str) -> None:
    photo = picture(50)
    result = Editor(bundle).apply(photo, {"smiling": 2.0}, method=method, aligned=True)
    assert result.image.shape == photo.shape
    assert np.array_equal(result.image[result.mask == 0], photo[result.mask == 0])
    assert not np.array_equal(result.inverted, result.edited)


def test_the_generator_draws_what_torch_draws(bundle: Bundle, files: EditFiles) -> None:
    editor = Editor(bundle)
    latent = editor.sample(5)
    assert files.generator is not None
    generator = Generator(SIZE, widest=32)
    generator.load_state_dict(torch.load(files.generator, weights_only=True)["g_ema"])
    with torch.no_grad():
        truth = generator(torch.from_numpy(latent.codes.copy())[None])[0]
    expected = ((truth.numpy().transpose(1, 2, 0) + 1) / 2).clip(0, 1) * 255
    assert np.abs(editor.render(latent) - expected).max() <= 0.51


def test_a_restyle_bundle_starts_from_the_mean_picture(tmp_path: Path) -> None:
    files = write_checkpoints(tmp_path, "restyle-psp")
    small = EditFiles(encoder=files.encoder, encoder_kind="restyle-psp")  # the generator in the encoder's file
    bundle = pack_edit(small, tmp_path / "bundle", networks=NETWORKS)[0]
    assert bundle.manifest.extra["steps"] == 5 and bundle.array("average_image").shape == (3, 256, 256)
    codes = Editor(bundle).invert(picture()).codes
    assert codes.shape == (8, 512) and np.isfinite(codes).all()


def test_the_wrong_file_is_named_for_what_it_is(files: EditFiles, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="StyleGAN2"):
        pack_edit(replace(files, optional=OptionalFiles(parsing=files.generator)), tmp_path / "b", networks=NETWORKS)
    assert not (tmp_path / "b").exists()


def test_directions_of_another_generator_are_refused(files: EditFiles, tmp_path: Path) -> None:
    np.save(tmp_path / "old.npy", np.ones((18, 512)))
    with pytest.raises(InputError, match="18"):
        pack_edit(replace(files, directions=(str(tmp_path / "old.npy"),)), tmp_path / "b", networks=NETWORKS)


def test_nothing_is_replaced_unasked(files: EditFiles, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError):
        pack_edit(EditFiles(files.encoder, encoder_kind="psp-w"), tmp_path / "mine", networks=NETWORKS)


def test_lower_precisions_edit_nearly_the_same(bundle: Bundle, tmp_path: Path) -> None:
    made, rows = lower(bundle, tmp_path / "half", "fp16", editing(None))
    assert {row.role for row in rows if row.why} == {"identity"}
    codes = Editor(bundle).sample(1)
    whole, half = (Editor(b).render(codes).astype(int) for b in (bundle, made))
    assert 0 < np.abs(whole - half).max() <= 8


def test_a_folder_without_faces_calibrates_nothing(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="calibrate"):
        lower(bundle, tmp_path / "low", "int8", editing(tmp_path))
