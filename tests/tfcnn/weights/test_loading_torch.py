import pytest

from benchmarks import parity

CASES = [case for case in parity.CASES if case.library != "keras.applications"]


@pytest.mark.torch
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.arch}-{case.library}-{case.reference}")
def test_parity(case):
    error, spread = parity.parity(case)
    assert spread > 0.05  # two images differ
    assert error < parity.LIMIT
