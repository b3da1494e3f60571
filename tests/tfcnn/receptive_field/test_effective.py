"""The effective field of a network whose gradient is known, and against the theoretical field."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.tfcnn.receptive_field.chain import chain
from tfcnn.receptive_field.effective import empirical_receptive_field
from tfcnn.receptive_field.theoretical import receptive_field, window


def test_the_empirical_field_of_a_linear_network_is_its_kernel():
    """Two 3x3 averages in a row: the triangle 1 2 3 2 1 along each axis."""
    model = chain((16, 12, 1), *(layers.Conv2D(1, 3, padding="same", use_bias=False) for _ in range(2)))
    for weight in model.weights:
        weight.assign(ops.ones_like(weight))
    expected = np.zeros((16, 12))
    triangle = np.array([1, 2, 3, 2, 1]) / 3
    expected[6:11, 4:9] = np.outer(triangle, triangle)
    np.testing.assert_allclose(empirical_receptive_field(model, images=2), expected, rtol=1e-6)


@pytest.fixture(scope="module")
def nested_model():
    """Four 3x3 convolutions in a model inside the model: a field of 9."""
    keras.utils.set_random_seed(0)
    inner = chain((None, None, 3), *(layers.Conv2D(4, 3, padding="same", activation="relu") for _ in range(4)))
    return chain((33, 33, 3), inner, layers.Flatten(), layers.Dense(2))


def test_the_empirical_field_is_inside_the_theoretical_one_and_smaller(nested_model):
    field = empirical_receptive_field(nested_model)
    (top, bottom), (left, right) = window(nested_model)
    assert (bottom - top + 1, right - left + 1) == receptive_field(nested_model).size == (9, 9)
    inside = field[top : bottom + 1, left : right + 1]
    assert field.max() == 1
    assert field.sum() == pytest.approx(inside.sum())
    assert inside[[0, 8]].mean() < 0.4 * inside[4].mean()


def test_the_empirical_field_repeats(nested_model):
    np.testing.assert_array_equal(empirical_receptive_field(nested_model), empirical_receptive_field(nested_model))


def test_a_layer_without_positions(nested_model):
    with pytest.raises(ValueError, match="has no positions"):
        empirical_receptive_field(nested_model, nested_model.layers[-1])


def test_an_input_of_unknown_size():
    with pytest.raises(ValueError, match="images of a known size"):
        empirical_receptive_field(chain((None, None, 1), layers.Conv2D(1, 3)))
