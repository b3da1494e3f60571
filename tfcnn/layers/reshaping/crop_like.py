"""Cutting one map to the size of another, as networks with skip connections do before they join two maps."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.integers import as_int


@keras.saving.register_keras_serializable(package="tfcnn")
class CropLike(keras.layers.Layer):
    """Cuts a map to the size of another: keras.layers.Cropping2D, with amounts that follow from the maps' sizes.

    Any number of spatial axes, and sizes that are not known when the model is built.

    Args:
        offset: where the cut begins, in pixels on each axis; None: in the middle (U-Net), the odd pixel after the cut.

    Input shape:
        [x, like]: (batch, *sizes, channels) and (batch, *smaller sizes, other channels).

    Output shape:
        (batch, *smaller sizes, channels), the layer's dtype.

    Raises:
        ValueError: offset is below 0, the maps differ in their number of axes, or `like` reaches beyond `x`.

    Example:
        >>> import keras
        >>> x = keras.ops.reshape(keras.ops.arange(5.0), (1, 5, 1))
        >>> CropLike()([x, keras.ops.ones((1, 3, 7))]).numpy().ravel().tolist()
        [1.0, 2.0, 3.0]
        >>> CropLike(offset=2)([x, keras.ops.ones((1, 3, 7))]).numpy().ravel().tolist()
        [2.0, 3.0, 4.0]
    """

    def __init__(self, offset: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.offset = None if offset is None else as_int(offset, "offset", minimum=0)

    def call(self, inputs: Any) -> Any:
        x, like = inputs
        shape = ops.shape(like)
        axes = zip(self.first(ops.shape(x), shape), shape[1:-1], strict=True)
        return x[(slice(None), *(slice(first, first + size) for first, size in axes))]

    def first(self, shape: tuple, like: tuple) -> list:
        """The first pixel of the cut on each axis, from the two shapes."""
        spare = (size - smaller for size, smaller in zip(shape[1:-1], like[1:-1], strict=True))
        return [pixels // 2 if self.offset is None else self.offset for pixels in spare]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        x, like = input_shape
        if len(x) != len(like):
            raise ValueError(f"a map of shape {tuple(x)} cannot be cut to the size of one of shape {tuple(like)}")
        for size, smaller in zip(x[1:-1], like[1:-1], strict=True):
            if None not in (size, smaller) and (self.offset or 0) + smaller > size:
                raise ValueError(f"{smaller} pixels from pixel {self.offset or 0} on cannot be cut from {size}")
        return (x[0], *like[1:-1], x[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"offset": self.offset}
