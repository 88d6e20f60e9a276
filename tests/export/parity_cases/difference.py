"""The difference network and the blend that its maps steer."""

from __future__ import annotations

from tests.export.parity_cases.protocol import ParityCase

CASES: dict[str, ParityCase] = {}
