import numpy as np
import pytest
import tensorflow as tf

from pipelines.augmentation import partition


@pytest.mark.parametrize("choice", [[0, 2, 1, 1, 0, 2], [0] * 6, [2] * 6])
def test_each_example_is_changed_by_its_own_choice(choice):
    examples = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
    amounts = np.arange(6, dtype=np.float32)

    def add(some, by):
        return some + by[:, None, None]

    def negate(some, by):
        return -some * by[:, None, None]

    rows = tf.constant(examples), tf.constant(choice), [add, negate], tf.constant(amounts)
    result = tf.function(partition.change)(*rows)
    for i, chosen in enumerate(choice):
        expected = (examples[i], examples[i] + amounts[i], -examples[i] * amounts[i])[chosen]
        np.testing.assert_array_equal(result[i], expected)


def test_shape_and_type_are_known_in_a_graph():
    dataset = tf.data.Dataset.from_tensors(tf.zeros([4, 3, 2], tf.uint8))
    dataset = dataset.map(lambda x: partition.change(x, x[:, 0, 0] > 0, [lambda some: some + 1]))
    assert (dataset.element_spec.shape, dataset.element_spec.dtype) == ((4, 3, 2), tf.uint8)
