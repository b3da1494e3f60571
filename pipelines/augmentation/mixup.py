"""MixUp and CutMix: each example becomes a mixture of two."""

from __future__ import annotations

import tensorflow as tf

from pipelines.augmentation.draws import batch_key
from pipelines.augmentation.policy import Augmentation


def mix(
    images: tf.Tensor,
    targets: tf.Tensor,
    seed: int | tf.Tensor,
    epoch: int | tf.Tensor,
    batch_number: int | tf.Tensor,
    augmentation: Augmentation,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix each example of a finished batch with another.

    MixUp (Zhang et al. 2017, arXiv:1710.09412): the weighted mean of the two, the weight from Beta(mixup, mixup).
    CutMix (Yun et al. 2019, arXiv:1905.04899): a box of the other pasted in, its share of the area from
    Beta(cutmix, cutmix), its centre anywhere, clipped to the image. With both, each batch gets either, with equal
    probability. Partners are a random number of rows apart, never the example itself.

    Args:
        images: float32 (batch, height, width, channels).
        targets: float32 (batch, classes), one-hot.
        seed, epoch, batch_number: decide all draws; batches are counted within their epoch.

    Returns:
        (images, targets) of the same shapes; targets are weighted by the visible share of each of the two.
    """
    if not (augmentation.mixup or augmentation.cutmix):
        return images, targets
    batch = tf.shape(images)[0]
    _, height, width, _ = images.shape
    key = batch_key(seed, epoch, batch_number)
    batch_seed, box_seed, weight_seed = (tf.random.experimental.stateless_fold_in(key, n) for n in range(3))
    which, distance = tf.unstack(tf.random.stateless_uniform([2], batch_seed))
    apart = 1 + tf.cast(distance * tf.cast(batch - 1, tf.float32), tf.int32)
    other_images = tf.roll(images, apart, axis=0)
    other_targets = tf.roll(targets, apart, axis=0)

    def average() -> tuple[tf.Tensor, tf.Tensor]:
        weight = _draw_beta(augmentation.mixup, batch, weight_seed)
        mixed = other_images + weight[:, None, None, None] * (images - other_images)
        return mixed, weight

    def paste() -> tuple[tf.Tensor, tf.Tensor]:
        y, x = tf.unstack(tf.random.stateless_uniform([2, batch], box_seed))
        side = tf.sqrt(1 - _draw_beta(augmentation.cutmix, batch, weight_seed))
        inside_y = _span(y, side, height)
        inside_x = _span(x, side, width)
        seen = tf.reduce_mean(tf.cast(inside_y, tf.float32), 1) * tf.reduce_mean(tf.cast(inside_x, tf.float32), 1)
        # Rows of height x (width channels): a condition broadcast over channels takes three times as long.
        inside = inside_y[:, :, None] & tf.repeat(inside_x, images.shape[3], axis=1)[:, None, :]
        flat = tf.reshape(images, tf.shape(inside))
        other_flat = tf.reshape(other_images, tf.shape(inside))
        return tf.reshape(tf.where(inside, other_flat, flat), tf.shape(images)), 1 - seen

    if not augmentation.cutmix:
        mixed, weight = average()
    elif not augmentation.mixup:
        mixed, weight = paste()
    else:
        mixed, weight = tf.cond(which < 0.5, average, paste)
    return mixed, other_targets + weight[:, None] * (targets - other_targets)


def _draw_beta(alpha: float, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Numbers from Beta(alpha, alpha), float32 (count,)."""
    first, second = tf.unstack(tf.random.stateless_gamma([2, count], seed, alpha))
    return tf.math.divide_no_nan(first, first + second)


def _span(centre: tf.Tensor, share: tf.Tensor, length: int) -> tf.Tensor:
    """The pixels of a side that a box covers, its centre and side in shares of `length`: bool (batch, length)."""
    size = tf.round(share * length)[:, None]
    start = tf.round(centre[:, None] * length - size / 2)
    pixel = tf.range(length, dtype=tf.float32)
    return (pixel >= start) & (pixel < start + size)
