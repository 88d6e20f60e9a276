"""The packages that only fitting and drawing need: asked for when they are used."""

from importlib import import_module

from mien.errors import MissingDependency


def need(package: str) -> None:
    """Raises MissingDependency, with what to install, unless the package can be imported."""
    try:
        import_module(package)
    except ImportError as error:
        raise MissingDependency(package, "directions") from error
