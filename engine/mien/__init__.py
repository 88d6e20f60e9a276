"""mien edits and reenacts faces in real time. The public names, each loaded when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien import kernels as kernels
    from mien.bundle import Bundle as Bundle
    from mien.editing.editor import Editor as Editor
    from mien.errors import MienError as MienError
    from mien.reenact.family import open_family as open_family
    from mien.reenact.reenactor import Reenactor as Reenactor
    from mien.reenact.transfer import Transfer as Transfer
    from mien.sessions import open_session as open_session

    __version__: str

__all__ = [
    "Bundle",
    "Editor",
    "MienError",
    "Reenactor",
    "Transfer",
    "__version__",
    "kernels",
    "open_family",
    "open_session",
]

_HOMES = {
    "Bundle": "mien.bundle",
    "Editor": "mien.editing.editor",
    "MienError": "mien.errors",
    "Reenactor": "mien.reenact.reenactor",
    "Transfer": "mien.reenact.transfer",
    "open_family": "mien.reenact.family",
    "open_session": "mien.sessions",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "kernels":
        return import_module("mien.kernels")
    if name == "__version__":
        return import_module("importlib.metadata").version("mien")
    raise AttributeError(f"module 'mien' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
