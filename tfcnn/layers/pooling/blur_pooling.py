"""Pooling that blurs before it leaves positions out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfcnn.arithmetic.integers import as_int


@keras.saving.register_keras_serializable(package="tfcnn")
class BlurPooling2D(keras.layers.Layer):
    """A binomial filter, and then one position of `strides`: sampling with less aliasing.

    Zhang, "Making convolutional networks shift-invariant again", 2019: a strided layer takes the blurred map of the
    layer with stride 1, so that a shift of the image by a pixel changes the answer less. Max pooling becomes
    `MaxPooling2D(2, strides=1)` and this layer, a strided convolution the convolution with stride 1, its activation and
    this layer. The border is mirrored, as in timm's BlurPool2d.

    Args:
        pool_size: side of the filter, odd; its weights are the binomial coefficients: 3 gives 1, 2, 1 over 4 along each
            axis.
        strides: 1 or more.

    Input shape:
        (batch, height, width, channels), floating point, at least pool_size // 2 + 1 pixels a side, channels known.

    Output shape:
        (batch, ceil(height / strides), ceil(width / strides), channels), same dtype.

    Raises:
        ValueError: an even pool_size, or an argument below 1.

    Example:
        >>> import keras
        >>> BlurPooling2D()(keras.ops.ones((1, 7, 8, 2))).shape
        TensorShape([1, 4, 4, 2])
    """

    def __init__(self, pool_size: int = 3, strides: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = as_int(pool_size, "pool_size")
        self.strides = as_int(strides, "strides")
        if self.pool_size % 2 == 0:
            raise ValueError(f"pool_size must be odd, got {self.pool_size}")
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        border = self.pool_size // 2
        borders = ((0, 0), (border, border), (border, border), (0, 0))
        padded = ops.pad(inputs, borders, mode="reflect") if border else inputs
        row = binomial(self.pool_size)
        kernel = np.tile(np.outer(row, row)[:, :, None, None], (1, 1, inputs.shape[-1], 1))
        kernel = ops.convert_to_tensor(kernel, self.compute_dtype)
        return ops.depthwise_conv(padded, kernel, self.strides, padding="valid")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, height, width, channels = input_shape
        smaller = (side and -(-side // self.strides) for side in (height, width))
        return (batch, *smaller, channels)

    def windows(self, input_shape: tuple, output_shape: tuple) -> list[tuple[int, int, int, int]]:
        """Kernel, stride, padding before and dilation along each axis; `tfcnn.receptive_field` calls it."""
        return [(self.pool_size, self.strides, self.pool_size // 2, 1)] * 2

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"pool_size": self.pool_size, "strides": self.strides}


def binomial(size: int) -> np.ndarray:
    """The binomial coefficients over their sum.

    >>> binomial(5).tolist()
    [0.0625, 0.25, 0.375, 0.25, 0.0625]
    """
    row = np.ones(1)
    for _ in range(size - 1):
        row = np.convolve(row, [0.5, 0.5])
    return row
