"""The trainable subsampling of LeNet-5."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfcnn")
class Subsampling2D(keras.layers.Layer):
    """Average pooling with one trainable coefficient and one bias a map.

    `activation(coefficient * sum of the window + bias)`, over windows that do not overlap: LeCun, Bottou, Bengio &
    Haffner, "Gradient-based learning applied to document recognition", 1998, section II.B (layers S2 and S4). The sum
    is taken as the average times a coefficient, which differs by the window's constant size only.

    Args:
        pool_size: side of the square window and stride, in pixels, 1 or more.
        activation: name of a Keras activation, or a function; None for none.

    Input shape:
        (batch, height, width, channels), floating point.

    Output shape:
        (batch, height // pool_size, width // pool_size, channels), same dtype.

    Raises:
        ValueError: pool_size below 1.

    Example:
        >>> import keras
        >>> Subsampling2D()(keras.ops.ones((1, 28, 28, 6))).shape
        TensorShape([1, 14, 14, 6])
    """

    def __init__(self, pool_size=2, activation=None, **kwargs):
        super().__init__(**kwargs)
        if pool_size < 1:
            raise ValueError(f"pool_size must be 1 or more, got {pool_size}")
        self.pool_size = pool_size
        self.activation = keras.activations.get(activation)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        self.coefficient = self.add_weight((input_shape[-1],), "ones", name="coefficient")
        self.bias = self.add_weight((input_shape[-1],), "zeros", name="bias")

    def call(self, inputs):
        pooled = ops.average_pool(inputs, self.pool_size, self.pool_size)
        return self.activation(pooled * self.coefficient + self.bias)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        smaller = (side and side // self.pool_size for side in (height, width))
        return (batch, *smaller, channels)

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return super().get_config() | {"pool_size": self.pool_size, "activation": activation}
