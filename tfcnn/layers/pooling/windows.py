"""Where pooling windows lie along an axis, and which cells each covers. Sizes may be known at run time only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from tfcnn.arithmetic.integers import PerAxis, as_tuple


class Axis(NamedTuple):
    """The windows along one axis. Window w covers the cells w * stride - before ... w * stride - before + pool - 1.

    `size`, `count` and `before` are integers, or scalar tensors where the size is not known when a graph is traced.
    """

    pool: int
    stride: int
    size: Any  # cells
    count: Any  # windows
    before: Any  # cells of padding in front

    @property
    def tiles(self) -> bool:
        """Each cell, the padded border included, lies in one window."""
        return self.pool == self.stride


def axis(size: Any, pool: int, stride: int, padding: str) -> Axis:
    """The windows of TensorFlow's padding "valid" or "same" over `size` cells (None: everything unknown stays None)."""
    if size is None:
        return Axis(pool, stride, None, None, 0 if padding == "valid" else None)
    if padding == "valid":
        if isinstance(size, int) and size < pool:
            raise ValueError(f"a window of {pool} does not fit an input of {size}: use padding='same'")
        return Axis(pool, stride, size, (size - pool) // stride + 1, 0)
    count = (size + stride - 1) // stride
    missing = (count - 1) * stride + pool - size
    padded = max(missing, 0) if isinstance(size, int) else ops.maximum(missing, 0)
    return Axis(pool, stride, size, count, padded // 2)


def slices(x: Any, along: Axis, fill: float) -> list:
    """`pool` tensors of shape (outer, count, inner) from x of shape (outer, size, inner): tensor d holds cell d of
    every window. Cells of the padding are `fill`."""
    length = along.count * along.pool if along.tiles else (along.count - 1) * along.stride + along.pool
    after = length - along.before - along.size
    outer, _, inner = ops.shape(x)
    x = pad(x, along.before, after, fill)
    if along.tiles:
        x = ops.reshape(x, (outer, along.count, along.pool, inner))
        return [x[:, :, d] for d in range(along.pool)]
    end = (along.count - 1) * along.stride + 1
    return [x[:, d : d + end : along.stride] for d in range(along.pool)]


def pad(x: Any, before: Any, after: Any, fill: float) -> Any:
    """x of shape (outer, size, inner) with `fill` before and after along its middle axis; a negative `after` crops."""
    outer, size, inner = ops.shape(x)
    is_static = isinstance(before, int) and isinstance(after, int)
    if not is_static or after < 0:
        x = x[:, : size + (after if is_static else ops.minimum(after, 0))]
        after = 0 if is_static else ops.maximum(after, 0)
    if is_static and before == after == 0:
        return x
    if is_static:
        return ops.pad(x, ((0, 0), (before, after), (0, 0)), constant_values=fill)
    first = ops.full((outer, before, inner), fill, dtype=x.dtype)
    last = ops.full((outer, after, inner), fill, dtype=x.dtype)
    return ops.concatenate([first, x, last], axis=1)


def interleave(parts: list) -> Any:
    """(outer, count, inner) tensors -> (outer, count * len(parts), inner): x0[0], x1[0], ..., x0[1], x1[1], ..."""
    if len(parts) == 1:
        return parts[0]
    outer, count, inner = ops.shape(parts[0])
    return ops.reshape(ops.stack(parts, axis=2), (outer, count * len(parts), inner))


def split_at(shape: tuple, spatial_axis: int) -> tuple:
    """(outer, size, inner): a tensor's shape as seen from one of its spatial axes, 0 being the first of them."""
    outer = math.prod(shape[: spatial_axis + 1])
    inner = math.prod(shape[spatial_axis + 2 :])
    return outer, shape[spatial_axis + 1], inner


class WindowedLayer(keras.layers.Layer):
    """Base of pooling layers and their inverses: pool_size, strides and padding over `dimensions` spatial axes."""

    dimensions: int

    def __init__(
        self, pool_size: PerAxis = 2, strides: PerAxis | None = None, padding: str = "valid", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = as_tuple(pool_size, self.dimensions, "pool_size")
        self.strides = self.pool_size if strides is None else as_tuple(strides, self.dimensions, "strides")
        if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
            raise ValueError(f"padding must be 'valid' or 'same', got {padding!r}")
        self.padding = padding.lower()
        self.input_spec = keras.layers.InputSpec(ndim=self.dimensions + 2)

    def axes(self, sizes: Sequence) -> list[Axis]:
        """The windows over an input of these spatial sizes."""
        return [axis(*row, self.padding) for row in zip(sizes, self.pool_size, self.strides, strict=True)]

    def pooled_shape(self, input_shape: tuple) -> tuple:
        """The shape of an input, one value a window."""
        return (input_shape[0], *(along.count for along in self.axes(input_shape[1:-1])), input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }
