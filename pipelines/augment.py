"""Light augmentation of a batch: small rotation, zoom, shift, and mirroring where the data allow it.

Every example's luck is a row of numbers drawn for (seed, epoch, example), so that a batch is a function of its
images and of those rows and of nothing else.
"""

from __future__ import annotations

import math

import tensorflow as tf

DRAWS = 5  # uniform numbers in [0, 1) that one example needs
ROTATION = math.radians(12)
ZOOM = 0.15
SHIFT = 0.09  # of the side


def draws(seed: int, epoch: tf.Tensor, examples: int) -> tf.Tensor:
    """Every example's luck in one epoch (int64 scalar): float32 (examples, DRAWS), row i for example i."""
    return tf.random.stateless_uniform([examples, DRAWS], tf.stack([tf.cast(seed, tf.int64), epoch]))


def augment(images: tf.Tensor, luck: tf.Tensor, *, hflip: float, fill_mode: str) -> tf.Tensor:
    """Rotate, zoom, shift and mirror, by one bilinear resampling.

    Args:
        images: float32 (batch, height, width, channels).
        luck: float32 (batch, DRAWS) in [0, 1).
        hflip: share of the images that is mirrored left to right.
        fill_mode: what lies outside the image: "CONSTANT" (0) or "REFLECT".

    Returns:
        float32, the shape of `images`.
    """
    height, width = images.shape[1], images.shape[2]
    centred = 2 * luck[:, :4] - 1
    angle, zoom = ROTATION * centred[:, 0], tf.exp(ZOOM * centred[:, 1])
    mirror = tf.where(luck[:, 4] < hflip, -1.0, 1.0)
    # The output pixel (x, y) reads the input pixel (a x + b y + c, d x + e y + f), about the image's centre.
    a, b = mirror * tf.cos(angle) / zoom, -mirror * tf.sin(angle) / zoom
    d, e = tf.sin(angle) / zoom, tf.cos(angle) / zoom
    x0, y0 = (width - 1) / 2, (height - 1) / 2
    c = x0 - a * x0 - b * y0 + SHIFT * width * centred[:, 2]
    f = y0 - d * x0 - e * y0 + SHIFT * height * centred[:, 3]
    nought = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, nought, nought], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode=fill_mode,
    )
