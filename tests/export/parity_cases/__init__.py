"""Every architecture that the parity test can build, by the name that the cases' json files call it."""

from tests.export.parity_cases import difference, editing, encoders, synthesis
from tests.export.parity_cases.protocol import ParityCase

CASES: dict[str, ParityCase] = {}
for _family in (editing, encoders, difference, synthesis):
    _twice = CASES.keys() & _family.CASES.keys()
    assert not _twice, f"Two families claim {sorted(_twice)}."
    CASES |= _family.CASES
