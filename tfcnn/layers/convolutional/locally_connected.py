"""Convolution without weight sharing: one kernel and one bias for each position."""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.costs import ConvCost, conv_cost
from tfcnn.layers.convolutional.convolution import Convolution


class _LocallyConnected(Convolution):
    """The locally connected layers' common part."""

    def build_kernels(self, input_shape: tuple) -> None:
        if None in input_shape[1:]:
            raise ValueError(f"{self.name}: a weight for each position needs a known size, got {tuple(input_shape)}")
        places = math.prod(self.compute_output_shape(input_shape)[1:-1])
        shared = (*self.kernel_size, input_shape[-1], self.filters)
        shape = (places, math.prod(shared[:-1]), self.filters)
        self.kernel = self.add_kernel("kernel", shape, _for_one_position(self.kernel_initializer, shared, shape))

    def add_bias(self, name: str, shape: tuple) -> Any:
        return super().add_bias(name, (*self.positions, *shape))

    def build(self, input_shape: tuple) -> None:
        self.positions = self.compute_output_shape(input_shape)[1:-1]
        super().build(input_shape)
        self.input_spec = keras.layers.InputSpec(shape=(None, *input_shape[1:]))

    def convolve(self, inputs: Any) -> Any:
        """One product of matrices a position: the window as a row, the position's kernel."""
        padded = self.pad(inputs)
        windows = []
        for tap in itertools.product(*map(range, self.kernel_size)):  # the window's pixels, in the kernel's order
            starts = [t * d for t, d in zip(tap, self.dilation_rate, strict=True)]
            axes = zip(starts, self.positions, self.strides, strict=True)
            cells = (slice(start, start + (n - 1) * stride + 1, stride) for start, n, stride in axes)
            windows.append(padded[(slice(None), *cells)])
        rows = ops.reshape(ops.concatenate(windows, axis=-1), (-1, *self.kernel.shape[:2]))
        outputs = ops.matmul(ops.transpose(rows, (1, 0, 2)), self.kernel)
        return ops.reshape(ops.transpose(outputs, (1, 0, 2)), (-1, *self.positions, self.filters))

    def cost(self, input_shape: tuple, output_shape: tuple) -> ConvCost:
        """That of the convolution of the same size, with one kernel for each position."""
        places = math.prod(output_shape[1:-1])
        shared = conv_cost(self.kernel_size, input_shape[-1], self.filters, places, bias=self.use_bias)
        return shared._replace(parameters=shared.parameters * places)


def _for_one_position(initializer: Any, shared: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """The initialiser with the variance that it gives a convolution's kernel of the shape `shared`.

    Keras counts the fans of a variance from the shape of the whole weight, positions included.
    """
    if not isinstance(initializer, keras.initializers.VarianceScaling):
        return initializer
    ratio = _fan(shared, initializer.mode) / _fan(shape, initializer.mode)
    return keras.initializers.VarianceScaling(
        initializer.scale / ratio, initializer.mode, initializer.distribution, initializer.seed
    )


def _fan(shape: tuple[int, ...], mode: str) -> float:
    *field, inputs, outputs = shape
    maps = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[mode]
    return math.prod(field) * maps


@keras.saving.register_keras_serializable(package="tfcnn")
class LocallyConnected1D(_LocallyConnected):
    """A convolution of sequences whose weights are not shared; `LocallyConnected2D` explains the arguments.

    Input shape:
        (batch, length, channels), length known.

    Output shape:
        (batch, output length, filters), of the layer's compute dtype.

    Raises:
        ValueError: as of `LocallyConnected2D`.

    Example:
        >>> import keras
        >>> LocallyConnected1D(4, 3)(keras.ops.ones((1, 10, 2))).shape
        TensorShape([1, 8, 4])
    """

    dimensions = 1


@keras.saving.register_keras_serializable(package="tfcnn")
class LocallyConnected2D(_LocallyConnected):
    """A convolution whose weights are not shared: each position has its kernel and biases.

    Keras 2 had this layer, Keras 3 has not. The weights have the layout of Keras 2 with implementation=1, whose weights
    load: kernel (positions, kernel height * kernel width * channels, filters), bias (output height, output
    width, filters). One difference: a kernel initialiser that scales its variance takes the fans of one position's
    kernel; Keras 2 counted all positions and started far too small.

    Args:
        filters: number of output maps.
        kernel_size: an integer, or one for each axis.
        strides, padding, padding_mode, dilation_rate: as of `PaddedConv2D`; padding="valid", as in Keras 2, by default.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as of Keras' Conv2D.

    Input shape:
        (batch, height, width, channels), height and width known.

    Output shape:
        (batch, output height, output width, filters), of the layer's compute dtype.

    Raises:
        ValueError: an unknown height or width, or an argument out of its range.

    Example:
        >>> import keras
        >>> layer = LocallyConnected2D(5, 7)
        >>> layer(keras.ops.ones((1, 30, 30, 3))).shape
        TensorShape([1, 24, 24, 5])
        >>> layer.count_params()  # 24 * 24 * 5 kernels of 7 * 7 * 3, and a bias each
        426240
    """

    dimensions = 2
