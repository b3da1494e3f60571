"""Batch norm over the examples of several devices.

Keras exchanges the sum, the sum of squares and the count of each layer in three exchanges, and their gradients in three
more. Here they are one and one: each device sends its means and variances, and its sums of the gradients.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from tfcnn.training.batch_statistics import batch_norms
from tfcnn.training.fused_kernels import normalises_channels


@contextlib.contextmanager
def synchronised(model: keras.Model) -> Iterator[None]:
    """Within this context, in which a step is traced, batch norms use the statistics of all devices.

    No longer than that: `synchronized` would be written into the file of the model, where it serves nobody.
    """
    layers = batch_norms(model)
    plain = [layer for layer in layers if normalises_channels(layer)]
    for layer in layers:
        layer.synchronized = True
    for layer in plain:
        layer.call = partial(_batch_norm, layer)
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = False
        for layer in plain:
            del layer.call


def _batch_norm(
    layer: keras.layers.BatchNormalization, inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    """The outputs and statistics of keras.layers.BatchNormalization.call, on each of several devices.

    With a mask the layer's own call remains.
    """
    if mask is not None or not (training and layer.trainable):
        return type(layer).call(layer, inputs, training=training, mask=mask)
    x = keras.ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
    gamma = tf.cast(layer.gamma if layer.scale else tf.ones(x.shape[-1:]), x.dtype)
    beta = tf.cast(layer.beta if layer.center else tf.zeros(x.shape[-1:]), x.dtype)
    outputs, mean, variance = normalise(x, gamma, beta, layer.epsilon)
    for moving, new in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + tf.cast(new, moving.dtype) * (1 - layer.momentum))
    return tf.cast(outputs, inputs.dtype)


def normalise(x: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Normalised (n, ..., c), and the means and variances (c,) over all devices, each of which has as many values.

    The gradient is that of Ioffe & Szegedy 2015 (arXiv:1502.03167, section 3), its sums over all devices; none flows
    through the returned means and variances. Those by `gamma` and `beta` are of this device's values.
    """
    context = tf.distribute.get_replica_context()
    devices = context.num_replicas_in_sync
    axes = list(range(x.shape.rank - 1))

    def add(values: Any) -> Any:
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

    @tf.custom_gradient
    def compute(x: Any, gamma: Any, beta: Any) -> tuple:
        place = tf.one_hot(context.replica_id_in_sync_group, devices, dtype=x.dtype)
        own = tf.stack(tf.nn.moments(x, axes))
        means, variances = tf.unstack(add(place[:, None, None] * own), axis=1)  # (devices, c)
        mean = tf.reduce_mean(means, 0)
        variance = tf.reduce_mean(variances + tf.square(means - mean), 0)
        scale = tf.math.rsqrt(variance + epsilon)

        def gradient(upstream: Any, *_: Any) -> tuple:
            by_beta = tf.reduce_sum(upstream, axes)
            by_gamma = (tf.reduce_sum(upstream * x, axes) - by_beta * mean) * scale
            count = tf.cast(devices * tf.size(x) // x.shape[-1], x.dtype)
            mean_by_beta, mean_by_gamma = tf.unstack(add(tf.stack([by_beta, by_gamma])) / count)
            slope = gamma * scale * scale * mean_by_gamma
            by_x = upstream * (gamma * scale) - x * slope + (mean * slope - gamma * scale * mean_by_beta)
            return by_x, by_gamma, by_beta

        return (tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon), mean, variance), gradient

    return compute(x, gamma, beta)
