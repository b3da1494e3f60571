"""Convolution in the frequency domain, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from tfcnn.arithmetic.costs import ConvCost
from tfcnn.arithmetic.integers import PerAxis, as_int
from tfcnn.layers.convolutional.convolution import Convolution
from tfcnn.layers.reshaping.padding import PaddingArgument


@keras.saving.register_keras_serializable(package="tfcnn")
class FFTConv2D(Convolution):
    """Convolution by the convolution theorem: transform map and kernel, multiply, transform back. For large kernels.

    `PaddedConv2D` with other arithmetic: the same arguments, weights and values (to about 1e-5 of the largest one). The
    map is cut into tiles that overlap by the kernel (overlap-save), so that the work for a pixel grows with the tile
    and not with the map, and the same few constants transform maps of any size, known or not.

    A tile of T pixels is transformed by a product with the T x T matrix of the discrete Fourier transform, not by
    butterflies: that runs under XLA and in LiteRT with builtin operators, which TensorFlow's FFT does not. Everything
    between input and output is computed in float32, or in the layer's own dtype where that is more precise.

    Measured on two CPU cores (`benchmarks/fft_convolution.py`): a forward pass is faster than direct convolution from
    between 5 x 5 and 11 x 11 on, and faster than the FFT of the whole map. Forward and backward together are faster
    than direct convolution from between 11 x 11 and 15 x 15 on; there the FFT of the whole map is faster still, up to
    three times. For smaller kernels use `PaddedConv2D`.

    Args:
        filters: number of output maps.
        kernel_size: an integer, or one for each axis.
        tile: side of the transformed tiles; by default the power of two from twice the kernel's (dilated) size up. At
            least the kernel's size plus the stride minus 1. Where the map's size is known the tiles shrink to cover it
            without a remainder.
        strides, padding, padding_mode, dilation_rate: as of `PaddedConv2D`.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as of Keras' Conv2D.

    Input shape:
        (batch, height, width, channels).

    Output shape:
        (batch, output height, output width, filters), of the layer's compute dtype.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import keras
        >>> FFTConv2D(8, 15, padding="half")(keras.ops.ones((1, 64, 64, 4))).shape
        TensorShape([1, 64, 64, 8])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: PerAxis,
        strides: PerAxis = 1,
        padding: PaddingArgument = "none",
        *,
        tile: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding, **kwargs)
        smallest = max(e + s - 1 for e, s in zip(self.effective_size, self.strides, strict=True))
        self.tile = None if tile is None else as_int(tile, "tile")
        if self.tile is not None and self.tile < smallest:
            raise ValueError(f"tile must be {smallest} or more for this kernel and stride, got {tile}")

    def convolve(self, inputs: Any) -> Any:
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        padded = ops.cast(self.pad(inputs), dtype)
        cuts = [self._cut(ops.shape(padded)[axis + 1], axis) for axis in (0, 1)]
        tiles = _tiles(padded, cuts)  # (row in tile, column in tile, tiles of all images, channels)
        taps = [np.arange(k) * d for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        real, imaginary = _transform(tiles, cuts, [np.arange(cut.tile) for cut in cuts])
        kernel_real, kernel_imaginary = _transform(ops.cast(self.kernel, dtype), cuts, taps)
        # Correlation is the product with the conjugate: (a + ib)(c - id) as one product of real matrices.
        values = ops.concatenate([real, imaginary], axis=-1)
        upper = ops.concatenate([kernel_real, -kernel_imaginary], axis=-1)
        lower = ops.concatenate([kernel_imaginary, kernel_real], axis=-1)
        spectrum = ops.matmul(values, ops.concatenate([upper, lower], axis=-2))
        return ops.cast(_transform_back(spectrum, cuts, self.strides), self.compute_dtype)

    def _cut(self, size: Any, axis: int) -> Cut:
        covered = self.effective_size[axis]
        stride = self.strides[axis]
        tile = self.tile or 1 << (2 * covered + stride - 2).bit_length()
        outputs = (size - covered) // stride + 1
        each = max((tile - covered + 1) // stride, 1)  # outputs of one tile
        if isinstance(outputs, int):
            each = math.ceil(outputs / math.ceil(outputs / each))
        step = each * stride
        return Cut(step + covered - 1, step, each, -(-outputs // each), outputs)

    def cost(self, input_shape: tuple, output_shape: tuple) -> ConvCost:
        """The price of the direct convolution with the same kernel, by which networks are compared.

        The transforms and products that this layer computes instead depend on the tile, not on the definition.
        """
        return super().cost(input_shape, output_shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"tile": self.tile}


class Cut(NamedTuple):
    """The tiles along one axis: `count` tiles of `tile` pixels, one every `step` pixels."""

    tile: int
    step: int
    each: int  # outputs of one tile
    count: Any  # tiles; a tensor where the size is not known, as is `outputs`
    outputs: Any


def _tiles(maps: Any, cuts: Sequence[Cut]) -> Any:
    """(batch, height, width, channels) -> (tile height, tile width, batch * tiles, channels)."""
    channels = maps.shape[-1]
    for axis, cut in enumerate(cuts):  # cutting the height moves the width one axis on
        maps = _cut_axis(maps, 2 * axis + 1, cut)
    maps = ops.transpose(maps, (2, 4, 0, 1, 3, 5))
    return ops.reshape(maps, (cuts[0].tile, cuts[1].tile, -1, channels))


def _cut_axis(maps: Any, axis: int, cut: Cut) -> Any:
    """The axis as two, (tiles, pixels of a tile): each step joined with the steps after it that its tile reaches."""
    shape = ops.shape(maps)
    reach = -(-cut.tile // cut.step)
    room = [(0, 0)] * len(maps.shape)
    room[axis] = (0, reach * cut.step)
    maps = ops.pad(maps, room)

    def steps(number: int) -> Any:
        part = maps[(slice(None),) * axis + (slice(number * cut.step, (number + cut.count) * cut.step),)]
        return ops.reshape(part, (-1, *shape[1:axis], cut.count, cut.step, *shape[axis + 1 :]))

    joined = ops.concatenate([steps(number) for number in range(reach)], axis=axis + 1)
    return joined[(slice(None),) * (axis + 1) + (slice(0, cut.tile),)]


def _waves(length: int, frequencies: np.ndarray, places: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of each frequency at each place, (frequencies, places)."""
    angles = 2 * np.pi / length * (np.outer(frequencies, places) % length)
    return np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)


def _transform(values: Any, cuts: Sequence[Cut], places: Sequence[np.ndarray]) -> list:
    """Real and imaginary spectrum, (frequencies, n, channels), of (rows, columns, n, channels) at `places` of a tile.

    Of the frequencies down, half are enough: the values are real.
    """
    dtype = keras.backend.standardize_dtype(values.dtype)
    channels = values.shape[-1]
    height, width = (cut.tile for cut in cuts)
    rows, columns = map(len, places)
    half = height // 2 + 1
    cosine, sine = _waves(height, np.arange(half), places[0], dtype)
    down = ops.matmul(np.concatenate([cosine, -sine]), ops.reshape(values, (rows, -1)))
    cosine, sine = _waves(width, np.arange(width), places[1], dtype)
    down = ops.reshape(down, (2 * half, columns, -1))
    across = ops.reshape(ops.matmul(np.concatenate([cosine, -sine]), down), (2, half, 2, width, -1))
    real = across[0, :, 0] - across[1, :, 1]
    imaginary = across[0, :, 1] + across[1, :, 0]
    return [ops.reshape(part, (half * width, -1, channels)) for part in (real, imaginary)]


def _transform_back(spectrum: Any, cuts: Sequence[Cut], strides: tuple[int, ...]) -> Any:
    """(frequencies, batch * tiles, 2 * filters), real and imaginary -> (batch, height, width, filters)."""
    dtype = keras.backend.standardize_dtype(spectrum.dtype)
    filters = spectrum.shape[2] // 2
    height, width = (cut.tile for cut in cuts)
    rows, columns = (cut.each for cut in cuts)
    half = height // 2 + 1
    parts = ops.transpose(ops.reshape(spectrum, (half, width, -1, 2, filters)), (0, 3, 1, 2, 4))
    cosine, sine = _waves(width, np.arange(columns) * strides[1], np.arange(width), dtype)
    matrix = np.block([[cosine, -sine], [sine, cosine]]) / width
    across = ops.matmul(matrix.astype(dtype), ops.reshape(parts, (half, 2 * width, -1)))
    # The columns lead, as batch: LiteRT's converter makes an invalid file where the next product is of two matrices.
    across = ops.transpose(ops.reshape(across, (half, 2, columns, -1)), (2, 1, 0, 3))
    cosine, sine = _waves(height, np.arange(rows) * strides[0], np.arange(half), dtype)
    twice = np.where((np.arange(half) == 0) | (2 * np.arange(half) == height), 1, 2)  # for the half left out
    matrix = np.concatenate([cosine * twice, -sine * twice], axis=1) / height
    outputs = ops.matmul(matrix.astype(dtype), ops.reshape(across, (columns, 2 * half, -1)))
    outputs = ops.reshape(outputs, (columns, rows, -1, cuts[0].count, cuts[1].count, filters))
    outputs = ops.transpose(outputs, (2, 3, 1, 4, 0, 5))
    outputs = ops.reshape(outputs, (-1, cuts[0].count * rows, cuts[1].count * columns, filters))
    return outputs[:, : cuts[0].outputs, : cuts[1].outputs]
