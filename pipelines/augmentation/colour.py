"""Operations on colours: images float32 (batch, height, width, channels) in 0 ... 255 in, the same out.

Those with a factor, float32 (batch,), are Pillow's enhancers: 0 removes the property, 1 leaves the image, a larger
factor strengthens it. The others are Pillow's ImageOps, each channel on its own values.
"""

from __future__ import annotations

import tensorflow as tf

from pipelines.augmentation import draws as column


def brightness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0: black."""
    return tf.clip_by_value(images * factor[:, None, None, None], 0.0, 255.0)


def contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0: the mean of the grey image everywhere."""
    return _blend(tf.reduce_mean(_grey(images), axis=(1, 2), keepdims=True), images, factor)


def saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0: the grey image. Images without three channels have no saturation and stay."""
    return _blend(_grey(images), images, factor) if images.shape[3] == 3 else images


def sharpness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0: blurred by (1 1 1, 1 5 1, 1 1 1) / 13; the outermost pixels stay."""
    if min(images.shape[1:3]) < 3:  # there are no inner pixels
        return images
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    window = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = images[:, 1:-1, 1:-1]
    difference = tf.pad((window + 4 * inner) / 13 - inner, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return _blend(images + difference, images, factor)


def posterize(images: tf.Tensor, bits: int | tf.Tensor) -> tf.Tensor:
    """Keep the highest `bits` (1 ... 8) of each value."""
    step = 2.0 ** (8 - bits)
    return tf.floor(images / step) * step


def solarize(images: tf.Tensor, threshold: float | tf.Tensor) -> tf.Tensor:
    """Invert the values from the threshold on."""
    return images + tf.cast(images >= threshold, tf.float32) * (255 - 2 * images)


def auto_contrast(images: tf.Tensor) -> tf.Tensor:
    """Stretch the values so that the darkest is 0 and the brightest 255."""
    low, high = (  # one axis after the other: twice as fast as both
        limit(limit(images, axis=1, keepdims=True), axis=2, keepdims=True) for limit in (tf.reduce_min, tf.reduce_max)
    )
    plain = high == low
    return tf.where(plain, 1.0, tf.math.divide_no_nan(255.0, high - low)) * (images - tf.where(plain, 0.0, low))


def equalize(images: tf.Tensor) -> tf.Tensor:
    """Equalize the histogram of each channel. Values are rounded to whole numbers."""
    images = tf.round(images)
    batch, height, width, channels = tf.unstack(tf.shape(images))
    planes = tf.reshape(tf.transpose(images, [0, 3, 1, 2]), [batch * channels, height * width])
    count = tf.math.bincount(tf.cast(planes, tf.int32), minlength=256, maxlength=256, axis=-1)
    brightest = 255 - tf.argmax(tf.reverse(count, [1]) > 0, axis=1, output_type=tf.int32)
    step = (tf.reduce_sum(count, axis=1) - tf.gather(count, brightest, batch_dims=1))[:, None] // 255
    table = (step // 2 + tf.cumsum(count, axis=1, exclusive=True)) // tf.maximum(step, 1)
    table = tf.where(step > 0, tf.minimum(table, 255), tf.range(256))
    first = tf.reshape(256 * tf.range(batch * channels), [batch, 1, 1, channels])
    return tf.gather(tf.cast(tf.reshape(table, [-1]), tf.float32), tf.cast(images, tf.int32) + first)


def jitter(images: tf.Tensor, draws: tf.Tensor, strength: float) -> tf.Tensor:
    """Brightness, contrast and saturation, each by a factor uniformly in 1 +- strength."""
    for operation, number in (
        (brightness, column.BRIGHTNESS),
        (contrast, column.CONTRAST),
        (saturation, column.SATURATION),
    ):
        images = operation(images, 1 + strength * (2 * draws[:, number] - 1))
    return images


def _blend(without: tf.Tensor, images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(without + factor[:, None, None, None] * (images - without), 0.0, 255.0)


def _grey(images: tf.Tensor) -> tf.Tensor:
    """Luma (ITU-R BT.601) of three channels, else the mean: one channel."""
    if images.shape[3] == 3:
        return images[..., :1] * 0.299 + images[..., 1:2] * 0.587 + images[..., 2:] * 0.114
    return tf.reduce_mean(images, axis=3, keepdims=True)
