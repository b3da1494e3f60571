"""Spatially separable convolution: a column kernel, then a row kernel."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tfcnn.arithmetic.costs import ConvCost, conv_cost
from tfcnn.arithmetic.integers import PerAxis, as_int
from tfcnn.layers.convolutional.convolution import Convolution, convolve
from tfcnn.layers.reshaping.padding import PaddingArgument, pad


def separate(kernel: Any, rank: int = 1, tolerance: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A kernel as a column part and a row part, by singular value decomposition.

    The kernel of one map, (height, width), is a matrix; one of rank 1 is the product u v^T, and convolving with it is
    convolving with the column u, then with the row v. The kernel of a layer, (height, width, channels, filters), is
    the matrix with a row for each (height, channel) and a column for each (width, filter): `rank` maps between the two
    parts reproduce it exactly if that matrix has no larger rank.

    Args:
        kernel: a matrix, or the kernel of a 2-D convolution layer.
        rank: number of maps between the two parts.
        tolerance: singular values up to this count as zero; default: NumPy's `matrix_rank` rule at the kernel's dtype.

    Returns:
        For a matrix and rank 1: u (height,) and v (width,); for a matrix and a larger rank: (height, rank) and
        (rank, width); for a layer's kernel: (height, 1, channels, rank) and (1, width, rank, filters). Both parts have
        the same norm, and the largest number of each column of u is positive.

    Raises:
        ValueError: the kernel's rank is larger than `rank`; the message names it.

    Example:
        >>> u, v = separate([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
        >>> (u / u[0]).round(6).tolist(), abs(v * u[0]).round(6).tolist()
        ([1.0, 2.0, 1.0], [1.0, 0.0, 1.0])
    """
    kernel = np.asarray(kernel)
    rank = as_int(rank, "rank")
    if kernel.ndim not in (2, 4) or not kernel.size:
        raise ValueError(f"a kernel is (height, width) or (height, width, channels, filters); got {kernel.shape}")
    precision = np.finfo(kernel.dtype).eps if np.issubdtype(kernel.dtype, np.floating) else np.finfo(np.float64).eps
    height, width, *maps = kernel.shape
    channels, filters = maps or (1, 1)
    blocks = kernel.astype(np.float64).reshape(height, width, channels, filters).transpose(0, 2, 1, 3)
    matrix = blocks.reshape(height * channels, width * filters)
    u, sizes, v = np.linalg.svd(matrix, full_matrices=False)
    if tolerance is None:
        tolerance = sizes[0] * max(matrix.shape) * precision
    actual = int((sizes > tolerance).sum())
    if actual > rank:
        raise ValueError(f"the kernel has rank {actual}: it cannot be separated into parts of rank {rank}")
    kept = np.arange(rank) % len(sizes)  # a rank beyond the matrix's sides has nothing left to hold
    scale = np.where(np.arange(rank) < actual, np.sqrt(sizes[kept]), 0.0)
    u = u[:, kept] * scale
    v = v[kept] * scale[:, None]
    signs = np.where(np.take_along_axis(u, np.abs(u).argmax(axis=0)[None], axis=0)[0] < 0, -1.0, 1.0)
    u = u * signs
    v = v * signs[:, None]
    if maps:
        return u.reshape(height, 1, channels, rank), v.reshape(rank, 1, width, filters).transpose(1, 2, 0, 3)
    return (u[:, 0], v[0]) if rank == 1 else (u, v)


@keras.saving.register_keras_serializable(package="tfcnn")
class SpatiallySeparableConv2D(Convolution):
    """Convolution with a column kernel into `rank` maps, then with a row kernel: height + width taps in all.

    I * (u v) = (I * u) * v. With one channel, one filter and rank 1 this is the separable filter of the lectures
    (Sobel: 9 numbers become 6); between layers of many maps it is the factorised convolution of Jaderberg, Vedaldi &
    Zisserman (2014, scheme 2) and of Inception's n x 1, 1 x n. There is no activation between the parts.

    Depthwise separable convolution is another layer: `keras.layers.SeparableConv2D`.

    Args:
        filters: number of output maps.
        kernel_size: of the kernel that the two parts make, an integer or one for each axis.
        rank: number of maps between the column and the row part; `filters` by default.
        strides, padding, padding_mode, dilation_rate: as of `PaddedConv2D`.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as of Keras' Conv2D; those of the kernel hold for each of its parts.

    Input shape:
        (batch, height, width, channels).

    Output shape:
        (batch, output height, output width, filters), of the layer's compute dtype.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import keras
        >>> layer = SpatiallySeparableConv2D(16, 5, padding="half")
        >>> layer(keras.ops.ones((1, 28, 28, 8))).shape
        TensorShape([1, 28, 28, 16])
        >>> sobel = SpatiallySeparableConv2D.from_kernel([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
        >>> sobel.count_params()
        6
    """

    def __init__(
        self,
        filters: int,
        kernel_size: PerAxis,
        strides: PerAxis = 1,
        padding: PaddingArgument = "none",
        *,
        rank: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding, **kwargs)
        self.rank = None if rank is None else as_int(rank, "rank")

    def build_kernels(self, input_shape: tuple) -> None:
        height, width = self.kernel_size
        between = self.rank or self.filters
        self.column = self.add_kernel("column", (height, 1, input_shape[-1], between))
        self.row = self.add_kernel("row", (1, width, between, self.filters), self.another_initializer())

    def convolve(self, inputs: Any) -> Any:
        """Each part pads its own axis: for all paddings this equals padding both first, and computes less."""
        rows, columns = self.amounts
        down, across = zip(self.strides, self.dilation_rate, strict=True)
        padded = pad(inputs, (rows, (0, 0)), self.padding_mode)
        between = convolve(padded, self.column, (down[0], 1), (down[1], 1))
        padded = pad(between, ((0, 0), columns), self.padding_mode)
        return convolve(padded, self.row, (1, across[0]), (1, across[1]))

    @classmethod
    def from_kernel(cls, kernel: Any, bias: Any = None, rank: int = 1, **kwargs: Any) -> SpatiallySeparableConv2D:
        """The layer equal to a convolution with `kernel`; `separate` explains the arguments.

        Raises:
            ValueError: the kernel's rank is larger than `rank`; the message names it.
        """
        kernel = np.asarray(kernel)
        column, row = separate(kernel if kernel.ndim == 4 else kernel[..., None, None], rank)
        layer = cls(row.shape[-1], kernel.shape[:2], rank=rank, use_bias=bias is not None, **kwargs)
        layer.build((None, None, None, column.shape[2]))
        layer.set_weights([column, row] if bias is None else [column, row, bias])
        return layer

    def cost(self, input_shape: tuple, output_shape: tuple) -> ConvCost:
        """The column part at every column of the input, the row part at every position of the output."""
        between = self.rank or self.filters
        places = output_shape[1] * input_shape[2]
        column = conv_cost(self.kernel_size[:1], input_shape[-1], between, places, bias=False)
        places = math.prod(output_shape[1:-1])
        row = conv_cost(self.kernel_size[1:], between, self.filters, places, bias=self.use_bias)
        return ConvCost(*map(sum, zip(column, row, strict=True)))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rank": self.rank}
