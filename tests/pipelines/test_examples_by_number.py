"""The inputs of examples by their number, and the order of an epoch."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines.sources import Stream
from tests.pipelines.files import two_classes


@pytest.mark.slow
def test_inputs_by_number_are_those_of_the_evaluation():
    data = pipelines.load("digits", batch_size=32)
    (images, _) = next(iter(data.evaluation("test")))
    np.testing.assert_array_equal(data.inputs("test", tf.constant([5, 2, 5], tf.int64)), images.numpy()[[5, 2, 5]])


@pytest.mark.slow
def test_the_order_of_an_epoch_has_each_example_once():
    data = pipelines.load("digits", batch_size=32, augmentation="none")
    first, second = (data.order(tf.constant(epoch, tf.int64)).numpy() for epoch in (0, 1))
    assert first.shape == (data.steps_per_epoch, 32)
    assert len(set(first.ravel())) == first.size
    assert (first != second).any()
    (images, _) = next(iter(data.train(1)))
    np.testing.assert_array_equal(data.inputs("train", tf.constant(first[0])), images)


def test_inputs_of_files_by_number_are_those_of_the_evaluation(tmp_path):
    rng = np.random.default_rng(0)
    two_classes(tmp_path, lambda label, number: rng.integers(0, 256, (40, 50, 3), np.uint8))
    data = pipelines.load(str(tmp_path), image_size=32, batch_size=4)
    (images, _) = next(iter(data.evaluation("train")))
    np.testing.assert_array_equal(data.inputs("train", tf.constant([3, 0], tf.int64)), images.numpy()[[3, 0]])


def test_inputs_of_a_stream_are_refused():
    data = pipelines.load("digits", batch_size=32)
    streamed = dataclasses.replace(data, source=Stream({}, data.sizes, 1.0, 0))
    with pytest.raises(pipelines.BadData, match=r"'digits' is read by number.*data_memory"):
        streamed.inputs("train", tf.constant([0], tf.int64))
