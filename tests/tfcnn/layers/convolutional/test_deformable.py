"""Deformable convolution where its result is known without interpolation."""

import numpy as np
import pytest
import tensorflow as tf

from tfcnn.layers import DeformableConv2D, PaddedConv2D


@pytest.mark.parametrize("how", [{}, {"strides": 2, "dilation_rate": 2, "padding": "half", "padding_mode": "circular"}])
def test_starts_as_the_ordinary_convolution(how):
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    deformable = DeformableConv2D(4, 3, **how)
    ordinary = PaddedConv2D(4, 3, **how)
    actual = deformable(x)
    ordinary.build(x.shape)
    ordinary.set_weights([deformable.kernel, deformable.bias])
    np.testing.assert_allclose(actual, ordinary(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, -2), (3, 1), (-20, 0)])
def test_whole_offsets_are_a_shift_with_zeros_from_outside(down, right):
    x = np.random.default_rng(0).normal(size=(1, 6, 7, 2)).astype("float32")
    layer = DeformableConv2D(3, 1)
    layer.build(x.shape)
    layer.offset_bias.assign([down, right])
    shifted = np.zeros_like(x)
    for i, j in np.ndindex(6, 7):
        if 0 <= i + down < 6 and 0 <= j + right < 7:
            shifted[:, i, j] = x[:, i + down, j + right]
    np.testing.assert_allclose(layer(x), shifted @ np.asarray(layer.kernel)[0, 0], rtol=1e-4, atol=1e-5)


def test_offsets_learn_from_their_start_at_zero():
    x = tf.random.stateless_normal((2, 8, 8, 2), [0, 1])
    layer = DeformableConv2D(3, 3, padding="half")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    gradients = tape.gradient(loss, [layer.offset_kernel.value, layer.offset_bias.value])
    assert all(np.abs(g).min() > 0 for g in gradients)


def test_coordinates_are_exact_in_float16():
    """Column 1500 and a half does not exist in float16."""
    x = np.zeros((1, 1, 2048, 1), "float16")
    x[0, 0, 1500] = 1
    layer = DeformableConv2D(1, 1, dtype="mixed_float16", kernel_initializer="ones")
    layer.build(x.shape)
    layer.offset_bias.assign([0.0, 0.25])
    row = np.asarray(layer(x))[0, 0, :, 0]
    assert (row[1499], row[1500], row[1498]) == (0.25, 0.75, 0)
