"""Runs the program `mien` in this process, as a shell would, and says what came of it."""

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from mien import cli


@dataclass(frozen=True)
class Outcome:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        """What --json printed."""
        return json.loads(self.out)


class Program:
    """Call it with the words of a command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        monkeypatch.delenv("MIEN_DEBUG", raising=False)

    def __call__(self, *words: object) -> Outcome:
        self._monkeypatch.setattr(sys, "argv", ["mien", *map(str, words)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
            raise SystemExit(0)
        code = end.value.code
        shown = self._capsys.readouterr()
        return Outcome(code if isinstance(code, int) else 0, shown.out, shown.err)
