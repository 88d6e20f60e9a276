"""`mien cache`: what mien keeps between runs, listed and removed."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from mien.commands.options import JsonOption

app = typer.Typer(help="Shows and removes what mien keeps between runs.", no_args_is_help=True)

EnginesOption = Annotated[bool, typer.Option("--engines", help="TensorRT's engines only.")]
NetworksOption = Annotated[bool, typer.Option("--networks", help="Pulled networks only.")]


@app.command("list")
def list_(engines: EnginesOption = False, networks: NetworksOption = False, as_json: JsonOption = False) -> None:
    """Lists engines and pulled networks, and says which engines nothing here will open any more."""
    from mien.commands.cached import list_cache
    from mien.commands.show import show_cache

    both = engines == networks  # neither is named, or both are
    report = list_cache(engines or both, networks or both)
    print(json.dumps(asdict(report), indent=2)) if as_json else show_cache(report)


@app.command()
def clear(engines: EnginesOption = False, networks: NetworksOption = False, as_json: JsonOption = False) -> None:
    """Removes them: engines are built again when they are used, networks are pulled again on request."""
    from mien.commands.cached import clear_cache

    both = engines == networks  # neither is named, or both are
    freed = clear_cache(engines or both, networks or both)
    print(json.dumps({"freed_bytes": freed})) if as_json else print(f"{freed / 1e6:.1f} MB freed")
