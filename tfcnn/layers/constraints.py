"""Hard constraints on kernels, over the axes of one filter in each kind of layer.

An optimiser projects the weight after every step. The constraint does **not** hold before the first step: call
`enforce(model)` after building where the start matters too. In mixed precision the weights are float32 and the
constraint holds on them; the layer computes with a rounded copy.

Keras' `NonNeg` is right for every kernel. Keras' `MaxNorm` and `UnitNorm` default to axis 0, only the height of a
convolution's kernel; the two here take a filter's axes. The soft constraint of the lectures, a penalty on the squared
L2 norm, is `keras.regularizers.L2`.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.integers import as_int, as_number

KERNELS = ("convolution", "transposed", "depthwise", "locally_connected")  # the layouts of a kernel


def filter_axes(kernel: str, rank: int) -> tuple[int, ...]:
    """The axes over which one filter of a kernel of this layout and rank extends.

    >>> filter_axes("convolution", 4), filter_axes("depthwise", 4), filter_axes("transposed", 5)
    ((0, 1, 2), (0, 1), (0, 1, 2, 4))

    Raises:
        ValueError: the layout is none of KERNELS, or a kernel of that rank has no such layout.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}; got {kernel!r}")
    if rank < (2 if kernel == "convolution" else 3):
        raise ValueError(f"a {kernel} kernel has more than {rank} axes")
    if kernel == "convolution":  # (*size, channels, filters); Dense: (inputs, units)
        return tuple(range(rank - 1))
    if kernel == "transposed":  # (*size, filters, channels)
        return (*range(rank - 2), rank - 1)
    if kernel == "depthwise":  # (*size, channels, multiplier): a filter sees one channel
        return tuple(range(rank - 2))
    return (1,)  # (positions, window, filters)


def enforce(model: keras.Model) -> None:
    """Projects every constrained weight of a model or layer now, frozen ones too; optimisers do so after each step."""
    for weight in model.weights:
        if weight.constraint is not None:
            weight.assign(weight.constraint(weight))


class _OnFilters(keras.constraints.Constraint):
    """A constraint that acts on each filter of a kernel of a known layout."""

    def __init__(self, kernel: str = "convolution") -> None:
        filter_axes(kernel, 9)
        self.kernel = kernel

    def get_config(self) -> dict[str, Any]:
        return {"kernel": self.kernel}

    def norms(self, w: Any) -> Any:
        """The L2 norm of each filter, with as many axes as the kernel, in float32 at least."""
        w = _in_float32(w)
        axes = filter_axes(self.kernel, len(w.shape))
        largest = ops.max(ops.abs(w), axis=axes, keepdims=True)  # squares of larger numbers than 1e19 overflow
        scale = ops.where(largest == 0, ops.ones_like(largest), largest)
        return scale * ops.sqrt(ops.sum(ops.square(w / scale), axis=axes, keepdims=True))


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxNorm(_OnFilters):
    """No filter's L2 norm is larger than `max_value`; longer filters are shortened, the others stay as they are.

    Args:
        max_value: the largest norm, above 0.
        kernel: layout of the kernel: "convolution" (Dense too), "transposed", "depthwise" or "locally_connected".

    Example:
        >>> import keras
        >>> layer = keras.layers.Conv2D(8, 3, kernel_constraint=MaxNorm(2.0))
        >>> layer = keras.layers.DepthwiseConv2D(3, depthwise_constraint=MaxNorm(2.0, kernel="depthwise"))
    """

    def __init__(self, max_value: float = 2.0, kernel: str = "convolution") -> None:
        super().__init__(kernel)
        if max_value <= 0:
            raise ValueError(f"max_value must be above 0, got {max_value}")
        self.max_value = as_number(max_value)

    def __call__(self, w: Any) -> Any:
        factor = self.max_value / ops.maximum(self.norms(w), self.max_value)
        return ops.cast(_in_float32(w) * factor, w.dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"max_value": self.max_value}


@keras.saving.register_keras_serializable(package="tfcnn")
class UnitNorm(_OnFilters):
    """Every filter's L2 norm is 1; a filter of zeros stays as it is.

    Args:
        kernel: layout of the kernel, as of `MaxNorm`.

    Example:
        >>> import keras
        >>> layer = keras.layers.Conv2DTranspose(8, 3, kernel_constraint=UnitNorm(kernel="transposed"))
    """

    def __call__(self, w: Any) -> Any:
        norms = self.norms(w)
        return ops.cast(_in_float32(w) / ops.where(norms == 0, ops.ones_like(norms), norms), w.dtype)


@keras.saving.register_keras_serializable(package="tfcnn")
class LowRank(keras.constraints.Constraint):
    """Each channel's 2-D kernel of each filter is the nearest one of rank `rank` at most, by singular values.

    With rank 1 each is spatially separable: a column times a row.

    Args:
        rank: 1 or more.

    Raises:
        ValueError: rank below 1, or a kernel not of the form (height, width, ., .).

    Example:
        >>> import keras
        >>> layer = keras.layers.Conv2D(8, 5, kernel_constraint=LowRank(1))
    """

    def __init__(self, rank: int = 1) -> None:
        self.rank = as_int(rank, "rank")

    def __call__(self, w: Any) -> Any:
        if len(w.shape) != 4:
            raise ValueError(f"LowRank takes kernels of the form (height, width, ., .), got the shape {tuple(w.shape)}")
        u, sizes, v = _svd(ops.transpose(w, (2, 3, 0, 1)))
        nearest = ops.matmul(u[..., : self.rank] * ops.expand_dims(sizes[..., : self.rank], -2), v[..., : self.rank, :])
        return ops.cast(ops.transpose(nearest, (2, 3, 0, 1)), w.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"rank": self.rank}


@keras.saving.register_keras_serializable(package="tfcnn")
class Orthogonal(_OnFilters):
    """The filters, each written as a vector, are orthonormal: the nearest such kernel (the polar factor).

    With more filters than weights in a filter, which cannot be orthonormal, the rows of the matrix are.

    Args:
        kernel: layout of the kernel, as of `MaxNorm`; the filters of one position each, for "locally_connected".

    Example:
        >>> import keras
        >>> layer = keras.layers.Conv2D(8, 3, kernel_constraint=Orthogonal())
    """

    def __call__(self, w: Any) -> Any:
        axes = filter_axes(self.kernel, len(w.shape))
        if self.kernel == "locally_connected":
            order = [0, 1, 2]
            matrix = ops.convert_to_tensor(w)
        else:
            order = [*axes, *(i for i in range(len(w.shape)) if i not in axes)]
            matrix = ops.reshape(ops.transpose(w, order), (math.prod(w.shape[i] for i in axes), -1))
        u, _, v = _svd(matrix)
        nearest = ops.reshape(ops.matmul(u, v), [w.shape[i] for i in order])
        return ops.cast(ops.transpose(nearest, [order.index(i) for i in range(len(order))]), w.dtype)


def _svd(matrices: Any) -> tuple:
    """Reduced singular value decomposition, in float32 at least: there is none in half precision."""
    return ops.svd(_in_float32(matrices), full_matrices=False)


def _in_float32(w: Any) -> Any:
    """The tensor in float32 at least; the squares of half precision overflow from 256 on."""
    dtype = keras.backend.result_type(keras.backend.standardize_dtype(w.dtype), "float32")
    return ops.cast(w, dtype)
