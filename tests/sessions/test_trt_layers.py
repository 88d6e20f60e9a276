"""The inspector's report: a node for each that a layer was made of, and every other form refused in words."""

import json

import pytest

from mien.errors import SessionError
from mien.sessions.base import NodePlace
from mien.sessions.trt_layers import read_layers
from tests.sessions.fake_trt import REPORT


def test_every_node_is_told_with_the_layer_that_took_it() -> None:
    assert read_layers(REPORT, "rtx") == (NodePlace("a", "pointwise", "rtx"), NodePlace("b", "pointwise", "rtx"))


def test_layers_of_tensorrt_s_own_stand_for_themselves() -> None:
    report = json.dumps({"Layers": ["a + b", {"Name": "Reformat 0", "LayerType": "Reformat", "Metadata": ""}]})
    assert read_layers(report, "rtx") == (NodePlace("a + b", "", "rtx"), NodePlace("Reformat 0", "Reformat", "rtx"))


@pytest.mark.parametrize(
    "report", ["", "no JSON", "[]", "{}", '{"Layers": 3}', '{"Layers": [3]}', '{"Layers": [{"Metadata": ""}]}']
)
def test_another_form_is_a_session_error(report: str) -> None:
    with pytest.raises(SessionError, match="not of the form"):
        read_layers(report, "rtx")
