"""The gradient of a bias is the sum of what comes back to it, in every number format."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfcnn
from tfcnn.config import Config
from tfcnn.training.bias_gradients import correct_bias_gradients
from tfcnn.training.precision import use_dtype_policy

LAYERS = [
    (lambda: layers.Conv1D(4, 3), (400, 3)),
    (lambda: layers.Conv2D(4, 3, padding="same"), (20, 20, 3)),
    (lambda: layers.Conv2D(4, 1), (20, 20, 3)),
    (lambda: layers.Conv2D(4, 3, 2, activation="relu"), (40, 40, 3)),
    (lambda: layers.Conv3D(4, 3), (10, 10, 10, 2)),
    (lambda: layers.Conv2DTranspose(4, 2, 2), (10, 10, 3)),
    (lambda: layers.DepthwiseConv2D(3), (20, 20, 4)),
    (lambda: layers.SeparableConv2D(4, 3), (20, 20, 3)),
    (lambda: layers.Dense(4), (20, 20, 3)),
    (lambda: tfcnn.layers.SpatiallySeparableConv2D(4, 3), (20, 20, 3)),
]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_the_gradient_of_a_bias(make, shape, precision, compiled):
    """TensorFlow's kernel for bfloat16 on CPUs stops at 256."""
    with use_dtype_policy(Config(precision=precision)):
        inputs = keras.Input(shape)
        model = keras.Model(inputs, make()(inputs))
    x = tf.random.stateless_normal((16, *shape), (1, 2))
    outputs = np.asarray(tf.cast(model(x), "float32"))
    upstream = np.random.default_rng(0).integers(1, 5, outputs.shape) / 4
    (bias,) = [weight for weight in model.trainable_weights if weight.name == "bias"]

    def gradient(x):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tf.cast(model(x), "float32") * upstream.astype("float32"))
        return tape.gradient(total, bias.value)

    flows = outputs > 0 if getattr(model.layers[-1], "activation", None) is keras.activations.relu else 1
    expected = (upstream * flows).sum(tuple(range(outputs.ndim - 1)))
    assert expected.min() > 512
    actual = (tf.function(gradient) if compiled else gradient)(x)
    np.testing.assert_allclose(actual, expected, rtol=2**-7)


def test_channels_first_and_once_only():
    correct_bias_gradients()
    correct_bias_gradients()
    bias = tf.zeros([3], "bfloat16")
    with tf.GradientTape() as tape:
        tape.watch(bias)
        outputs = tf.nn.bias_add(tf.ones([2, 3, 40, 40], "bfloat16"), bias, "NCHW")
    np.testing.assert_array_equal(tf.cast(tape.gradient(outputs, bias), "float32"), [3200] * 3)
