"""Edits that cannot be done are refused before anything is run, and the message says what there is."""

import math
from pathlib import Path

import numpy as np
import pytest

from mien.bundle import Bundle
from mien.editing.directions import Direction
from mien.editing.editor import Editor
from mien.editing.methods import METHODS
from mien.errors import EditError, InputError
from tests.editing.conftest import Runs
from tests.tiny_edit import LAYERS, WIDTH, tiny_edit_bundle

FACE = np.full((64, 64, 3), 90, np.uint8)


def test_it_is_an_input_error() -> None:
    assert issubclass(EditError, InputError) and EditError.exit_code == 3


def test_an_unknown_attribute_lists_those_there_are(editor: Editor, runs: Runs) -> None:
    with pytest.raises(EditError, match="'smiling'.*there are: smile, old, tan"):
        editor.apply(FACE, {"smiling": 1.0}, aligned=True)
    assert not runs


@pytest.mark.parametrize("strength", [math.nan, math.inf, -math.inf])
def test_a_strength_is_a_finite_number(editor: Editor, runs: Runs, strength: float) -> None:
    with pytest.raises(EditError, match=f"'old'.*{strength}.*finite"):
        editor.apply(FACE, {"smile": 1.0, "old": strength}, aligned=True)
    assert not runs
    with pytest.raises(EditError, match="finite"):
        editor.edit(editor.sample(0), {"old": strength})


def test_a_strength_beyond_all_floats_is_refused(editor: Editor) -> None:
    with pytest.raises(EditError, match="finite"):
        editor.edit(editor.sample(0), {"old": 1e60})


def test_an_unknown_method_lists_those_there_are(editor: Editor) -> None:
    with pytest.raises(EditError, match="'camdiff'.*" + ", ".join(map(str.lower, METHODS)).replace("+", r"\+")):
        editor.apply(FACE, {"smile": 1.0}, method="camdiff", aligned=True)


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.difference])
def test_an_attribute_unknown_to_the_difference_network_says_what_can_be_used(editor: Editor, method: str) -> None:
    with pytest.raises(EditError, match="does not know 'tan'.*'parsing' or 'none'"):
        editor.apply(FACE, {"tan": 1.0}, method=method, aligned=True)
    for able in ("parsing", "none"):
        assert editor.apply(FACE, {"tan": 1.0}, method=able, aligned=True).mask is not None


def test_directions_have_to_fit(bundle: Bundle, tmp_path: Path) -> None:
    fits = np.ones((LAYERS, WIDTH), np.float32)
    with pytest.raises(EditError, match="two directions 'smile'"):
        Editor(bundle, directions=[Direction("smile", fits)])
    with pytest.raises(EditError, match=r"'pale' is \(18, 512\).*\(10, 512\) or \(1, 512\)"):
        Editor(bundle, directions=[Direction("pale", np.ones((18, WIDTH), np.float32))])
    with pytest.raises(EditError, match="'pale' is of class 17.*classes 0 to 16"):
        Editor(bundle, directions=[Direction("pale", fits, difference_class=17)])
    without = tiny_edit_bundle(tmp_path / "b", ["encoder", "synthesis_early", "synthesis_late"], attributes=False)
    assert Editor(without, directions=[Direction("pale", fits, difference_class=17)]).attributes == ("pale",)
