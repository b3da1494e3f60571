"""Locally connected layers: no sharing, Keras 2's layout, a variance that fits one position."""

import keras
import numpy as np
import pytest

from tfcnn.layers import LocallyConnected1D, LocallyConnected2D, PaddedConv2D


def test_equals_a_convolution_when_every_position_has_the_same_kernel():
    x = np.random.default_rng(0).normal(size=(2, 8, 9, 3)).astype("float32")
    how = {"kernel_size": 3, "strides": 2, "dilation_rate": 2, "padding": 1, "padding_mode": "circular"}
    shared = PaddedConv2D(4, **how)
    local = LocallyConnected2D(4, **how)
    expected = shared(x)
    local.build(x.shape)
    kernel, bias = shared.get_weights()
    places = expected.shape[1] * expected.shape[2]
    kernels = np.tile(kernel.reshape(1, -1, 4), (places, 1, 1))
    local.set_weights([kernels, np.tile(bias, (*expected.shape[1:3], 1))])
    np.testing.assert_allclose(local(x), expected, rtol=1e-4, atol=1e-5)


def test_weights_have_the_shapes_of_keras_2():
    layer = LocallyConnected2D(64, (3, 3))
    layer.build((None, 32, 32, 3))
    assert [w.shape for w in layer.weights] == [(900, 27, 64), (30, 30, 64)]
    layer = LocallyConnected1D(64, 3)
    layer.build((None, 10, 32))
    assert [w.shape for w in layer.weights] == [(8, 96, 64), (8, 64)]


@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_normal", "lecun_uniform"])
def test_initial_variance_is_that_of_a_convolution(initializer):
    local = LocallyConnected2D(16, 3, kernel_initializer=initializer)
    shared = keras.initializers.get(initializer)
    local.build((None, 20, 20, 8))
    assert np.std(local.get_weights()[0]) == pytest.approx(np.std(shared((3, 3, 8, 16))), rel=0.1)


def test_positions_start_with_different_kernels():
    layer = LocallyConnected2D(2, 3)
    layer.build((None, 5, 5, 1))
    kernels = layer.get_weights()[0]
    assert len(np.unique(kernels.round(6))) == kernels.size


def test_an_unknown_size_is_named():
    with pytest.raises(ValueError, match="known size"):
        LocallyConnected2D(2, 3)(keras.Input((None, 8, 1)))
