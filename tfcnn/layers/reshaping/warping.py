"""Regions of an image, warped to one size, as R-CNN's network takes them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.integers import PerAxis, as_number, as_tuple


@keras.saving.register_keras_serializable(package="tfcnn")
class WarpRegions2D(keras.layers.Layer):
    """Cuts regions out of images, with some of their surroundings, and warps them to one size, whatever their aspect.

    Girshick et al., "Rich feature hierarchies" (2013), section 2.1 and appendix A (D): at the warped size there are
    `context` pixels around the region, and 0 where they lie outside the image, the mean of standardised images. Pixels
    are interpolated bilinearly, without smoothing. No gradient reaches the regions.

    Args:
        size: height and width of a warped region, or one number for both.
        context: pixels of its surroundings on each side, of the paper's 227 for instance 16; less than half the size.

    Input shape:
        [images, regions]: (batch, height, width, channels), and (batch, r, 4), float32, as x1, y1, x2, y2 in pixels.

    Output shape:
        (batch, r, *size, channels), the layer's dtype. An empty region, as padding is, gives 0.

    Raises:
        ValueError: a size below 1, or a context that leaves nothing for the region.

    Example:
        >>> import numpy as np
        >>> image = np.arange(16.0).reshape(1, 4, 4, 1)
        >>> WarpRegions2D(2)([image, np.array([[[1.0, 1, 3, 3]]])]).numpy().ravel().tolist()
        [5.0, 6.0, 9.0, 10.0]
    """

    def __init__(self, size: PerAxis, context: float = 0, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # bfloat16 does not hold the pixels of a region
        self.size = as_tuple(size, 2, "size")
        self.context = as_number(context)
        if isinstance(context, bool) or not 0 <= self.context < min(self.size) / 2:
            raise ValueError(f"context must be 0 or more and below half of {min(self.size)} pixels, got {context}")

    def call(self, inputs: Any) -> Any:
        images, regions = inputs
        images = ops.cast(images, self.compute_dtype)
        regions = ops.stop_gradient(ops.cast(regions, self._dtype_of_places))
        _, height, width, channels = ops.shape(images)
        down = self._weights(regions[..., 1], regions[..., 3], height, self.size[0])
        across = self._weights(regions[..., 0], regions[..., 2], width, self.size[1])
        batch, count = ops.shape(regions)[:2]
        rows = ops.matmul(
            ops.reshape(down, (batch, count * self.size[0], height)),
            ops.reshape(images, (batch, height, width * channels)),
        )
        rows = ops.reshape(rows, (batch, count, self.size[0], width, channels))
        return ops.matmul(across[:, :, None], rows)  # (b, r, 1, t, x) @ (b, r, s, x, c)

    @property
    def _dtype_of_places(self) -> str:
        return "float64" if self.compute_dtype == "float64" else "float32"

    def _weights(self, first: Any, last: Any, length: Any, size: int) -> Any:
        """The share of each pixel along an axis in each pixel of a warped region: (batch, r, size, length)."""
        step = (last - first) / (size - 2 * self.context)  # pixels of the image to a pixel of the region
        pixels = ops.arange(size, dtype=step.dtype) + 0.5 - self.context
        places = first[..., None] + pixels * step[..., None] - 0.5
        distance = ops.abs(places[..., None] - ops.cast(ops.arange(length), step.dtype))
        weights = ops.where(step[..., None, None] > 0, ops.maximum(1 - distance, 0), ops.zeros_like(distance))
        return ops.cast(weights, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        images, regions = input_shape
        return (images[0], regions[1], *self.size, images[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size, "context": self.context}
