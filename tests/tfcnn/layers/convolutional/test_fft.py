"""Convolution in the frequency domain against the direct one, on tiles of every kind."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcnn.layers import FFTConv2D, PaddedConv2D


@pytest.mark.parametrize("seed", range(10))
def test_equals_direct_convolution_on_random_cases(seed):
    rng = np.random.default_rng(seed)

    def draw(low, high):
        return tuple(int(n) for n in rng.integers(low, high, size=2))

    how = {"kernel_size": draw(1, 8), "strides": draw(1, 4), "dilation_rate": draw(1, 3), "padding": draw(0, 5)}
    how["padding_mode"] = str(rng.choice(["zero", "replicate", "reflect", "circular"]))
    fast = FFTConv2D(3, tile=rng.choice([None, 18, 25]), **how)
    direct = PaddedConv2D(3, **how)
    x = tf.constant(rng.normal(size=(2, *draw(16, 40), 2)), "float32")
    fast(x), direct(x)
    fast.set_weights(direct.get_weights())

    def values_and_gradients(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            loss = tf.reduce_sum(tf.sin(outputs))
        return [outputs, *tape.gradient(loss, [x, layer.kernel.value, layer.bias.value])]

    for actual, expected in zip(values_and_gradients(fast), values_and_gradients(direct), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5 * max(1, np.abs(expected).max()))

    open_layer = keras.Input((None, None, 2))
    open_model = keras.Model(open_layer, fast(open_layer))
    np.testing.assert_allclose(open_model(x), direct(x), atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_rounded_once(policy):
    """The spectrum is computed in float32, so that the result is as good as the rounding of the exact one."""
    x = np.random.default_rng(0).normal(size=(2, 40, 40, 8)).astype("float32")
    fast = FFTConv2D(4, 9, dtype=policy, use_bias=False)
    exact = FFTConv2D(4, 9, use_bias=False)
    fast(x), exact(x)
    fast.kernel.assign(tf.cast(tf.cast(exact.kernel, fast.compute_dtype), "float32"))
    exact.kernel.assign(fast.kernel)
    expected = exact(np.asarray(tf.cast(tf.cast(x, fast.compute_dtype), "float32")))
    np.testing.assert_allclose(tf.cast(fast(x), "float32"), expected, rtol=2**-8, atol=1e-5)


def test_weights_are_those_of_a_convolution():
    x = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    ours = FFTConv2D(4, 11, padding="half")
    theirs = keras.layers.Conv2D(4, 11, padding="same")
    expected = theirs(x)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), expected, atol=1e-4)


def test_a_tile_too_small_is_named():
    with pytest.raises(ValueError, match="tile must be 11"):
        FFTConv2D(4, 5, strides=3, dilation_rate=2, tile=10)
