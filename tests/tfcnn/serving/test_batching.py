"""Requests become batches, each gets its own rows, and what nobody waits for is not computed."""

import threading

import numpy as np
import pytest

from tfcnn.serving.batching import Batch, Batcher
from tfcnn.serving.limits import Refusal

SECONDS = 5  # until a future counts as forgotten


class Network:
    """Doubles its inputs; notes what it computes, and waits at a gate."""

    def __init__(self, closed=False):
        self.batches = []
        self.gate = threading.Event()
        self.began = threading.Event()
        if not closed:
            self.gate.set()

    def __call__(self, inputs, sizes):
        self.batches.append(list(inputs))
        self.began.set()
        assert self.gate.wait(SECONDS)
        return {"twice": 2 * np.array(inputs), "height": sizes[:, 0]}


def batch(*values):
    return Batch(list(values), np.array([(value, 1) for value in values], np.int32))


@pytest.fixture
def blocked():
    """A batcher of at most 4 examples whose network is busy with the example 0, and the network."""
    network = Network(closed=True)
    batcher = Batcher(network, largest=4, delay=0.001)
    first = batcher.submit(batch(0))
    assert network.began.wait(SECONDS)
    yield batcher, network
    network.gate.set()
    first.result(SECONDS)
    batcher.close()


def test_requests_of_unequal_size_share_a_batch_and_get_their_own_rows(blocked):
    batcher, network = blocked
    answers = [batcher.submit(batch(*values)) for values in ((1,), (2, 3), (4,))]
    network.gate.set()
    assert [answer.result(SECONDS)["twice"].tolist() for answer in answers] == [[2], [4, 6], [8]]
    assert [answer.result(SECONDS)["height"].tolist() for answer in answers] == [[1], [2, 3], [4]]
    assert network.batches == [[0], [1, 2, 3, 4]]


def test_a_batch_has_no_more_than_the_largest_number(blocked):
    batcher, network = blocked
    answers = [batcher.submit(batch(*values)) for values in ((1, 2, 3), (4, 5), (6,))]
    network.gate.set()
    for answer in answers:
        answer.result(SECONDS)
    assert network.batches == [[0], [1, 2, 3], [4, 5, 6]]


def test_a_request_of_more_examples_is_computed_in_parts(blocked):
    batcher, network = blocked
    answer = batcher.submit(batch(*range(1, 10)))
    network.gate.set()
    assert answer.result(SECONDS)["twice"].tolist() == list(range(2, 20, 2))
    assert [len(values) for values in network.batches] == [1, 4, 4, 1]


def test_a_cancelled_request_is_not_computed(blocked):
    batcher, network = blocked
    cancelled = batcher.submit(batch(1))
    other = batcher.submit(batch(2))
    assert cancelled.cancel()
    network.gate.set()
    assert other.result(SECONDS)["twice"].tolist() == [4]
    assert network.batches == [[0], [2]]


def test_a_batch_of_cancelled_requests_does_not_end_the_thread(blocked):
    batcher, network = blocked
    assert batcher.submit(batch(1)).cancel()
    network.gate.set()
    assert batcher.submit(batch(2)).result(SECONDS)["twice"].tolist() == [4]


def test_a_lone_request_waits_no_longer_than_the_delay():
    batcher = Batcher(Network(), largest=1000, delay=0.01)
    assert batcher.submit(batch(1)).result(SECONDS)["twice"].tolist() == [2]
    batcher.close()


def test_a_request_waits_for_others_until_the_delay_is_over():
    network = Network()
    batcher = Batcher(network, largest=2, delay=60)
    first = batcher.submit(batch(1))
    assert not network.began.wait(0.05)
    second = batcher.submit(batch(2))
    assert (first.result(SECONDS)["twice"], second.result(SECONDS)["twice"]) == ([2], [4])
    assert network.batches == [[1, 2]]
    batcher.close()


def test_an_error_reaches_its_requests_and_the_thread_lives_on():
    def fail_on_negative(inputs, sizes):
        if min(inputs) < 0:
            raise ArithmeticError("negative")
        return {"same": np.array(inputs)}

    batcher = Batcher(fail_on_negative, largest=1)
    with pytest.raises(ArithmeticError, match="negative"):
        batcher.submit(batch(-1)).result(SECONDS)
    assert batcher.submit(batch(1)).result(SECONDS)["same"].tolist() == [1]
    batcher.close()


def test_what_waits_is_computed_before_the_end_and_no_more_is_taken():
    network = Network()
    batcher = Batcher(network, largest=100, delay=60)
    answer = batcher.submit(batch(1))
    batcher.close()
    assert answer.result(0)["twice"].tolist() == [2]
    with pytest.raises(Refusal, match="shutting down"):
        batcher.submit(batch(2))


def test_the_sizes_of_batches_are_noted(blocked):
    sizes = []
    batcher = Batcher(Network(), largest=2, delay=60, note=sizes.append)
    batcher.submit(batch(1, 2, 3)).result(SECONDS)
    batcher.close()
    assert sizes == [2, 1]
