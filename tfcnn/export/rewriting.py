"""Layers that stand for others at an export: the same function, in operations that a converter knows."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

REDUCTIONS = {keras.layers.MaxPooling3D: ops.max_pool, keras.layers.AveragePooling3D: ops.average_pool}


class PoolingOfPlanes(keras.layers.Layer):
    """A 3-D pooling as two 2-D ones: of each plane, then along the depth. LiteRT has no 3-D pooling.

    The maximum over a box is the maximum of its planes' maxima; so is the mean, also where padding is left out of it,
    because the windows of both steps are those of the box.

    Input shape: (batch, depth, height, width, channels). Output shape: that of the 3-D pooling.

    Args:
        pooling: keras.layers.MaxPooling3D or AveragePooling3D, channels last.
    """

    def __init__(self, pooling: keras.layers.Layer):
        super().__init__(name=pooling.name, dtype=pooling.dtype_policy)
        self.reduce = next(function for kind, function in REDUCTIONS.items() if isinstance(pooling, kind))
        self.pool_size = pooling.pool_size
        self.strides = pooling.strides
        self.padding = pooling.padding

    def call(self, volumes: Any) -> Any:
        _, depth, height, width, channels = volumes.shape
        planes = ops.reshape(volumes, (-1, height, width, channels))
        planes = self.reduce(planes, self.pool_size[1:], self.strides[1:], self.padding)
        _, rows, columns, _ = planes.shape
        lines = ops.reshape(planes, (-1, depth, rows * columns, channels))
        lines = self.reduce(lines, (self.pool_size[0], 1), (self.strides[0], 1), self.padding)
        return ops.reshape(lines, (-1, lines.shape[1], rows, columns, channels))


def split_pooling(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """`PoolingOfPlanes` for a 3-D pooling, None for others."""
    return PoolingOfPlanes(layer) if isinstance(layer, tuple(REDUCTIONS)) else None


def has_unpooling(model: keras.Model) -> bool:
    """Whether a network puts values back to where a pooling found its maxima."""
    return any("Unpooling" in type(layer).__name__ for layer in model._flatten_layers())
