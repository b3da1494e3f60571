"""The mlpconv layer of Network in Network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from tfcnn.arithmetic.costs import ConvCost
from tfcnn.arithmetic.integers import PerAxis, as_tuple
from tfcnn.layers.convolutional.convolution import Convolution, PaddedConv2D
from tfcnn.layers.reshaping.padding import PaddingArgument


@keras.saving.register_keras_serializable(package="tfcnn")
class MLPConv2D(Convolution):
    """A small multilayer perceptron slid over the image: a k x k convolution, then 1 x 1 ones, each with activation.

    Lin, Chen & Yan, "Network in network", 2014, section 3.1 and figure 1 (b). Each position's window goes through the
    same perceptron, whose layers after the first are 1 x 1 convolutions.

    Args:
        filters: number of maps of the k x k convolution.
        kernel_size: of that convolution, an integer or one for each axis.
        units: number of maps of each 1 x 1 convolution after it; two of `filters` maps by default, as in the paper's
            networks.
        strides, padding, padding_mode, dilation_rate: of the first convolution, as of `PaddedConv2D`.
        activation: after every convolution, the last one included; "relu" by default.
        use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint,
        bias_constraint: as of Keras' Conv2D, for every convolution.

    Input shape:
        (batch, height, width, channels).

    Output shape:
        (batch, output height, output width, units[-1]), of the layer's compute dtype.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import keras
        >>> layer = MLPConv2D(192, 5, units=(160, 96), padding="half")  # the first of the paper's network for CIFAR-10
        >>> layer(keras.ops.ones((1, 32, 32, 3))).shape
        TensorShape([1, 32, 32, 96])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: PerAxis,
        units: Sequence[int] | None = None,
        strides: PerAxis = 1,
        padding: PaddingArgument = "none",
        *,
        activation: Any = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding, activation=activation, **kwargs)
        if units is None:
            units = (self.filters, self.filters)
        if not isinstance(units, Iterable) or not len(units):
            raise ValueError(f"units must be a sequence of one or more integers, got {units!r}")
        self.units = as_tuple(units, len(units), "units")

    def build(self, input_shape: tuple) -> None:
        first = self._convolution(
            self.filters, self.kernel_size, self.strides, self.padding, self.padding_mode, self.dilation_rate
        )
        self.convolutions = [first, *(self._convolution(maps, 1) for maps in self.units)]
        for convolution in self.convolutions:
            convolution.build(input_shape)
            input_shape = convolution.compute_output_shape(input_shape)

    def _convolution(
        self,
        filters: int,
        kernel_size: PerAxis,
        strides: PerAxis = 1,
        padding: PaddingArgument = "none",
        padding_mode: str = "zero",
        dilation_rate: PerAxis = 1,
    ) -> PaddedConv2D:
        """One of the layer's convolutions, with what all of them have in common."""
        return PaddedConv2D(
            filters,
            kernel_size,
            strides,
            padding,
            padding_mode=padding_mode,
            dilation_rate=dilation_rate,
            activation=self.activation,
            use_bias=self.use_bias,
            kernel_initializer=self.another_initializer(),
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
        )

    def call(self, inputs: Any) -> Any:
        for convolution in self.convolutions:
            inputs = convolution(inputs)
        return inputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*super().compute_output_shape(input_shape)[:-1], self.units[-1])

    def cost(self, input_shape: tuple, output_shape: tuple) -> ConvCost:
        """The sum over the convolutions, all at the positions of the output."""
        costs = []
        for convolution in self.convolutions:
            shape = convolution.compute_output_shape(input_shape)
            costs.append(convolution.cost(input_shape, shape))
            input_shape = shape
        return ConvCost(*map(sum, zip(*costs, strict=True)))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units}
