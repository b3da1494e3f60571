"""The trainable subsampling of LeNet-5."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.integers import as_int


@keras.saving.register_keras_serializable(package="tfcnn")
class Subsampling2D(keras.layers.Layer):
    """Average pooling with one trainable coefficient and one bias a map.

    `activation(coefficient * sum of the window + bias)`, over windows that do not overlap: LeCun, Bottou, Bengio &
    Haffner, "Gradient-based learning applied to document recognition", 1998, section II.B (layers S2 and S4). The sum
    is the average here; the coefficient absorbs the window's constant size.

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

    def __init__(self, pool_size: int = 2, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = as_int(pool_size, "pool_size")
        self.activation = keras.activations.get(activation)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: tuple) -> None:
        self.coefficient = self.add_weight((input_shape[-1],), "ones", name="coefficient")
        self.bias = self.add_weight((input_shape[-1],), "zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        pooled = ops.average_pool(inputs, self.pool_size, self.pool_size)
        return self.activation(ops.add(pooled * self.coefficient, self.bias))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, height, width, channels = input_shape
        smaller = (side and side // self.pool_size for side in (height, width))
        return (batch, *smaller, channels)

    def get_config(self) -> dict[str, Any]:
        activation = keras.activations.serialize(self.activation)
        return super().get_config() | {"pool_size": self.pool_size, "activation": activation}
