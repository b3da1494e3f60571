"""The mlpconv layer against the convolutions that the paper writes it as."""

import keras
import numpy as np
import pytest

from tfcnn.layers import MLPConv2D


def test_equals_a_convolution_and_two_1x1_convolutions():
    layer = MLPConv2D(6, 5, units=(5, 4), padding="same")
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    actual = layer(x)
    net = keras.Sequential(
        [keras.layers.Conv2D(n, k, padding="same", activation="relu") for n, k in ((6, 5), (5, 1), (4, 1))]
    )
    net.build(x.shape)
    net.set_weights(layer.get_weights())
    np.testing.assert_allclose(actual, net(x), rtol=1e-4, atol=1e-5)


def test_regularisers_and_constraints_reach_every_convolution():
    layer = MLPConv2D(4, 3, kernel_regularizer="l2", kernel_constraint="non_neg")
    layer(np.ones((1, 5, 5, 2), "float32"))
    assert len(layer.losses) == 3
    kernels = [w for w in layer.trainable_weights if w.name == "kernel"]
    assert len(kernels) == 3
    assert all(w.constraint is not None for w in kernels)


@pytest.mark.parametrize("units", [(), (3, 0)])
def test_impossible_units_are_named(units):
    with pytest.raises(ValueError, match="units"):
        MLPConv2D(4, 3, units)
