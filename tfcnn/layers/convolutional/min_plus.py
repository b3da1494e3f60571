"""Convolution with sums for products and the minimum for the sum: dynamic programming, a layer a step."""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.costs import ConvCost
from tfcnn.arithmetic.integers import PerAxis, as_int, as_tuple


@keras.saving.register_keras_serializable(package="tfcnn")
class MinPlusConv2D(keras.layers.Layer):
    """The least sum of an input value and a weight over each window and all channels.

    `output[y, x, f] = min over dy, dx, c of input[y + dy, x + dx, c] + kernel[dy, dx, c, f]`: the convolution of the
    tropical semiring, in which distances add along a path and the shortest path counts. Applied again and again with
    one kernel, the lengths of the steps, it is Bellman and Ford's algorithm on the grid: after n layers it has the
    shortest paths of at most n steps. With one channel it is grey-scale erosion by the negative kernel. Stride 1;
    beyond the map all is infinitely far.

    Args:
        filters: number of output maps.
        kernel_size: an integer, or one for each axis; the window reaches (size - 1) // 2 back and size // 2 ahead.
        kernel_initializer: zeros, by default: the minimum of the window.
        kernel_constraint: as of Keras' Conv2D.

    Input shape:
        (batch, height, width, channels), floating point.

    Output shape:
        (batch, height, width, filters), of the layer's compute dtype.

    Raises:
        ValueError: filters or kernel_size below 1.

    Example:
        >>> import keras
        >>> MinPlusConv2D(1)(keras.ops.reshape([5.0, 1.0, 4.0, 9.0], (1, 1, 4, 1))).numpy().ravel().tolist()
        [1.0, 1.0, 1.0, 4.0]
    """

    def __init__(
        self,
        filters: int,
        kernel_size: PerAxis = 3,
        kernel_initializer: Any = "zeros",
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = as_int(filters, "filters")
        self.kernel_size = as_tuple(kernel_size, 2, "kernel_size")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: tuple) -> None:
        self.kernel = self.add_weight(
            (*self.kernel_size, input_shape[-1], self.filters),
            self.kernel_initializer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: input_shape[-1]})

    def call(self, inputs: Any) -> Any:
        height, width = ops.shape(inputs)[1:3]
        borders = [((side - 1) // 2, side // 2) for side in self.kernel_size]
        padded = ops.pad(inputs, ((0, 0), *borders, (0, 0)), constant_values=math.inf)
        least = None
        for y, x in itertools.product(*map(range, self.kernel_size)):
            cells = padded[:, y : y + height, x : x + width, :, None]
            sums = ops.min(cells + self.kernel[y, x], axis=-2)
            least = sums if least is None else ops.minimum(least, sums)
        return least

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.filters)

    def windows(self, input_shape: tuple, output_shape: tuple) -> list[tuple[int, int, int, int]]:
        """Kernel, stride, padding before and dilation along each axis; `tfcnn.receptive_field` calls it."""
        return [(side, 1, (side - 1) // 2, 1) for side in self.kernel_size]

    def cost(self, input_shape: tuple, output_shape: tuple) -> ConvCost:
        """One addition for each term of a minimum; comparisons are not counted. `tfcnn.cost` calls it."""
        weights = math.prod(self.kernel.shape)
        return ConvCost(weights, 0, 0, weights * math.prod(output_shape[1:-1]))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
        }
