"""Bed-of-nails unpooling: up-sampling by zeros around each value."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.integers import PerAxis, as_tuple
from tfcnn.layers.pooling import windows


class BedOfNails(keras.layers.Layer):
    """Base of `BedOfNails1D`, `2D` and `3D`."""

    dimensions: int

    def __init__(self, size: PerAxis = 2, position: PerAxis = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = as_tuple(size, self.dimensions, "size")
        self.position = as_tuple(position, self.dimensions, "position", minimum=0)
        if any(p >= s for p, s in zip(self.position, self.size, strict=True)):
            raise ValueError(f"position must lie within size={self.size}, got {position}")
        self.input_spec = keras.layers.InputSpec(ndim=self.dimensions + 2)

    def call(self, inputs: Any) -> Any:
        x = inputs
        for i, (size, position) in enumerate(zip(self.size, self.position, strict=True)):
            shape = ops.shape(x)
            outer, count, inner = windows.split_at(shape, i)
            x = windows.pad(ops.reshape(x, (outer * count, 1, inner)), position, size - 1 - position, 0)
            x = ops.reshape(x, (*shape[: i + 1], count * size, *shape[i + 2 :]))
        return x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, *sizes, channels = input_shape
        return (batch, *(n and n * size for n, size in zip(sizes, self.size, strict=True)), channels)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size, "position": self.position}


@keras.saving.register_keras_serializable(package="tfcnn")
class BedOfNails1D(BedOfNails):
    """Each step becomes `size` steps: the value at `position`, zeros at the others. As `BedOfNails2D`, over time.

    Args:
        size: steps that each step becomes, 1 or more.
        position: 0 to size - 1.

    Input shape:
        (batch, steps, channels), any dtype.

    Output shape:
        (batch, steps * size, channels), same dtype.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import keras
        >>> BedOfNails1D()(keras.ops.reshape([1.0, 2.0], (1, 2, 1))).numpy().ravel().tolist()
        [1.0, 0.0, 2.0, 0.0]
    """

    dimensions = 1


@keras.saving.register_keras_serializable(package="tfcnn")
class BedOfNails2D(BedOfNails):
    """Each pixel becomes a block of `size` pixels: the value at a fixed position, zeros everywhere else.

    Unpooling where the places of the maxima are not known. For nearest, bilinear or bicubic up-sampling use
    `keras.layers.UpSampling2D(size, interpolation="nearest", "bilinear" or "bicubic")`; for the places of the maxima
    `MaxUnpooling2D`.

    Args:
        size: rows and columns of a block, one integer or two, 1 or more.
        position: row and column within the block, one integer or two, 0 to size - 1.

    Input shape:
        (batch, height, width, channels), any dtype.

    Output shape:
        (batch, height * size, width * size, channels), same dtype.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import keras
        >>> BedOfNails2D(2, position=(0, 1))(keras.ops.ones((1, 1, 2, 1))).numpy()[0, :, :, 0].tolist()
        [[0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """

    dimensions = 2


@keras.saving.register_keras_serializable(package="tfcnn")
class BedOfNails3D(BedOfNails):
    """Each voxel becomes a block of `size` voxels: the value at a fixed position, zeros elsewhere. As `BedOfNails2D`.

    Args:
        size: planes, rows and columns of a block, one integer or three, 1 or more.
        position: place within the block, one integer or three, 0 to size - 1.

    Input shape:
        (batch, depth, height, width, channels), any dtype.

    Output shape:
        (batch, depth * size, height * size, width * size, channels), same dtype.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import keras
        >>> BedOfNails3D()(keras.ops.ones((1, 1, 1, 1, 1))).numpy().ravel().tolist()
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """

    dimensions = 3
