"""What the editor is handed: photographs, files, faces by number, what is no picture, bundles that lack networks."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mien.bundle import Bundle
from mien.editing.editor import Editor
from mien.editing.latent import Latent
from mien.errors import EditError, ImageError, InputError, NoFace
from mien.faces import Face, Portrait
from mien.faces.portrait import Find
from mien.geometry import Similarity
from mien.image import Image, save_image
from tests.editing.flat import COLOUR, FLAT, painted, same
from tests.tiny_edit import ROLES, WIDTH, tiny_edit_bundle


def find(*places: Similarity) -> Find:
    """A finder of faces whose FFHQ crop, drawn 64 wide, lies at these places."""
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = (24, 30), (40, 30)  # a quarter of the side apart
    points[48], points[54] = (28, 46), (36, 46)
    points += (0, 32 - 30 - 1.6)  # the centre is a tenth of the way from the eyes to the mouth

    def finder(image: Image) -> list[Portrait]:
        return [Portrait(Face((0.0, 0.0), 64 * p.scale, 1.0), p.apply(points)) for p in places]

    return finder


def test_a_face_in_a_photograph_is_aligned_and_laid_back(bundle: Bundle) -> None:
    place = Similarity.from_crop((150, 90), 96, 64, 0.2)
    editor = Editor(bundle, finder=find(place))
    photo = np.full((200, 300, 3), COLOUR, np.uint8)
    result = editor.apply(photo, {"smile": 0.5}, method="diffcam", deghost=False)
    np.testing.assert_allclose(result.place.matrix, place.matrix, atol=1e-6)
    x, y = place.apply((32, 44)).astype(int)
    assert result.image.shape == photo.shape and result.mask.shape == photo.shape[:2]
    assert same(result.image[y, x], painted(smile=0.25)[44, 32]) and result.mask[y, x] == 255
    np.testing.assert_array_equal(result.image[result.mask == 0], photo[result.mask == 0])
    assert (result.mask > 0).sum() == pytest.approx(8 * 16 * 1.5**2, rel=0.5)


def test_faces_are_chosen_by_number(bundle: Bundle) -> None:
    places = [Similarity.from_crop((x, 50), 64, 64) for x in (50, 150)]
    editor = Editor(bundle, finder=find(*places))
    photo = np.full((100, 200, 3), COLOUR, np.uint8)
    first, second = (editor.apply(photo, {"smile": 0.5}, face=number) for number in (0, 1))
    assert not first.mask[:, 100:].any() and not second.mask[:, :100].any() and second.mask.any()
    np.testing.assert_array_equal(editor.apply(photo, {"smile": 0.5}).image, first.image)
    for wrong in (2, -1):
        with pytest.raises(InputError, match="has 2, numbered from 0"):
            editor.apply(photo, {"smile": 0.5}, face=wrong)


def test_a_photograph_without_a_face_says_what_to_do(bundle: Bundle) -> None:
    with pytest.raises(NoFace, match="300 x 200.*aligned=True"):
        Editor(bundle, finder=find()).apply(np.zeros((200, 300, 3), np.uint8), {"smile": 1.0})


def test_a_file_is_read(editor: Editor, tmp_path: Path) -> None:
    save_image(tmp_path / "face.png", FLAT)
    result = editor.apply(tmp_path / "face.png", {"smile": 0.5}, aligned=True)
    np.testing.assert_array_equal(result.image, editor.apply(FLAT, {"smile": 0.5}, aligned=True).image)
    with pytest.raises(ImageError, match="no file"):
        editor.apply(str(tmp_path / "none.png"), {})


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.full((64, 64, 3), np.nan),
        np.zeros((64, 64, 3), np.float32),
        None,
        np.zeros((64, 65, 3), np.uint8),
    ],
    ids=["one pixel", "grey", "alpha", "NaN", "floats", "nothing", "not square"],
)
def test_what_is_no_picture_is_an_image_error(editor: Editor, wrong: Image) -> None:
    with pytest.raises(ImageError):
        editor.apply(wrong, {"smile": 1.0}, aligned=True)
    with pytest.raises(ImageError):
        editor.invert(wrong)


def test_a_latent_of_another_generator_is_refused(editor: Editor) -> None:
    other = Latent(np.zeros((18, WIDTH), np.float32))
    with pytest.raises(EditError, match="18 rows.*has 10"):
        editor.render(other)
    with pytest.raises(EditError, match="18 rows"):
        editor.edit(other, {})


MISSING: Sequence[tuple[str, str]] = [
    ("difference", "diffcam"),
    ("heat", "tta"),
    ("parsing", "diffcam++"),
    ("parsing", "parsing"),
]


@pytest.mark.parametrize(("role", "method"), MISSING)
def test_a_method_that_lacks_a_network_says_which_others_there_are(tmp_path: Path, role: str, method: str) -> None:
    editor = Editor(tiny_edit_bundle(tmp_path / "b", [name for name in ROLES if name != role]))
    with pytest.raises(EditError, match=f"'{re.escape(method)}' needs the network '{role}'.*can run: none"):
        editor.apply(FLAT, {"smile": 1.0}, method=method, aligned=True)


def test_a_small_bundle_does_what_it_can(tmp_path: Path) -> None:
    editor = Editor(tiny_edit_bundle(tmp_path / "b", ["encoder", "synthesis_early", "synthesis_late"]))
    subject = editor.prepare(FLAT, aligned=True)
    assert editor.alter(subject, {"smile": 0.5}, method="none").mask.any()
    with pytest.raises(EditError, match="Deghosting needs the network 'deghost'"):
        editor.apply(FLAT, {"smile": 1.0}, method="none", deghost=True, aligned=True)
    with pytest.raises(EditError, match="random face needs the network 'mapping'"):
        editor.sample(1)


def test_info_says_what_ran_where(bundle: Bundle) -> None:
    editor = Editor(bundle, threads=1)
    assert set(editor.info) == {"synthesis_early", "synthesis_late"}
    editor.invert(FLAT)
    assert editor.info["encoder"].device == "cpu" and editor.info["encoder"].threads == 1
