"""Lp pooling: the p-norm of each window."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.integers import PerAxis, as_number
from tfcnn.layers.pooling import windows


class LpPooling(windows.WindowedLayer):
    """Base of `LpPooling1D`, `2D` and `3D`."""

    def __init__(
        self,
        pool_size: PerAxis = 2,
        strides: PerAxis | None = None,
        padding: str = "valid",
        p: float = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, **kwargs)
        if isinstance(p, bool) or not 1 <= p < math.inf:
            raise ValueError(f"p must be 1 or more and finite (for the maximum use max pooling), got {p}")
        self.p = as_number(p)

    def call(self, inputs: Any) -> Any:
        x = inputs if self.compute_dtype == "float64" else ops.cast(inputs, "float32")
        total = self._window_sums(ops.square(x) if self.p == 2 else ops.power(ops.abs(x), self.p))
        nonzero = ops.not_equal(total, 0)  # of NaN true
        safe = ops.where(nonzero, total, ops.ones_like(total))  # the root's slope at 0 is infinite
        root = ops.sqrt(safe) if self.p == 2 else ops.power(safe, 1 / self.p)
        return ops.cast(ops.where(nonzero, root, ops.zeros_like(root)), self.compute_dtype)

    def _window_sums(self, x: Any) -> Any:
        """One axis after the other, each as an average pooling of rank 2."""
        for i, along in enumerate(self.axes(ops.shape(x)[1:-1])):
            shape = ops.shape(x)
            flat = windows.split_at(shape, i)
            after = (along.count - 1) * along.stride + along.pool - along.before - along.size
            rows = windows.pad(ops.reshape(x, flat), along.before, after, 0)
            rows = ops.average_pool(rows[:, :, None], (along.pool, 1), (along.stride, 1)) * along.pool
            x = ops.reshape(rows, (*shape[: i + 1], along.count, *shape[i + 2 :]))
        return x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self.pooled_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"p": self.p}


@keras.saving.register_keras_serializable(package="tfcnn")
class LpPooling1D(LpPooling):
    """The p-norm of each window over time. As `LpPooling2D`.

    Args:
        pool_size, strides, padding: as in keras.layers.AveragePooling1D; cells of the padding count as 0.
        p: 1 or more.

    Input shape:
        (batch, steps, channels), floating point.

    Output shape:
        (batch, new steps, channels), the layer's dtype.

    Raises:
        ValueError: an argument is out of range, or padding is "valid" and the window larger than the input.

    Example:
        >>> import keras
        >>> LpPooling1D(2)(keras.ops.reshape([3.0, -4.0], (1, 2, 1))).numpy().item()
        5.0
    """

    dimensions = 1


@keras.saving.register_keras_serializable(package="tfcnn")
class LpPooling2D(LpPooling):
    """The p-norm of each window: `(sum of |x| ** p) ** (1 / p)`. p=2 is the L2-norm pooling of the lectures.

    p=1 is the sum; as p grows the maximum of |x| is approached. As torch.nn.LPPool2d, which leaves out the absolute
    value, wherever its sum of x ** p is a norm: p even, or no negative input. The gradient of a window of zeros is 0.
    A window with NaN gives NaN. Half precision is summed in float32.

    Args:
        pool_size, strides, padding: as in keras.layers.AveragePooling2D; cells of the padding count as 0.
        p: 1 or more.

    Input shape:
        (batch, height, width, channels), floating point.

    Output shape:
        (batch, new height, new width, channels), the layer's dtype.

    Raises:
        ValueError: an argument is out of range, or padding is "valid" and the window larger than the input.

    Example:
        >>> import keras
        >>> LpPooling2D(2, p=2)(keras.ops.reshape([1.0, -1.0, 5.0, 3.0], (1, 2, 2, 1))).numpy().item()
        6.0
    """

    dimensions = 2


@keras.saving.register_keras_serializable(package="tfcnn")
class LpPooling3D(LpPooling):
    """The p-norm of each window of a volume. As `LpPooling2D`.

    Args:
        pool_size, strides, padding: as in keras.layers.AveragePooling3D; cells of the padding count as 0.
        p: 1 or more.

    Input shape:
        (batch, depth, height, width, channels), floating point.

    Output shape:
        (batch, new depth, new height, new width, channels), the layer's dtype.

    Raises:
        ValueError: an argument is out of range, or padding is "valid" and the window larger than the input.

    Example:
        >>> import keras
        >>> LpPooling3D(2, p=1)(-keras.ops.ones((1, 2, 2, 2, 1))).numpy().item()
        8.0
    """

    dimensions = 3
