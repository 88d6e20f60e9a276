"""Every network against what its public implementation computes with the same weights and inputs.

Runs each case of ``tests/goldens``, or of the folders that ``MIEN_PARITY`` names (several: divided as in PATH).
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.export import filling
from tests.export.comparing import TOLERANCE, Row, compared, complaint
from tests.export.parity_cases import CASES
from tests.export.parity_cases.protocol import ParityCase

GOLDENS = Path(__file__).parents[1] / "goldens"
ASKED = [Path(p) for p in os.environ.get("MIEN_PARITY", "").split(os.pathsep) if p]
FOLDERS = ASKED or [GOLDENS]
FILES = [file for folder in FOLDERS for file in sorted(folder.glob("*.json"))]

HEAVY = {"eogi_deghost"}
"""Cases of our own for scripts/test-slow alone: half a minute each. A folder that was asked for runs as a whole."""


def marks(file: Path) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if not ASKED and file.stem in HEAVY else []


def architecture(name: str) -> ParityCase:
    """By the name in the json; one that nobody wrote is a failure, never a skip."""
    if name not in CASES:
        pytest.fail(f"Nothing builds the network {name!r}. Known are: {', '.join(sorted(CASES))}.", pytrace=False)
    return CASES[name]


def rows_of(case: Mapping[str, Any], golden: Mapping[str, Any]) -> tuple[Row, ...]:
    """Build, fill, load strictly, run, compare."""
    network = architecture(case["network"])
    module = network.build(case["constructor"] or {})
    if module is not None:
        module.load_state_dict(filling.weights(case), strict=True)
        module.eval()
    with torch.inference_mode():
        outputs = network.run(module, case, filling.inputs(case))
    return compared(case, golden, outputs)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_holds_cases(folder: Path) -> None:
    """Or everything below would pass on nothing."""
    assert list(folder.glob("*.json")), f"{folder} holds no parity case (*.json)."


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem, marks=marks(file)) for file in FILES])
def test_parity(file: Path, record_property: Callable[[str, object], None]) -> None:
    case = json.loads(file.read_text("utf-8"))
    with np.load(file.with_suffix(".npz")) as golden:
        rows = rows_of(case, golden)
    gc.collect()  # a gigabyte of weights must be gone before the next case draws its own
    assert rows, f"{file.name} names no outputs."
    tolerance = case.get("suggested_tolerance", TOLERANCE)
    for row in rows:
        record_property(row.name, row.error)
        print(f"{file.stem:32} {row.name:24} {row.error:.2e}  (tolerance {tolerance:.0e})")
    message = complaint(rows, tolerance)
    if message:
        pytest.fail(f"{file.stem}: {message}", pytrace=False)
