"""Every architecture that the parity test can build, by the name that the cases' json files call it."""

from importlib import import_module
from pathlib import Path

from tests.export.parity_cases.protocol import ParityCase

CASES: dict[str, ParityCase] = {}
for _file in sorted(Path(__file__).parent.glob("*.py")):
    if _file.stem in ("__init__", "protocol"):
        continue
    _cases: dict[str, ParityCase] = import_module(f"{__name__}.{_file.stem}").CASES
    _twice = CASES.keys() & _cases.keys()
    assert not _twice, f"Two families claim {sorted(_twice)}."
    CASES |= _cases
