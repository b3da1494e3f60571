"""Networks of one layer with Keras' kernels and with those of tfcnn.training.fused_kernels."""

import keras
import numpy as np
import tensorflow as tf

from tfcnn.training.fused_kernels import accelerate

RNG = np.random.default_rng(0)


def changes(**counts):
    return {"batch norms": 0, "convolutions": 0, "depthwise convolutions": 0} | {
        name.replace("_", " "): count for name, count in counts.items()
    }


def twins(make, shape):
    """A network of one layer, as Keras runs it and accelerated, with equal weights other than 0 and 1."""
    pair = []
    for _ in range(2):
        layer = make()
        inputs = keras.Input(shape)
        pair.append(keras.Model(inputs, layer(inputs)))
    weights = [RNG.uniform(0.5, 1.5, weight.shape) for weight in pair[0].weights]
    for model in pair:
        model.set_weights(weights)
    changed = accelerate(pair[1])
    return (*pair, changed)


def run(model, x, upstream, training):
    """Output, gradients by the input and by the weights that train, and the weights after it."""

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=training)
            total = tf.reduce_sum(tf.cast(y, tf.float32) * upstream)
        return y, tape.gradient(total, [x, *(weight.value for weight in model.trainable_weights)])

    output, gradients = step(tf.constant(x))
    return [np.asarray(value, "float32") for value in (output, *gradients, *model.weights)]


def check(first, second, x, training, rtol=1e-5):
    upstream = RNG.normal(size=first.compute_output_shape(x.shape)).astype("float32")
    expected = run(first, x, upstream, training)
    actual = run(second, x, upstream, training)
    assert len(expected) == len(actual) > 2
    for a, b in zip(expected, actual, strict=True):
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * np.abs(a).max())


def graph_of(model, shape):
    """The operations of a training pass."""
    return tf.function(model).get_concrete_function(tf.TensorSpec(shape), training=True).graph.get_operations()


def types(model, shape):
    return {operation.type for operation in graph_of(model, (None, *shape))}
