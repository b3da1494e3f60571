"""Augmentation of a batch, or of a batch of one example: a function of it, of its luck and of nothing else.

One order: move (one resampling for everything that moves pixels), colour, erase.
"""

from __future__ import annotations

import math

import tensorflow as tf

from pipelines.augmentation import colour, geometry, partition, randaugment
from pipelines.augmentation import draws as column
from pipelines.augmentation.policy import Augmentation
from pipelines.targets import IGNORE_LABEL

ERASE_AREA, ERASE_RATIO = (0.02, 1 / 3), (0.3, 1 / 0.3)  # of the erased box: timm's; Zhong et al. 2017 up to 0.4


def augment(
    images: tf.Tensor,
    luck: tf.Tensor,
    a: Augmentation,
    *,
    fill_mode: str,
    masks: tf.Tensor | None = None,
    boxes: tf.Tensor | None = None,
) -> tf.Tensor | dict[str, tf.Tensor]:
    """Move, colour and erase images, and move what belongs to them.

    What `a` does not ask for costs nothing. `a.scale` is not done here but by `geometry.crop_window` where the image
    is read. Erasing covers a box of the image with the image's mean colour (Zhong et al. 2017, arXiv:1708.04896),
    and leaves masks and boxes as they are: what is hidden is still there.

    Args:
        images: float32 (batch, height, width, channels) in 0 ... 255.
        luck: float32 (batch, DRAWS) in [0, 1).
        fill_mode: what lies outside the image: "CONSTANT" (0; in masks 255) or "REFLECT". Mirrored objects outside
            the image have a mask but no box, so that boxes go with "CONSTANT".
        masks: uint8 or int32 (batch, height, width, 1), labels.
        boxes: float32 (batch, n, 4), x and y of the first corner and of the last, in pixels; rows of -1 are padding.

    Returns:
        The images; or, if masks or boxes are given, a dict of "images" and of "masks"; of "boxes", with rows of -1
        for those of which less than a fifth remains, and "keep", bool (batch, n), the others. Shapes and types stay.
    """
    height, width = images.shape[1], images.shape[2]
    resampled = bool(a.degrees or a.translate or a.zoom or a.randaugment)
    if resampled or boxes is not None:
        matrices = geometry.matrices(luck, a, height, width)
        if a.randaugment:
            matrices = randaugment.move(matrices, luck, *a.randaugment, height, width)

    def moved(pixels, interpolation, fill_value):
        if not resampled:
            return geometry.mirror(pixels, luck, a)
        return geometry.resample(
            pixels, matrices, interpolation=interpolation, fill_mode=fill_mode, fill_value=fill_value
        )

    images = moved(images, "BILINEAR", 0.0)
    if a.color_jitter:
        images = colour.jitter(images, luck, a.color_jitter)
    if a.randaugment:
        images = randaugment.recolour(images, luck, *a.randaugment)
    if a.erase:
        images = partition.change(images, luck[:, column.ERASE] < a.erase, [_erase], luck)
    if masks is None and boxes is None:
        return images
    together = {"images": images}
    if masks is not None:
        together["masks"] = moved(masks, "NEAREST", IGNORE_LABEL)
    if boxes is not None:
        together["boxes"], together["keep"] = geometry.move_boxes(boxes, matrices, height, width)
    return together


def _erase(images: tf.Tensor, luck: tf.Tensor) -> tf.Tensor:
    """A box of each image becomes its mean colour."""
    area = ERASE_AREA[0] + (ERASE_AREA[1] - ERASE_AREA[0]) * luck[:, column.ERASE_AREA]
    ratio = tf.exp(math.log(ERASE_RATIO[1]) * (2 * luck[:, column.ERASE_RATIO] - 1))

    def span(length, share, chance):
        size = tf.minimum(tf.round(length * tf.sqrt(share)), length)
        start = tf.floor(chance * (length - size + 1))[:, None]
        pixel = tf.range(length, dtype=tf.float32)
        return (pixel >= start) & (pixel < start + size[:, None])

    rows = span(images.shape[1], area / ratio, luck[:, column.ERASE_Y])
    columns = span(images.shape[2], area * ratio, luck[:, column.ERASE_X])
    box = rows[:, :, None, None] & columns[:, None, :, None]
    return tf.where(box, tf.reduce_mean(images, axis=(1, 2), keepdims=True), images)


def augment_waveforms(waveforms: tf.Tensor, luck: tf.Tensor, a: Augmentation) -> tf.Tensor:
    """Shift waveforms in time, silence (0) moving in, and make them louder or softer by a factor in 1 +- color_jitter.

    Args:
        waveforms: float32 (batch, length, channels).
        luck: float32 (batch, DRAWS) in [0, 1).
        a: its `translate`, of the length, and `color_jitter`.
    """
    if a.translate:
        waveforms = _shift(waveforms, luck[:, column.SHIFT_X], a.translate, axis=1)
    if a.color_jitter:
        waveforms *= 1 + a.color_jitter * (2 * luck[:, column.BRIGHTNESS, None, None] - 1)
    return waveforms


def augment_volumes(volumes: tf.Tensor, luck: tf.Tensor, a: Augmentation) -> tf.Tensor:
    """Mirror and shift volumes by whole voxels, emptiness (0) moving in.

    Args:
        volumes: float32 (batch, depth, height, width, channels).
        luck: float32 (batch, DRAWS) in [0, 1).
        a: its `hflip`, of the width and of the depth, each by itself; `vflip`, of the height; `translate`, of each
            side.
    """
    for axis, flip, share, shift in (
        (1, column.FLIP_Z, a.hflip, column.SHIFT_Z),
        (2, column.FLIP_Y, a.vflip, column.SHIFT_Y),
        (3, column.FLIP_X, a.hflip, column.SHIFT_X),
    ):
        if share:
            volumes = partition.change(
                volumes, luck[:, flip] < share, [lambda some, axis=axis: tf.reverse(some, [axis])]
            )
        if a.translate:
            volumes = _shift(volumes, luck[:, shift], a.translate, axis)
    return volumes


def _shift(values: tf.Tensor, chance: tf.Tensor, share: float, axis: int) -> tf.Tensor:
    """Values (batch, ...) moved along one axis by a whole number of steps in +-share of its length, 0 moving in."""
    length = values.shape[axis]
    steps = tf.cast(tf.round(share * length * (2 * chance - 1)), tf.int32)
    source = tf.range(length) - steps[:, None]
    inside = tf.cast((source >= 0) & (source < length), values.dtype)
    inside = tf.reshape(inside, [-1, *(length if i == axis else 1 for i in range(1, values.shape.rank))])
    return tf.gather(values, tf.clip_by_value(source, 0, length - 1), axis=axis, batch_dims=1) * inside
