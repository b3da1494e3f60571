"""The mlpconv layer of Network in Network."""

from __future__ import annotations

import keras

from tfcnn.arithmetic.costs import ConvCost
from tfcnn.layers.convolutional.convolution import Convolution, PaddedConv2D


@keras.saving.register_keras_serializable(package="tfcnn")
class MLPConv2D(Convolution):
    """A small multilayer perceptron slid over the image: a convolution, then 1 x 1 ones, activations after all.

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

    def __init__(self, filters, kernel_size, units=None, strides=1, padding="none", *, activation="relu", **kwargs):
        super().__init__(filters, kernel_size, strides, padding, activation=activation, **kwargs)
        self.units = (self.filters,) * 2 if units is None else tuple(units)
        if not self.units or min(self.units) < 1:
            raise ValueError(f"units must be one or more numbers from 1 up, got {units!r}")

    def build(self, input_shape):
        first = (self.filters, self.kernel_size, self.strides, self.padding)
        where = {"padding_mode": self.padding_mode, "dilation_rate": self.dilation_rate}
        self.convolutions = [PaddedConv2D(*first, **where, **self._each())]
        self.convolutions += [PaddedConv2D(maps, 1, **self._each()) for maps in self.units]
        for convolution in self.convolutions:
            convolution.build(input_shape)
            input_shape = convolution.compute_output_shape(input_shape)

    def _each(self):
        """The arguments that all convolutions have in common."""
        names = ("activation", "use_bias", "bias_initializer", "kernel_regularizer", "bias_regularizer")
        common = {name: getattr(self, name) for name in (*names, "kernel_constraint", "bias_constraint")}
        return common | {"kernel_initializer": self.another_initializer(), "dtype": self.dtype_policy}

    def call(self, inputs):
        for convolution in self.convolutions:
            inputs = convolution(inputs)
        return inputs

    def compute_output_shape(self, input_shape):
        return (*super().compute_output_shape(input_shape)[:-1], self.units[-1])

    def cost(self, input_shape, output_shape) -> ConvCost:
        """The sum over its convolutions, all at the positions of the output."""
        costs = []
        for convolution in self.convolutions:
            shape = convolution.compute_output_shape(input_shape)
            costs.append(convolution.cost(input_shape, shape))
            input_shape = shape
        return ConvCost(*map(sum, zip(*costs, strict=True)))

    def get_config(self):
        return super().get_config() | {"units": self.units}
