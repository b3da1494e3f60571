"""Deformable convolution: the taps of the kernel move to places computed from the input."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.costs import ConvCost, conv_cost
from tfcnn.layers.convolutional.convolution import Convolution, convolve


@keras.saving.register_keras_serializable(package="tfcnn")
class DeformableConv2D(Convolution):
    """Convolution whose taps are displaced, at each position, by offsets that a second convolution computes.

    `y(p) = sum_n w(p_n) x(p + p_n + offset_n(p))`: Dai et al., "Deformable convolutional networks", 2017, section 2.1.
    The offsets (rows and columns, not integers) come from a convolution of the same kernel size, stride, padding and
    dilation; x between pixels is bilinear, and zero outside the padded map. The offsets start at zero, so that the
    layer starts as the ordinary convolution. On the pixels bilinear interpolation has a kink; the gradient is the one
    towards larger coordinates, as in torchvision's `deform_conv2d`.

    Coordinates are computed in float32 whatever the layer's dtype: float16 would round them to half pixels at 1024.

    Args:
        filters: number of output maps.
        kernel_size: an integer, or one for each axis.
        strides, padding, padding_mode, dilation_rate: as of `PaddedConv2D`.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as in Keras' Conv2D; not for the offsets' convolution.

    Input shape:
        (batch, height, width, channels).

    Output shape:
        (batch, output height, output width, filters), of the layer's compute dtype.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import keras
        >>> DeformableConv2D(8, 3, padding="half")(keras.ops.ones((1, 14, 14, 4))).shape
        TensorShape([1, 14, 14, 8])
    """

    def build_kernels(self, input_shape: tuple) -> None:
        super().build_kernels(input_shape)
        displaced = 2 * math.prod(self.kernel_size)  # a row and a column for each tap, tap by tap
        shape = (*self.kernel_size, input_shape[-1], displaced)
        self.offset_kernel = self.add_weight(shape, "zeros", name="offset_kernel")
        self.offset_bias = self.add_weight((displaced,), "zeros", name="offset_bias")

    def convolve(self, inputs: Any) -> Any:
        padded = self.pad(inputs)
        offsets = convolve(padded, self.offset_kernel, self.strides, self.dilation_rate)
        offsets = ops.add(offsets, self.offset_bias)
        taps = math.prod(self.kernel_size)
        places = ops.shape(offsets)[1:3]
        exact = keras.backend.result_type(self.compute_dtype, "float32")
        offsets = ops.reshape(ops.cast(offsets, exact), (-1, *places, taps, 2))
        samples = _sampled(padded, offsets + self._taps(places, exact))
        rows = ops.reshape(samples, (-1, *places, taps * padded.shape[-1]))
        return ops.matmul(rows, ops.reshape(self.kernel, (-1, self.filters)))

    def _taps(self, places: tuple, dtype: str) -> Any:
        """Row and column in the padded map of each tap at each position: (height, width, taps, 2)."""
        axes = []
        for i in range(2):
            corners = ops.cast(ops.arange(places[i]), dtype) * self.strides[i]
            taps = ops.cast(ops.arange(self.kernel_size[i]), dtype) * self.dilation_rate[i]
            axes.append(ops.expand_dims(corners, 1) + taps)  # (place, tap)
        rows = ops.expand_dims(axes[0], (1, 3)) + ops.zeros_like(ops.expand_dims(axes[1], (0, 2)))
        columns = ops.expand_dims(axes[1], (0, 2)) + ops.zeros_like(ops.expand_dims(axes[0], (1, 3)))
        both = ops.stack([rows, columns], axis=-1)  # (row of place, column of place, row of tap, column of tap, 2)
        return ops.reshape(both, (*places, math.prod(self.kernel_size), 2))

    def cost(self, input_shape: tuple, output_shape: tuple) -> ConvCost:
        """The convolution, the offsets' convolution and the interpolation: 4 products and 3 sums a sampled value.

        The interpolation has no MACs, which are those of convolutions.
        """
        places = math.prod(output_shape[1:-1])
        channels = input_shape[-1]
        taps = math.prod(self.kernel_size)
        offsets = conv_cost(self.kernel_size, channels, 2 * taps, places, bias=True)
        main = super().cost(input_shape, output_shape)
        both = ConvCost(*map(sum, zip(main, offsets, strict=True)))
        samples = places * taps * channels
        return both._replace(multiplications=both.multiplications + 4 * samples, additions=both.additions + 3 * samples)


def _sampled(maps: Any, coordinates: Any) -> Any:
    """Bilinear values of (batch, height, width, channels) at (batch, ..., 2): (batch, ..., channels); 0 outside."""
    batch, height, width, channels = ops.shape(maps)
    corner = ops.floor(coordinates)
    beyond = coordinates - corner  # from the pixel above and left; the gradient of the offsets goes through here
    flat = ops.reshape(maps, (-1, channels))
    first = ops.reshape(ops.arange(batch) * (height * width), (-1, *[1] * (len(coordinates.shape) - 2)))
    total: Any = 0
    for down in (0, 1):
        for right in (0, 1):
            row = ops.cast(corner[..., 0], "int32") + down
            column = ops.cast(corner[..., 1], "int32") + right
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            share_of_row = beyond[..., 0] if down else 1 - beyond[..., 0]
            share_of_column = beyond[..., 1] if right else 1 - beyond[..., 1]
            share = share_of_row * share_of_column
            share = ops.cast(ops.where(inside, share, ops.zeros_like(share)), maps.dtype)
            place = ops.clip(row, 0, height - 1) * width + ops.clip(column, 0, width - 1)
            total = total + ops.expand_dims(share, -1) * ops.take(flat, first + place, axis=0)
    return total
