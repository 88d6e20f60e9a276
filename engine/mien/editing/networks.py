"""The networks of a bundle by role, each opened when it is first used: an edit bundle weighs up to two gigabytes."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.runners import Runner, There
from mien.sessions import Session
from mien.sessions.base import SessionInfo

Array = NDArray[Any]


class Networks:
    """Sessions by role in one place, ``runner``; may be shared between threads."""

    def __init__(self, bundle: Bundle, runner: Runner) -> None:
        self._bundle = bundle
        self.runner = runner
        self._opened: dict[str, Session] = {}
        self._lock = Lock()

    def __contains__(self, role: object) -> bool:
        return role in self._bundle.manifest.networks

    def __getitem__(self, role: str) -> Session:
        """Raises BundleInvalid where there is no such role, DeviceError, MissingDependency, SessionError."""
        with self._lock:
            if role not in self._opened:
                self._opened[role] = self.runner.open(self._bundle, role)
            return self._opened[role]

    def run(self, role: str, feeds: Mapping[str, There]) -> dict[str, There]:
        """The outputs of that role by name, where the networks run."""
        return self.runner.run(self[role], feeds)

    def answer(self, role: str, feeds: Mapping[str, There]) -> dict[str, Array]:
        """The same as NumPy arrays."""
        return self.runner.answer(self[role], feeds)

    @property
    def info(self) -> Mapping[str, SessionInfo]:
        """What runs where: one line for each network that was opened."""
        with self._lock:
            return {role: session.info for role, session in self._opened.items()}
