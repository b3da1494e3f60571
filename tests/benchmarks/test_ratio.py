import numpy as np
import pytest

from benchmarks.ratio import compare

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("rounds", [2, 5, 8])
def test_medians_and_the_middle_half_of_single_rounds(rounds):
    first, second = RNG.uniform(1, 9, (2, rounds))
    ratio, low, high = compare(first, second)
    assert ratio == pytest.approx(np.median(first) / np.median(second))
    assert (low, high) == pytest.approx(tuple(np.quantile(first / second, [0.25, 0.75])))
