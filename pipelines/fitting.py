"""Images and masks fitted to a size: the middle is cropped, the shorter side padded, or the aspect not kept.

The pixels are those of keras.layers.Resizing, of crop_to_aspect_ratio or pad_to_aspect_ratio, up to rounding. That
layer pads before it resizes, so that a strip of 12000 x 100 pixels takes the memory of 12000 x 12000; here it takes its
own. TensorFlow alone, for the graphs of tf.data and of the export.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from pipelines.targets import IGNORE_LABEL

FITS = ("crop", "pad", "squash")


class Frame(NamedTuple):
    """The crop or the padding of images, int32 (2,) each, for height and width."""

    start: tf.Tensor  # first pixel that is left; below 0 for padding
    extent: tf.Tensor  # number of pixels, padding included


def frame(shape: tf.Tensor, height: int, width: int, fit: str) -> Frame:
    """What is resized of an image, rounded as keras.layers.Resizing does: the same at both ends.

    Args:
        shape: int32 (2,): height and width of the image.
        height, width: of the result.
        fit: one of FITS.
    """
    if fit == "squash":
        return Frame(tf.zeros_like(shape), shape)
    other = tf.stack([shape[1] * height, shape[0] * width])  # exact up to 2 ** 31
    wanted = tf.cast(tf.cast(other, tf.float32) / tf.constant([width, height], tf.float32), tf.int32)
    if fit == "crop":
        extent = tf.maximum(tf.minimum(shape, wanted), 1)
        return Frame((shape - extent) // 2, extent)
    start = (tf.maximum(shape, wanted) - shape) // 2
    return Frame(-start, shape + 2 * start)


def fit_images(images: tf.Tensor, height: int, width: int, fit: str) -> tf.Tensor:
    """Resize images bilinearly, smoothed.

    Args:
        images: numbers (height, width, channels) or (batch, height, width, channels), of any size.
        height, width: of the result.
        fit: "crop" the middle of images of another aspect, "pad" them with 0, or "squash" them to this aspect.

    Returns:
        float32 (height, width, channels), or with the batch.
    """
    shape = tf.shape(images)[-3:-1]
    start, extent = frame(shape, height, width, fit)
    if fit != "pad":
        y, x = tf.unstack(start)
        tall, wide = tf.unstack(extent)
        part = images[..., y : y + tall, x : x + wide, :]

        def resize() -> tf.Tensor:
            return tf.image.resize(part, (height, width), antialias=True)

        # Resizing to the same size gives the same pixels, in as long as decoding takes.
        fitted = tf.cond((tall == height) & (wide == width), lambda: tf.cast(part, tf.float32), resize)
        return _with_size(fitted, images, height, width)
    size = tf.constant([height, width])
    scale = tf.cast(size, tf.float32) / tf.cast(extent, tf.float32)
    batch = tf.cast(images if images.shape.rank == 4 else images[None], tf.float32)
    # A result's pixel sees a triangle of this radius; of the padding no more is needed than what these see.
    radius = tf.maximum(1 / scale, 1.0)
    margin = tf.minimum(-start, tf.cast(tf.math.ceil(2 * radius), tf.int32) + 2)
    # Padding makes a long strip many times as large, unless its longer axis is resized before. Others take longer so.
    longer = (start == 0) & tf.reduce_any(margin > 2 * shape)

    def resize_longer() -> tf.Tensor:
        return _scale(batch, tf.where(longer, size, shape), tf.where(longer, scale, 1.0), tf.zeros(2))

    part = tf.cond(tf.reduce_any(longer), resize_longer, lambda: batch)
    padding = tf.stack([margin, margin], axis=1)
    padded = tf.pad(part, tf.concat([[[0, 0]], padding, [[0, 0]]], axis=0))
    result = _scale(padded, size, tf.where(longer, 1.0, scale), tf.cast(-start - margin, tf.float32) * scale)
    return _with_size(result if images.shape.rank == 4 else result[0], images, height, width)


def _scale(images: tf.Tensor, size: tf.Tensor, scale: tf.Tensor, translation: tf.Tensor) -> tf.Tensor:
    """Scale float32 (batch, height, width, channels) bilinearly, smoothed, then move, to `size`."""
    return tf.raw_ops.ScaleAndTranslate(
        images=images, size=size, scale=scale, translation=translation, kernel_type="triangle", antialias=True
    )


def fit_masks(masks: tf.Tensor, height: int, width: int, fit: str) -> tf.Tensor:
    """Resize masks to their nearest pixels, padded with IGNORE_LABEL.

    Args:
        masks: whole numbers (height, width, 1) or (batch, height, width, 1).
        height, width, fit: as for `fit_images`.

    Returns:
        int32 (height, width, 1), or with the batch.
    """
    shape = tf.shape(masks)[-3:-1]
    start, extent = frame(shape, height, width, fit)
    result = tf.cast(masks, tf.int32)
    for place, (axis, length) in enumerate(((-3, height), (-2, width))):
        ratio = tf.cast(extent[place], tf.float32) / length
        pixel = tf.cast(tf.floor((tf.range(length, dtype=tf.float32) + 0.5) * ratio), tf.int32)
        source = tf.minimum(pixel, extent[place] - 1) + start[place]
        inside = (source >= 0) & (source < shape[place])
        result = tf.gather(result, tf.clip_by_value(source, 0, shape[place] - 1), axis=axis)
        inside = tf.reshape(inside, (length, 1, 1) if axis == -3 else (length, 1))
        result = tf.where(inside, result, IGNORE_LABEL)
    return _with_size(result, masks, height, width)


def _with_size(result: tf.Tensor, images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The result with the shape that is known of it."""
    return tf.ensure_shape(result, (*images.shape[:-3], height, width, images.shape[-1]))


def undo_fit(
    maps: tf.Tensor, size: tf.Tensor, height: int, width: int, fit: str, first: Sequence[float], step: Sequence[float]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Bring maps of fitted images back to the size that the images had, the padding or the crop undone.

    Args:
        maps: numbers (batch, rows, columns, channels): values at pixels first, first + step, ... of the fitted image.
        size: int32 (2,): height and width of the images before `fit_images`.
        height, width, fit: as for `fit_images`.
        first, step: for each axis the pixel of the first row or column of the maps, and the distance of the next.

    Returns:
        float32 (batch, *size, channels), interpolated bilinearly, smoothed where they shrink; and bool `size`: where
        the maps tell something. Beyond a crop, or beyond maps of the middle, they do not.
    """
    start, extent = frame(size, height, width, fit)
    lengths = tf.constant([height, width], tf.float32)
    pixels = tf.cast(extent, tf.float32) / lengths  # of the image, to one of the fitted image
    steps = tf.constant(step, tf.float32)
    begin = tf.constant(first, tf.float32) + 0.5 - steps / 2  # of the first cell, in the fitted image
    end = begin + steps * tf.cast(tf.shape(maps)[1:3], tf.float32)
    offset = tf.cast(start, tf.float32)
    padding = [[0, 0], [1, 1], [1, 1], [0, 0]]  # a pixel at the border lies before the middle of the first cell
    padded = tf.pad(tf.cast(maps, tf.float32), padding, "SYMMETRIC")
    result = _scale(padded, size, steps * pixels, (begin - steps) * pixels + offset)
    # A cell whose border is less than a pixel within the image's reaches as far as the image.
    begin = tf.where(begin < 1, 0.0, begin) * pixels + offset
    end = tf.where(end > lengths - 1, lengths, end) * pixels + offset
    inside = []
    for axis in range(2):
        middles = tf.range(size[axis], dtype=tf.float32) + 0.5
        inside.append((middles > begin[axis] - 0.01) & (middles < end[axis] + 0.01))
    return result, inside[0][:, None] & inside[1][None, :]
