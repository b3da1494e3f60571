"""Raw examples as a network takes them: (value - low) / (high - low), minus the mean, by the standard deviation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

SCOPE = "standardise"  # in the names of its operations


def standardiser(
    facts: Mapping[str, Any], low: float, high: float, *, by_rows: bool = True
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function that standardises raw examples, as one product and one sum.

    Args:
        facts: of the training data: image_shape, mean, std.
        low, high: the values that become 0 and 1 before mean and std.
        by_rows: compute with whole rows of an image, the constants repeated for each pixel. Where the channels of a
            pixel lie side by side, three constants in turn take TensorFlow five times as long, and LiteRT's int8
            kernels a fifth of MobileNet's time; in ONNX, where each channel is a plane, they do not.

    Returns:
        Callable: numbers (batch, *image_shape) -> float32 of the same shape.
    """
    import numpy as np
    import tensorflow as tf

    shape = tuple(facts["image_shape"])
    mean, std = (np.broadcast_to(np.asarray(facts[name], np.float64), shape[-1:]) for name in ("mean", "std"))
    scale = 1 / ((high - low) * std)
    shift = -(low / (high - low) + mean) / std
    repeats = shape[-2] if by_rows and shape[-1] > 1 else 1
    # Arrays, not tensors: tf2onnx makes an input of each tensor from outside the function.
    factor, offset = (np.tile(values, repeats).astype(np.float32) for values in (scale, shift))

    def standardise(examples: tf.Tensor) -> tf.Tensor:
        with tf.name_scope(SCOPE):
            values = tf.cast(examples, tf.float32)
            if repeats == 1:
                return values * factor + offset
            rows = tf.reshape(values, (-1, *shape[:-2], shape[-2] * shape[-1]))
            return tf.reshape(rows * factor + offset, (-1, *shape))

    return standardise
