"""What TensorRT's inspector told of an engine's layers, read from its JSON.

Tested with reports of the documented form; no report of a real engine has been read yet.
"""

from __future__ import annotations

import json
import re
from typing import Any

from mien.errors import SessionError
from mien.sessions.base import NodePlace

NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
"""How the inspector names the nodes of the network that a layer was made of."""


def read_layers(report: str, place: str) -> tuple[NodePlace, ...]:
    """Every node of the network with the layer that took it, in the order of the layers; ``place`` is for all of them.

    A layer that names no nodes (TensorRT's own, or an engine built with the names only) stands for itself. Raises
    SessionError for a report of another form.
    """
    try:
        layers = json.loads(report)["Layers"]
        return tuple(place_ for layer in layers for place_ in _places(layer, place))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SessionError(f"The inspector's report is not of the form that mien reads: {error!r}.") from error


def _places(layer: Any, place: str) -> list[NodePlace]:
    if isinstance(layer, str):
        return [NodePlace(layer, "", place)]
    kind = str(layer.get("LayerType", ""))
    names = NODE.findall(layer.get("Metadata", "")) or [str(layer["Name"])]
    return [NodePlace(name, kind, place) for name in names]
