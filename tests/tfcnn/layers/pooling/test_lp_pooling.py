"""Lp pooling: at zero, and in half precision."""

import numpy as np
import pytest
import tensorflow as tf

from tfcnn import layers


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_gradient_is_finite_at_zero(p):
    x = tf.zeros((1, 4, 4, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layers.LpPooling2D(p=p)(x))
    np.testing.assert_array_equal(tape.gradient(y, x), np.zeros(x.shape))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_squares_do_not_overflow_half_precision(dtype):
    y = layers.LpPooling2D(dtype=dtype)(tf.fill((1, 2, 2, 1), 1000.0))
    assert y.dtype == dtype
    assert float(y[0, 0, 0, 0]) == 2000.0
