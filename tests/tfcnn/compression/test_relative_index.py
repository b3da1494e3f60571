import numpy as np
import pytest

from tfcnn.compression.relative_index import gaps_of, places_of


def relative(flat, bits):
    """Figure 2 of the paper as a loop: (zeros before, value) of each stored weight, a filler being zero."""
    entries = []
    zeros = 0
    for value in flat:
        if value or zeros == 2**bits - 1:
            entries.append((zeros, value))
            zeros = 0
        else:
            zeros += 1
    while entries and entries[-1][1] == 0:
        entries.pop()
    return entries


@pytest.mark.parametrize("bits", [0, 1, 3, 8])
@pytest.mark.parametrize("density", [0, 0.01, 0.3, 1])
def test_gaps_and_fillers_are_those_of_the_loop(bits, density):
    rng = np.random.default_rng(bits)
    flat = (rng.random(2000) < density) * rng.integers(1, 9, 2000)
    places = np.flatnonzero(flat)
    gaps = gaps_of(places, bits)
    values = np.zeros(len(gaps.zeros), int)
    values[gaps.is_weight] = flat[places]
    assert list(zip(gaps.zeros.tolist(), values.tolist(), strict=True)) == relative(flat.tolist(), bits)
    np.testing.assert_array_equal(places_of(gaps.zeros)[gaps.is_weight], places)
