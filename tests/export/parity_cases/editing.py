"""Networks around the edit: face parsing and artefact suppression."""

from __future__ import annotations

from tests.export.parity_cases.protocol import ParityCase

CASES: dict[str, ParityCase] = {}
