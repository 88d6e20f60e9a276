"""The editor on the tiny bundle: what every method changes and what it leaves, worked out by hand."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mien.bundle import Bundle
from mien.editing.directions import Direction
from mien.editing.editor import Editor
from mien.editing.methods import METHODS
from mien.errors import EditError
from tests.editing.conftest import Runs
from tests.editing.flat import COLOUR, FLAT, UNIT, painted, same
from tests.tiny_edit import LAYERS, MOUTH, SIDE, UNITS, WIDTH, direction


def test_it_knows_what_it_can_edit(editor: Editor) -> None:
    assert editor.attributes == tuple(UNITS)
    assert editor.resolution == SIDE


def test_inverting_and_rendering_gives_the_face_back(editor: Editor) -> None:
    latent = editor.invert(FLAT)
    assert latent.codes.shape == (LAYERS, WIDTH) and not latent.codes.flags.writeable
    assert same(editor.render(latent), FLAT)


@pytest.mark.parametrize("side", [2, 63, 256, 700])
def test_an_aligned_face_may_have_any_size(editor: Editor, side: int) -> None:
    np.testing.assert_allclose(
        editor.invert(np.full((side, side, 3), COLOUR, np.uint8)).codes, editor.invert(FLAT).codes, atol=1e-5
    )


def test_an_edit_moves_what_it_should_and_nothing_else(editor: Editor) -> None:
    latent = editor.invert(FLAT)
    change = editor.edit(latent, {"smile": 2.0}).codes - latent.codes
    np.testing.assert_allclose(change, 2.0 * UNITS["smile"] * direction("smile"), atol=1e-6)


def test_several_edits_add_up(editor: Editor) -> None:
    latent = editor.invert(FLAT)
    change = editor.edit(latent, {"smile": 1.0, "old": -2.0}).codes - latent.codes
    expected = UNITS["smile"] * direction("smile") - 2 * UNITS["old"] * direction("old")
    np.testing.assert_allclose(change, expected, atol=1e-6)
    assert same(editor.render(editor.edit(latent, {"smile": 0.5, "old": 1.0})), painted(smile=0.25, old=0.25))


def test_no_edit_is_the_same_latent(editor: Editor) -> None:
    latent = editor.invert(FLAT)
    np.testing.assert_array_equal(editor.edit(latent, {}).codes, latent.codes)


def test_the_result_tells_all(editor: Editor) -> None:
    result = editor.apply(FLAT, {"smile": 1.0}, aligned=True)
    assert same(result.inverted, FLAT) and same(result.edited, painted(smile=0.5))
    np.testing.assert_array_equal(result.aligned, FLAT)
    np.testing.assert_allclose(result.latent.codes, editor.invert(FLAT).codes)
    np.testing.assert_allclose(result.place.matrix, [[1, 0, 0], [0, 1, 0]])
    assert list(result.timings) == ["align", "invert", "synthesise", "mask", "deghost", "paste"]
    assert result.synthetic is True


# The tiny heat network takes a quarter off for Grad-CAM++, half for Eigen smoothing, a tenth for the library's epsilon.
HEATS = {
    "diffcam": 1.0,
    "gradcam++": 0.75,
    "gradcam++-library": 0.65,
    "tta": 0.75,
    "pca": 0.375,
    "tta+pca": 0.375,
    "diffcam++": 0.375,
}


@pytest.mark.parametrize("method", HEATS)
def test_difference_methods_change_the_mouth_by_their_heat(editor: Editor, method: str) -> None:
    result = editor.apply(FLAT, {"smile": 0.5}, method=method, deghost=False, aligned=True)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[MOUTH] = True
    expected = painted()
    expected[MOUTH] = painted(smile=HEATS[method] * 0.25)[MOUTH]
    core = np.s_[42:46, 26:38]  # the component mask's edge is soft
    assert same(result.image[core], expected[core])
    np.testing.assert_allclose(result.mask[core], 255 * HEATS[method], atol=1)
    np.testing.assert_array_equal(result.mask[~inside], 0)
    np.testing.assert_array_equal(result.image[~inside], FLAT[~inside])


def test_every_difference_method_is_tested() -> None:
    assert set(HEATS) == {method.name for method in METHODS.values() if method.difference}


def test_the_method_parsing_changes_skin_only(editor: Editor) -> None:
    result = editor.apply(FLAT, {"tan": -0.2}, method="parsing", aligned=True)
    assert result.mask[30, 30] == 255 and same(result.image[30, 30], painted(tan=-0.1)[30, 30])
    np.testing.assert_array_equal(result.mask[:6], 0)  # hair
    np.testing.assert_array_equal(result.image[:6], FLAT[:6])


def test_the_method_none_changes_the_whole_crop_up_to_its_rim(editor: Editor) -> None:
    result = editor.apply(FLAT, {"tan": -0.2}, method="none", aligned=True)
    np.testing.assert_array_equal(result.mask[4:-4, 4:-4], 255)
    assert same(result.image[4:-4, 4:-4], painted(tan=-0.1)[4:-4, 4:-4])
    np.testing.assert_array_equal(result.mask[[0, -1]], 0)
    np.testing.assert_array_equal(result.image[:, [0, -1]], FLAT[:, [0, -1]])


def test_of_several_edits_every_place_takes_the_strongest_heat(editor: Editor) -> None:
    result = editor.apply(FLAT, {"smile": 0.5, "old": 0.5}, method="diffcam", deghost=False, aligned=True)
    assert result.mask[44, 30] == 255 and result.mask[20, 20] == 255 and result.mask[4, 4] == 0
    assert same(result.image[8:56, 8:56], painted(smile=0.25, old=0.125)[8:56, 8:56])


def test_augmentation_is_six_rows_and_plain_is_one(editor: Editor, runs: Runs) -> None:
    for method, rows in (("pca", 1), ("tta+pca", 6)):
        runs.clear()
        editor.apply(FLAT, {"smile": 1.0}, method=method, aligned=True)
        feeds = dict(runs)["difference"]
        assert feeds["flip"].shape == feeds["brightness"].shape == (rows,)
    pairs = set(zip(feeds["flip"].tolist(), feeds["brightness"].tolist(), strict=True))
    assert pairs == {(flip, float(np.float32(by))) for flip in (False, True) for by in (1.0, 1.1, 0.9)}


def test_every_network_sees_what_it_is_meant_to(editor: Editor, runs: Runs) -> None:
    dots = FLAT.copy()
    dots[::8, ::8] = 255
    result = editor.apply(dots, {"smile": 1.0}, aligned=True)
    for side, drawn in (("inverted", result.inverted), ("edited", result.edited)):
        seen = dict(runs)["difference"][side][0].transpose(1, 2, 0)
        np.testing.assert_allclose(seen[2::4, 2::4], drawn / 255, atol=0.15)  # enlarged: soft edges
    before, after = (feeds["image"][0].transpose(1, 2, 0) for role, feeds in runs if role == "parsing")
    np.testing.assert_allclose(before, dots / 255, atol=1e-6)  # the photograph itself, and not its inversion
    np.testing.assert_allclose(after, result.edited / 255, atol=0.01)
    assert dict(runs)["heat"]["attributes"].tolist() == [15]
    mask = editor.mask(editor.prepare(dots, aligned=True), {"smile": 1.0})[..., None]
    fused = result.edited / 255 * mask + dots / 255 * (1 - mask)
    np.testing.assert_allclose(dict(runs)["deghost"]["fused"][0].transpose(1, 2, 0), fused, atol=0.01)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
@pytest.mark.parametrize("edits", [{}, {"smile": 0.0}])
def test_without_an_edit_the_photograph_stays_as_it_is(editor: Editor, method: str, edits: dict[str, float]) -> None:
    noisy = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    result = editor.apply(noisy, edits, method=method, aligned=True)
    np.testing.assert_array_equal(result.image, noisy)
    assert not result.mask.any() and "deghost" not in result.timings


def test_deghosting_changes_only_what_the_mask_touches(editor: Editor) -> None:
    result = editor.apply(FLAT, {"smile": 0.5}, method="diffcam", aligned=True)  # there is a network: it is used
    # The fused mouth is 0.4 + 0.25 red; the tiny network halves that and adds a quarter.
    assert same(result.image[44, 30], np.rint(255 * ((UNIT + (0.25, 0, 0)) / 2 + 0.25)).astype(np.uint8))
    np.testing.assert_array_equal(result.image[result.mask == 0], FLAT[result.mask == 0])
    assert (result.mask == 0).mean() > 0.9
    plain = editor.apply(FLAT, {"smile": 0.5}, method="diffcam", deghost=False, aligned=True)
    assert "deghost" not in plain.timings and not same(plain.image, result.image)


def test_deghosting_is_not_the_default_without_differences(editor: Editor, runs: Runs) -> None:
    editor.apply(FLAT, {"smile": 0.5}, method="parsing", aligned=True)
    assert "deghost" not in dict(runs)
    editor.apply(FLAT, {"smile": 0.5}, method="parsing", deghost=True, aligned=True)
    assert "deghost" in dict(runs)


def test_the_same_edit_twice_gives_the_same_bytes(editor: Editor, bundle: Bundle) -> None:
    photo = np.random.default_rng(2).integers(0, 256, (90, 90, 3), np.uint8)
    first = editor.apply(photo, {"smile": 1.0, "old": 0.5}, aligned=True)
    for other in (editor, Editor(bundle)):
        again = other.apply(photo, {"smile": 1.0, "old": 0.5}, aligned=True)
        np.testing.assert_array_equal(first.image, again.image)
        np.testing.assert_array_equal(first.mask, again.mask)


def test_threads_share_an_editor(bundle: Bundle) -> None:
    editor = Editor(bundle, threads=1)
    faces = [np.full((SIDE, SIDE, 3), (value, 40, 200), np.uint8) for value in range(10, 250, 20)]
    alone = [editor.apply(face, {"smile": 0.4}, aligned=True).image for face in faces]
    with ThreadPoolExecutor(4) as pool:
        fresh = Editor(bundle, threads=1)
        together = list(pool.map(lambda face: fresh.apply(face, {"smile": 0.4}, aligned=True).image, faces))
    np.testing.assert_array_equal(alone, together)


def test_a_prepared_face_is_read_once(editor: Editor, runs: Runs) -> None:
    subject = editor.prepare(FLAT, aligned=True)
    runs.clear()
    film = [editor.alter(subject, {"smile": strength}, deghost=False) for strength in (0.0, 0.3, 0.6)]
    roles = [role for role, _ in runs]
    assert "encoder" not in roles and "synthesis_early" not in roles
    assert roles.count("synthesis_late") == 2 and roles.count("parsing") == 2  # only of the two edited pictures
    for frame, strength in zip(film, (0.0, 0.3, 0.6), strict=True):
        whole = editor.apply(FLAT, {"smile": strength}, deghost=False, aligned=True)
        np.testing.assert_array_equal(frame.image, whole.image)


def test_a_mask_of_ones_own_is_held(editor: Editor, runs: Runs) -> None:
    subject = editor.prepare(FLAT, aligned=True)
    mask = editor.mask(subject, {"smile": 1.0}, method="diffcam")
    assert mask.shape == (SIDE, SIDE) and mask.dtype == np.float32 and mask[44, 30] == 1 and mask[0, 0] == 0
    runs.clear()
    result = editor.alter(subject, {"smile": 0.2}, deghost=False, mask=mask)
    assert [role for role, _ in runs] == ["synthesis_late"]
    assert same(result.image, painted(smile=0.1))
    with pytest.raises(EditError, match=r"\(64, 64\)"):
        editor.alter(subject, {"smile": 0.2}, mask=mask[:5])


def test_random_faces_go_from_the_mean_one_outwards(editor: Editor) -> None:
    mean = editor.sample(3, truncation=0.0).codes
    np.testing.assert_allclose(mean[:, :3], np.tile((0.5, 0.25, 0.75), (LAYERS, 1)))
    near, far = editor.sample(3, 0.5).codes - mean, editor.sample(3, 1.0).codes - mean
    np.testing.assert_allclose(2 * near, far, atol=1e-6)
    np.testing.assert_array_equal(far[0], far[-1])
    assert not np.allclose(editor.sample(4).codes, editor.sample(3).codes)
    np.testing.assert_array_equal(editor.sample(4).codes, editor.sample(4).codes)
    with pytest.raises(EditError, match="-1"):
        editor.sample(-1)
    with pytest.raises(EditError, match="truncation nan"):
        editor.sample(1, float("nan"))


def test_directions_of_ones_own_join_those_of_the_bundle(bundle: Bundle) -> None:
    wider = Editor(bundle, directions=[Direction("pale", np.full((1, WIDTH), 0.1, np.float32))])
    assert wider.attributes == (*UNITS, "pale")
    change = wider.edit(wider.invert(FLAT), {"pale": 2.0}).codes - wider.invert(FLAT).codes
    np.testing.assert_allclose(change, 0.2, atol=1e-6)


def test_the_late_half_alone_is_run_where_the_early_rows_stay(editor: Editor, runs: Runs) -> None:
    editor.apply(FLAT, {"smile": 1.0}, method="none", aligned=True)
    shapes = {role: feeds["latents"].shape[0] for role, feeds in runs if role.startswith("synthesis")}
    assert shapes == {"synthesis_early": 1, "synthesis_late": 2}
    runs.clear()
    editor.apply(FLAT, {"smile": 1.0, "old": 0.5}, method="none", aligned=True)
    shapes = {role: feeds["latents"].shape[0] for role, feeds in runs if role.startswith("synthesis")}
    assert shapes == {"synthesis_early": 2, "synthesis_late": 2}
