"""Boxes in the pixels of an image, and in those of the network's input that the image is fitted to. TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from pipelines import fitting


class Frame(NamedTuple):
    """How an image is fitted to the network's size: (p - start) * scale.

    Attributes:
        start: float32 (4,), x, y, x, y of the first pixel of the image that is left; below 0 for padding.
        scale: float32 (4,), pixels of the network's input to one of the image.
        sides: float32 (4,), width, height, width, height of the image.
        network_sides: the same of the network's input.
    """

    start: tf.Tensor
    scale: tf.Tensor
    sides: tf.Tensor
    network_sides: tf.Tensor

    @classmethod
    def of(cls, size: tf.Tensor, facts: Mapping[str, Any]) -> Frame:
        """Of an image.

        Args:
            size: int32 (2,), its height and width.
            facts: of the training data: image_shape and fit.
        """
        height, width, _ = facts["image_shape"]
        start, extent = fitting.frame(tf.convert_to_tensor(size), height, width, facts["fit"])
        network_sides = tf.constant([width, height, width, height], tf.float32)
        return cls(_xyxy(start), network_sides / _xyxy(extent), _xyxy(size), network_sides)

    def enter(self, regions: tf.Tensor) -> tf.Tensor:
        """Regions (..., 4) of the image in the network's input, cut at its borders; rows of -1 stay."""
        moved = tf.clip_by_value((regions - self.start) * self.scale, 0.0, self.network_sides)
        return tf.where(tf.reduce_all(regions == -1, axis=-1, keepdims=True), -1.0, moved)

    def leave(self, boxes: tf.Tensor, is_box: tf.Tensor) -> tf.Tensor:
        """Boxes (..., 4) of the network's input in the image, cut at its borders; -1 where `is_box` (...) is false."""
        moved = tf.clip_by_value(boxes / self.scale + self.start, 0.0, self.sides)
        return tf.where(is_box[..., None], moved, -1.0)


def _xyxy(pair: tf.Tensor) -> tf.Tensor:
    """y, x as float32 x, y, x, y."""
    return tf.tile(tf.cast(pair, tf.float32)[::-1], [2])
