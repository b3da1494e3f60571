"""What a ring sends, against a ring that is played through."""

import numpy as np
import pytest

from tfcnn.arithmetic.collectives import ring_bytes


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8])
def test_a_ring_of_workers_that_sum_their_arrays(workers):
    arrays = np.random.default_rng(0).integers(0, 9, (workers, workers, 4))  # worker, part, number
    total = arrays.sum(0)
    sent = np.zeros(workers, int)
    for rounds, adds in ((workers - 1, True), (workers - 1, False)):
        for step in range(rounds):
            before = arrays.copy()
            for worker in range(workers):
                part = (worker - step + (0 if adds else 1)) % workers
                neighbour = (worker + 1) % workers
                arrays[neighbour, part] = before[worker, part] + (before[neighbour, part] if adds else 0)
                sent[worker] += before[worker, part].nbytes
    assert (arrays == total).all()
    assert set(sent) == {ring_bytes(total.nbytes, workers)}


def test_a_part_of_a_byte_counts_as_one():
    assert ring_bytes(10, 3) == 14
