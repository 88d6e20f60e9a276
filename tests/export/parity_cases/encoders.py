"""Encoders from a picture to latents, and the identity network."""

from __future__ import annotations

from tests.export.parity_cases.protocol import ParityCase

CASES: dict[str, ParityCase] = {}
