"""Commands of other packages: they join mien's command line by entry point, unless they are not needed."""

import logging
from importlib.metadata import EntryPoint, entry_points

import typer

GROUP = "mien.commands"
log = logging.getLogger(__name__)


def join(app: typer.Typer, arguments: list[str]) -> None:
    """Adds the commands of other packages, unless one of mien's own was asked for."""
    own = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    own |= {group.name for group in app.registered_groups if group.name}
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    if asked in own:
        return
    for entry in entry_points(group=GROUP):
        _add(app, entry)


def _add(app: typer.Typer, entry: EntryPoint) -> None:
    try:
        command = entry.load()
    except (ImportError, AttributeError) as error:
        log.warning("The command %r of %s cannot be loaded: %s", entry.name, entry.value, error)
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name)
    else:
        app.command(entry.name)(command)
