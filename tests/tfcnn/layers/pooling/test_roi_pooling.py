"""What RoI pooling does with ties, NaN, regions that share cells, and regions beyond the map."""

import numpy as np
import pytest
import tensorflow as tf

from tests.tfcnn.layers.pooling_loops import roi_pooling
from tfcnn import layers

FORMS = {
    "eager": lambda function: function,
    "graph": lambda function: tf.function(function, autograph=False),
    "XLA": lambda function: tf.function(function, autograph=False, jit_compile=True),
}


def gradient(layer, maps, regions, form="eager"):
    """Of the sum of all pooled values for the maps."""

    def differentiate(maps):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            total = tf.reduce_sum(layer([maps, regions]))
        return tape.gradient(total, maps)

    return FORMS[form](differentiate)(tf.constant(maps)).numpy()


def regions_of(*rows):
    return np.array([rows], "float32")


@pytest.mark.parametrize("form", FORMS)
def test_the_first_of_equal_maxima_gets_the_gradient(form):
    """Four bins of 3 x 2 cells, all of the same value."""
    result = gradient(layers.RoIPooling2D(2, 1), np.ones((1, 6, 4, 1), "float32"), regions_of([0, 0, 4, 6]), form)
    expected = np.zeros((6, 4))
    expected[::3, ::2] = 1
    np.testing.assert_array_equal(result[0, ..., 0], expected)


def test_equal_maxima_of_a_long_bin_share_no_gradient():
    result = gradient(layers.RoIPooling2D(1, 1), np.ones((1, 11, 13, 2), "float32"), regions_of([0, 0, 13, 11]))
    assert sorted(result[0, ..., 0].ravel())[-2:] == [0, 1]


def test_gradients_of_regions_and_bins_that_share_a_cell_are_added():
    """Three bins of three cells overlap in the largest, the middle one of five; both regions have all three."""
    maps = np.array([0, 1, 9, 1, 0], "float32").reshape(1, 1, 5, 1)
    result = gradient(layers.RoIPooling2D((1, 3), 1), maps, regions_of([0, 0, 5, 1], [0, 0, 5, 1]))
    assert result.ravel().tolist() == [0, 2, 2, 2, 0]


@pytest.mark.parametrize("shape", [(1, 5, 6, 2), (1, 12, 17, 2)], ids=["short bins", "long bins"])
def test_nan_in_a_bin_gives_nan(shape):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=shape).astype("float32")
    maps[rng.random(shape) < 0.1] = np.nan
    regions = regions_of([0, 0, shape[2], shape[1]], [1, 2, 5, 5])
    np.testing.assert_allclose(
        layers.RoIPooling2D(2, 1)([maps, regions]), roi_pooling((2, 2), (1, 1))([], maps, regions)
    )


def test_windows_of_any_length_and_place_are_those_of_the_loop():
    """All regions with whole-numbered corners along one axis, in three bins of up to seven cells."""
    rng = np.random.default_rng(0)
    rows = [[low, 0, high, 1] for low in range(18) for high in range(low + 1, 19)]
    maps = rng.permutation(18).astype("float32").reshape(1, 1, 18, 1)
    pooled = layers.RoIPooling2D((1, 3), 1)([maps, regions_of(*rows)])
    np.testing.assert_array_equal(pooled, roi_pooling((1, 3), (1, 1))([], maps, regions_of(*rows)))


def test_a_region_smaller_than_a_cell_at_the_far_border_has_that_cell():
    maps = np.arange(4, dtype="float32").reshape(1, 2, 2, 1)
    assert layers.RoIPooling2D(1, 16)([maps, regions_of([24, 24, 32, 32])]).numpy().ravel().tolist() == [3]


def test_regions_beyond_the_map_and_padding_give_0():
    regions = regions_of([-9, 0, 0, 4], [4, 0, 9, 4], [0, 4, 4, 9], [-1, -1, -1, -1], [2, 1, 2, 4])
    assert not layers.RoIPooling2D(2, 1)([np.ones((1, 4, 4, 3), "float32"), regions]).numpy().any()


def test_half_precision_does_not_round_the_regions():
    """From pixel 1001, which neither float16 nor bfloat16 holds next to 1000.5, the window begins a cell later."""
    maps = np.arange(1024, dtype="float32").reshape(1, 1, 1024, 1) % 2
    regions = regions_of([1001, 0, 1002, 1], [1002, 0, 1003, 1])
    layer = layers.RoIPooling2D(1, 1, dtype="mixed_bfloat16")
    assert layer([maps, regions]).numpy().ravel().tolist() == [1, 0]
