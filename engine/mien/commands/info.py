"""`mien info`: what a bundle is, and on request node by node where its networks run."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from mien.commands.options import BackendOption, DeviceOption, JsonOption


def info(
    bundle: Annotated[str, typer.Argument(help="A bundle that mien brings, a folder, or a .zip.")] = "studio",
    nodes: Annotated[bool, typer.Option("--nodes", help="Show where each node of the networks runs.")] = False,
    device: DeviceOption = "cpu",
    backend: BackendOption = "ort",
    as_json: JsonOption = False,
) -> None:
    """Shows what a bundle is: its networks, their tensors, licences and origin."""
    from mien.bundle import Bundle
    from mien.commands.show import show_manifest, show_places
    from mien.sessions.places import node_places

    opened = Bundle.open(bundle)
    if nodes:
        places = {role: node_places(opened.model(role), backend, device) for role in opened.manifest.networks}
        shown = {role: [asdict(place) for place in found] for role, found in places.items()}
        print(json.dumps(shown, indent=2)) if as_json else show_places(places)
        return
    manifest = opened.manifest
    print(manifest.to_json().decode(), end="") if as_json else show_manifest(manifest)
