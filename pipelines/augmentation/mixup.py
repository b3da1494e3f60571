"""MixUp and CutMix: batches whose examples are made of two."""

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
    a: Augmentation,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix each example of a finished batch with another one of it.

    MixUp (Zhang et al. 2017, arXiv:1710.09412): the weighted mean of the two, the weight from Beta(mixup, mixup).
    CutMix (Yun et al. 2019, arXiv:1905.04899): a box of the other, whose share of the area is from
    Beta(cutmix, cutmix); its centre is anywhere, and what lies outside the image is cut off. With both, each batch
    is mixed by one of them, evenly. Partners are a random number of rows apart, never the example itself.

    Args:
        images: float32 (batch, height, width, channels).
        targets: float32 (batch, classes), one-hot.
        seed, epoch, batch_number: what is drawn is a function of these; the last counts within its epoch.

    Returns:
        (images, targets) of the same shapes; targets are weighted by what is seen of each of the two.
    """
    if not (a.mixup or a.cutmix):
        return images, targets
    batch, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    key = batch_key(seed, epoch, batch_number)
    for_batch, for_boxes, for_weights = (tf.random.experimental.stateless_fold_in(key, n) for n in range(3))
    which, distance = tf.unstack(tf.random.stateless_uniform([2], for_batch))
    apart = 1 + tf.cast(distance * tf.cast(batch - 1, tf.float32), tf.int32)
    other_images, other_targets = tf.roll(images, apart, axis=0), tf.roll(targets, apart, axis=0)

    def beta(alpha):
        first, second = tf.unstack(tf.random.stateless_gamma([2, batch], for_weights, alpha))
        return tf.math.divide_no_nan(first, first + second)

    def mean():
        weight = beta(a.mixup)
        mixed = other_images + weight[:, None, None, None] * (images - other_images)
        return mixed, weight

    def paste():
        y, x = tf.unstack(tf.random.stateless_uniform([2, batch], for_boxes))
        side = tf.sqrt(1 - beta(a.cutmix))
        inside_y, inside_x = _span(y, side, height), _span(x, side, width)
        seen = tf.reduce_mean(tf.cast(inside_y, tf.float32), 1) * tf.reduce_mean(tf.cast(inside_x, tf.float32), 1)
        # Rows of height x (width channels): a condition broadcast over channels takes three times as long.
        inside = inside_y[:, :, None] & tf.repeat(inside_x, images.shape[3], axis=1)[:, None, :]
        flat, other_flat = (tf.reshape(pixels, tf.shape(inside)) for pixels in (images, other_images))
        return tf.reshape(tf.where(inside, other_flat, flat), tf.shape(images)), 1 - seen

    if not a.cutmix:
        mixed, weight = mean()
    elif not a.mixup:
        mixed, weight = paste()
    else:
        mixed, weight = tf.cond(which < 0.5, mean, paste)
    return mixed, other_targets + weight[:, None] * (targets - other_targets)


def _span(centre, share, length: int) -> tf.Tensor:
    """Which of `length` pixels a box covers whose centre and side are given in shares: bool (batch, length)."""
    size = tf.round(share * length)[:, None]
    start = tf.round(centre[:, None] * length - size / 2)
    pixel = tf.range(length, dtype=tf.float32)
    return (pixel >= start) & (pixel < start + size)
