"""The convolution as a matrix: C x is the layer, C^T y the transposed layer, and both backward passes are convolutions.

NumPy and SciPy only. One map in, one map out, any number of axes: kernels, inputs and outputs are plain arrays without
batch and channels. As in every deep learning library, a layer's "convolution" is a cross-correlation:
`cross_correlation` is the layer, and `convolution`, which flips the kernel first, is the mathematicians'. `stride` and
`dilation` are a number, or a sequence of one for each axis; `padding` is a number, "valid", "same" or "full" as in
`tfcnn.arithmetic`, or a sequence of these for each axis, where a pair (before, after) is allowed as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from tfcnn.arithmetic import sizes
from tfcnn.arithmetic.sizes import conv_output_size, effective_kernel, padding_amounts

Steps = int | Sequence[int]
Padding = sizes.Padding | Sequence[sizes.Padding]


def convolution_matrix(
    kernel: np.ndarray, shape: tuple[int, ...], stride: Steps = 1, padding: Padding = 0, dilation: Steps = 1
) -> sparse.csr_array:
    """The sparse matrix C of a layer: C @ x.ravel() is its output, flattened.

    A row holds the kernel's values at the input places of one window, those on padding left out. With stride 1 each row
    is the one above moved along: along one axis C is a Toeplitz matrix, along two it is built of Toeplitz blocks.

    Args:
        kernel: values, with as many axes as the input.
        shape: shape of the input.

    Returns:
        (output places, input places), both in row-major order. Zeros of the kernel are stored as any other value.

    >>> convolution_matrix(np.array([1, 2]), (4,)).toarray()
    array([[1, 2, 0, 0],
           [0, 1, 2, 0],
           [0, 0, 1, 2]])

    Raises:
        ValueError: the numbers of axes differ, or `tfcnn.arithmetic` refuses the layer.
    """
    kernel = np.asarray(kernel)
    axes = _geometry(kernel.shape, shape, stride, padding, dilation)
    output_shape = tuple(axis.output for axis in axes)
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for tap in np.ndindex(kernel.shape):
        starts = [a.stride * np.arange(a.output) - a.before + a.dilation * t for a, t in zip(axes, tap, strict=True)]
        inside = [(start >= 0) & (start < side) for start, side in zip(starts, shape, strict=True)]
        outputs = np.ix_(*map(np.flatnonzero, inside))
        inputs = np.ix_(*(start[i] for start, i in zip(starts, inside, strict=True)))
        rows.append(np.ravel_multi_index(outputs, output_shape).ravel())
        columns.append(np.ravel_multi_index(inputs, shape).ravel())
        values.append(np.full(rows[-1].size, kernel[tap]))
    places = (np.concatenate(rows), np.concatenate(columns))
    size = (math.prod(output_shape), math.prod(shape))
    return sparse.coo_array((np.concatenate(values), places), shape=size).tocsr()


def cross_correlation(
    x: np.ndarray, kernel: np.ndarray, stride: Steps = 1, padding: Padding = 0, dilation: Steps = 1
) -> np.ndarray:
    """What a convolutional layer computes: sums of x(i s - p + m d) k(m) over m.

    >>> cross_correlation(np.array([1, 2, 3]), np.array([1, 0]))
    array([1, 2])
    """
    x = np.asarray(x)
    kernel = np.asarray(kernel)
    output = convolution_matrix(kernel, x.shape, stride, padding, dilation) @ x.ravel()
    return output.reshape([axis.output for axis in _geometry(kernel.shape, x.shape, stride, padding, dilation)])


def convolution(
    x: np.ndarray, kernel: np.ndarray, stride: Steps = 1, padding: Padding = 0, dilation: Steps = 1
) -> np.ndarray:
    """The convolution of mathematics: sums of x(i - m) k(m), a cross-correlation with the flipped kernel.

    With "full" padding it commutes: convolution(x, k) is convolution(k, x). Cross-correlation does not; exchanging its
    arguments flips the result.

    >>> convolution(np.array([1, 2, 3]), np.array([1, 0]))
    array([2, 3])
    """
    return cross_correlation(x, np.flip(kernel), stride, padding, dilation)


def transposed(
    y: np.ndarray,
    kernel: np.ndarray,
    shape: tuple[int, ...],
    stride: Steps = 1,
    padding: Padding = 0,
    dilation: Steps = 1,
) -> np.ndarray:
    """What the transposed layer computes: C^T y, each value of y spreading a copy of the kernel.

    Args:
        y: an output of the layer, or any array of that shape.
        shape: shape of the result, which is the layer's input; several can lead to the shape of y.

    >>> transposed(np.array([[1, 2], [2, 4]]), np.array([[1, 2], [2, 1]]), (3, 3))
    array([[ 1,  4,  4],
           [ 4, 13, 10],
           [ 4, 10,  4]])
    """
    return (convolution_matrix(kernel, shape, stride, padding, dilation).T @ np.ravel(y)).reshape(shape)


def input_gradient(
    kernel: np.ndarray,
    upstream: np.ndarray,
    shape: tuple[int, ...],
    stride: Steps = 1,
    padding: Padding = 0,
    dilation: Steps = 1,
) -> np.ndarray:
    """dV = flipped K * G: the gradient of a layer's input, by the direct convolution that C^T g is equivalent to.

    G is stretched by zeros where the layer has a stride and gets the border of `arithmetic.transposed_conv`.

    Args:
        upstream: G, the gradient of the layer's output.
        shape: shape of the layer's input V.
    """
    upstream = np.asarray(upstream)
    axes = _geometry(np.shape(kernel), shape, stride, padding, dilation)
    bordered = np.zeros([a.size + a.covered - 1 for a in axes], upstream.dtype)
    places = [a.covered - 1 - a.before + a.stride * np.arange(a.output) for a in axes]
    inside = [(place >= 0) & (place < side) for place, side in zip(places, bordered.shape, strict=True)]
    bordered[np.ix_(*(place[i] for place, i in zip(places, inside, strict=True)))] = upstream[np.ix_(*inside)]
    return cross_correlation(bordered, np.flip(kernel), dilation=dilation)


def kernel_gradient(
    x: np.ndarray,
    upstream: np.ndarray,
    kernel_shape: tuple[int, ...],
    stride: Steps = 1,
    padding: Padding = 0,
    dilation: Steps = 1,
) -> np.ndarray:
    """dK = G * V: the gradient of a layer's kernel. G walks over the padded V; stride and dilation change places.

    Args:
        x: V, the layer's input.
        upstream: G, the gradient of the layer's output.
    """
    axes = _geometry(kernel_shape, np.shape(x), stride, padding, dilation)
    wide = cross_correlation(
        x,
        upstream,
        stride=[axis.dilation for axis in axes],
        padding=[(axis.before, axis.after) for axis in axes],
        dilation=[axis.stride for axis in axes],
    )
    return wide[tuple(map(slice, kernel_shape))]  # pixels that no window reaches make it longer


def circulant_matrix(kernel: np.ndarray, shape: tuple[int, ...]) -> sparse.csr_array:
    """The matrix of a convolution that wraps around at the ends of the input.

    Each column holds the kernel, moved along. The Fourier transform makes it diagonal, with the transform of the
    zero-padded kernel on the diagonal: the convolution theorem.

    >>> circulant_matrix(np.array([1, 2]), (3,)).toarray()
    array([[1, 0, 2],
           [2, 1, 0],
           [0, 2, 1]])
    """
    kernel = np.asarray(kernel)
    places = np.indices(shape).reshape(len(shape), -1)
    rows = np.arange(places.shape[1])
    columns = [
        np.ravel_multi_index([(p - t) % side for p, t, side in zip(places, tap, shape, strict=True)], shape)
        for tap in np.ndindex(kernel.shape)
    ]
    values = np.repeat(kernel.ravel(), rows.size)
    entries = (np.tile(rows, kernel.size), np.concatenate(columns))
    return sparse.coo_array((values, entries), shape=(rows.size, rows.size)).tocsr()


def fourier_convolution(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """`convolution` with "full" padding, as a product of Fourier transforms.

    Both are padded with zeros to the size of the result, so that nothing wraps around.

    >>> fourier_convolution(np.array([1, 2, 3]), np.array([1, 1])).round(9)
    array([1., 3., 5., 3.])
    """
    shape = [a + b - 1 for a, b in zip(np.shape(x), np.shape(kernel), strict=True)]
    axes = list(range(len(shape)))
    product = np.fft.rfftn(x, shape, axes) * np.fft.rfftn(kernel, shape, axes)
    return np.fft.irfftn(product, shape, axes)


class _AxisGeometry(NamedTuple):
    """One axis of a layer."""

    size: int
    covered: int  # by the dilated kernel
    stride: int
    dilation: int
    before: int
    after: int
    output: int


def _geometry(
    kernel_shape: tuple[int, ...], shape: tuple[int, ...], stride: Steps, padding: Padding, dilation: Steps
) -> list[_AxisGeometry]:
    if len(kernel_shape) != len(shape):
        raise ValueError(f"a kernel with {len(kernel_shape)} axes does not fit an input with {len(shape)}")

    def for_each_axis(value: Any) -> Sequence[Any]:
        return [value] * len(shape) if isinstance(value, int | str) else value

    axes = []
    steps = zip(for_each_axis(stride), for_each_axis(padding), for_each_axis(dilation), strict=True)
    for size, kernel, (s, p, d) in zip(shape, kernel_shape, steps, strict=True):
        before, after = padding_amounts(size, kernel, s, p, d)
        axes.append(
            _AxisGeometry(
                size=size,
                covered=effective_kernel(kernel, d),
                stride=s,
                dilation=d,
                before=before,
                after=after,
                output=conv_output_size(size, kernel, s, p, d),
            )
        )
    return axes
