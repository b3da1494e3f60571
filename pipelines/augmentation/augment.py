"""Augmentation of a batch, or of a batch of one example: a function of the batch and its draws alone.

One order: move (one resampling for everything that moves pixels), colour, erase.
"""

from __future__ import annotations

import math

import tensorflow as tf

from pipelines.augmentation import colour, geometry, partition, randaugment
from pipelines.augmentation import draws as column
from pipelines.augmentation.policy import Augmentation
from pipelines.targets import IGNORE_LABEL

ERASE_AREA = (0.02, 1 / 3)  # of the erased box: timm's; Zhong et al. 2017 up to 0.4
ERASE_RATIO = (0.3, 1 / 0.3)


def augment(
    images: tf.Tensor,
    draws: tf.Tensor,
    augmentation: Augmentation,
    *,
    fill_mode: str,
    masks: tf.Tensor | None = None,
    boxes: tf.Tensor | None = None,
) -> tf.Tensor | dict[str, tf.Tensor]:
    """Move, colour and erase images, and move what belongs to them.

    A field that asks for nothing costs nothing. `geometry.crop_window` applies `scale` where the image is read. Erasing
    covers a box of the image with the image's mean colour (Zhong et al. 2017, arXiv:1708.04896), and leaves masks and
    boxes as they are: what is hidden is still there.

    Args:
        images: float32 (batch, height, width, channels) in 0 ... 255.
        draws: float32 (batch, DRAWS) in [0, 1).
        fill_mode: what lies outside the image: "CONSTANT" (0; in masks 255) or "REFLECT". Mirrored objects outside
            the image have a mask but no box, so that boxes go with "CONSTANT".
        masks: uint8 or int32 (batch, height, width, 1), labels.
        boxes: float32 (batch, n, 4), x and y of the first corner and of the last, in pixels; rows of -1 are padding.

    Returns:
        The images; with masks or boxes, a dict of "images" and of "masks"; of "boxes", with rows of -1 where less than
        a fifth of a box is left, and "keep", bool (batch, n), where a box is left. Shapes and types stay.
    """
    height, width = images.shape[1], images.shape[2]
    resampled = bool(augmentation.degrees or augmentation.translate or augmentation.zoom or augmentation.randaugment)
    if resampled or boxes is not None:
        matrices = geometry.matrices(draws, augmentation, height, width)
        if augmentation.randaugment:
            matrices = randaugment.move(matrices, draws, height, width, *augmentation.randaugment)

    def move(pixels: tf.Tensor, interpolation: str, fill_value: float) -> tf.Tensor:
        if not resampled:
            return geometry.mirror(pixels, draws, augmentation)
        return geometry.resample(
            pixels, matrices, interpolation=interpolation, fill_mode=fill_mode, fill_value=fill_value
        )

    images = move(images, "BILINEAR", 0.0)
    if augmentation.color_jitter:
        images = colour.jitter(images, draws, augmentation.color_jitter)
    if augmentation.randaugment:
        images = randaugment.recolour(images, draws, *augmentation.randaugment)
    if augmentation.erase:
        images = partition.change(images, draws[:, column.ERASE] < augmentation.erase, [_erase], draws)
    if masks is None and boxes is None:
        return images
    together = {"images": images}
    if masks is not None:
        together["masks"] = move(masks, "NEAREST", IGNORE_LABEL)
    if boxes is not None:
        together["boxes"], together["keep"] = geometry.move_boxes(boxes, matrices, height, width)
    return together


def _erase(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Cover a box of each image with the image's mean colour."""
    area = ERASE_AREA[0] + (ERASE_AREA[1] - ERASE_AREA[0]) * draws[:, column.ERASE_AREA]
    ratio = tf.exp(math.log(ERASE_RATIO[1]) * (2 * draws[:, column.ERASE_RATIO] - 1))

    def span(length: int, share: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
        size = tf.minimum(tf.round(length * tf.sqrt(share)), length)
        start = tf.floor(chance * (length - size + 1))[:, None]
        pixel = tf.range(length, dtype=tf.float32)
        return (pixel >= start) & (pixel < start + size[:, None])

    rows = span(images.shape[1], area / ratio, draws[:, column.ERASE_Y])
    columns = span(images.shape[2], area * ratio, draws[:, column.ERASE_X])
    box = rows[:, :, None, None] & columns[:, None, :, None]
    return tf.where(box, tf.reduce_mean(images, axis=(1, 2), keepdims=True), images)


def augment_waveforms(
    waveforms: tf.Tensor, draws: tf.Tensor, augmentation: Augmentation, silence: float = 0.0
) -> tf.Tensor:
    """Play waveforms slower or faster, shift them in time, turn them upside down and scale their amplitude.

    Another speed is another pitch and another duration (Ko et al. 2015, "Audio augmentation for speech recognition").
    What comes from before the sound or after it is silence.

    Args:
        waveforms: float32 (batch, length, channels).
        draws: float32 (batch, DRAWS) in [0, 1).
        augmentation: its `zoom`, the duration times exp of a number uniformly in +-zoom; `translate`, of the length;
            `vflip`, the probability of the opposite sign; `color_jitter`, the amplitude times a factor in 1 +- this.
        silence: the value of no sound.
    """
    changed = waveforms - silence if silence else waveforms
    if augmentation.zoom:
        changed = _stretch(changed, tf.exp(augmentation.zoom * (2 * draws[:, column.ZOOM] - 1)))
    if augmentation.translate:
        changed = _shift(changed, draws[:, column.SHIFT_X], augmentation.translate, axis=1)
    if augmentation.vflip:
        changed *= tf.where(draws[:, column.FLIP_Y, None, None] < augmentation.vflip, -1.0, 1.0)
    if augmentation.color_jitter:
        changed *= 1 + augmentation.color_jitter * (2 * draws[:, column.BRIGHTNESS, None, None] - 1)
    return changed + silence if silence else changed


def _stretch(waveforms: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Waveforms (batch, length, channels) `factor` (batch,) times as long about their middle, and cut or padded with 0.

    By cubic interpolation (Keys 1981, "Cubic convolution interpolation for digital image processing", a = -1/2): linear
    interpolation would damp the high frequencies.
    """
    length = waveforms.shape[1]
    middle = (length - 1) / 2
    steps = tf.range(length, dtype=tf.float64) - middle  # float32 is exact for the samples of some minutes alone
    places = middle + steps / tf.cast(factor, tf.float64)[:, None]
    before = tf.floor(places)
    t = tf.cast(places - before, tf.float32)[..., None]
    weights = (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (-(t**2) + t**3) / 2,
    )
    padded = tf.pad(waveforms, [[0, 0], [1, 2], [0, 0]])
    inside = (places >= 0) & (places <= length - 1)
    first = tf.cast(tf.clip_by_value(before, 0, length - 1), tf.int32)  # in `padded` the sample before the place
    samples = (tf.gather(padded, first + i, axis=1, batch_dims=1) for i in range(4))
    total = sum(weight * sample for weight, sample in zip(weights, samples, strict=True))
    return tf.where(inside[..., None], total, 0.0)


def augment_volumes(volumes: tf.Tensor, draws: tf.Tensor, augmentation: Augmentation, fill_value: int = 0) -> tf.Tensor:
    """Mirror volumes, or their masks, turn and zoom them, and shift them by whole voxels.

    Args:
        volumes: float32 or int32 (batch, depth, height, width, channels).
        draws: float32 (batch, DRAWS) in [0, 1).
        augmentation: its `hflip` is for the width and for the depth, independently; `vflip` for the height; `degrees`
            and `quarter_turns` for each of the three planes; `zoom` for all sides together; `translate` for each side.
        fill_value: of voxels from outside: 0, emptiness; for masks the label to ignore.
    """
    for axis, flip, share in (
        (1, column.FLIP_Z, augmentation.hflip),
        (2, column.FLIP_Y, augmentation.vflip),
        (3, column.FLIP_X, augmentation.hflip),
    ):
        if share:
            volumes = partition.change(
                volumes, draws[:, flip] < share, [lambda some, axis=axis: tf.reverse(some, [axis])]
            )
    if augmentation.quarter_turns or augmentation.degrees or augmentation.zoom:
        volumes = geometry.turn_volumes(volumes, draws, augmentation, fill_value)
    if augmentation.translate:
        for axis, shift in ((1, column.SHIFT_Z), (2, column.SHIFT_Y), (3, column.SHIFT_X)):
            volumes = _shift(volumes, draws[:, shift], augmentation.translate, axis, fill_value)
    return volumes


def _shift(values: tf.Tensor, chance: tf.Tensor, share: float, axis: int, fill_value: int = 0) -> tf.Tensor:
    """Move values (batch, ...) along one axis by a whole number of steps in +-share of its length, and pad."""
    length = values.shape[axis]
    steps = tf.cast(tf.round(share * length * (2 * chance - 1)), tf.int32)
    source = tf.range(length) - steps[:, None]
    inside = (source >= 0) & (source < length)
    inside = tf.reshape(inside, [-1, *(length if i == axis else 1 for i in range(1, values.shape.rank))])
    moved = tf.gather(values, tf.clip_by_value(source, 0, length - 1), axis=axis, batch_dims=1)
    return tf.where(inside, moved, tf.constant(fill_value, values.dtype))
