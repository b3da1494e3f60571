"""From encoded images to pixels: whole, or only the part that a crop needs.

A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that still holds more pixels than the smallest crop needs:
libjpeg then does a part of the resizing, and the rest needs no smoothing.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipelines.errors import BadData
from pipelines.parts import Part, read_part
from pipelines.pixels import FULL_SCALE
from pipelines.readers import image_files
from pipelines.readers.mask_values import apply_table
from pipelines.sources import Decoded, Encoded, collect

# For training images: faster, and a few grey levels off at sharp edges of colour.
FAST = {"dct_method": "INTEGER_FAST", "fancy_upscaling": False}
ACCURATE = "INTEGER_ACCURATE"  # the inverse transform that Pillow uses, to the last bit
DECODED_AT_ONCE = 256  # examples
RATIOS = (1, 2, 4, 8)  # the divisors of libjpeg's scaled decoding


def read_bytes(path: tf.Tensor, offset: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """A part of a file, string scalar; TensorFlow reads whole files alone."""

    def read(name: bytes, first: np.int64, count: np.int64) -> bytes:
        return read_part(Part(name.decode(), int(first), int(count)))

    return tf.ensure_shape(tf.numpy_function(read, [path, offset, length], tf.string), ())


def decode(
    encoded: tf.Tensor,
    decoder: tf.Tensor,
    channels: int,
    white_level: int = FULL_SCALE,
) -> tf.Tensor:
    """A whole image of any kind, pixel for pixel as `image_files.read_image` has it.

    Args:
        encoded: string scalar, the bytes.
        decoder: uint8 scalar: image_files.TF_JPEG, TF_IMAGE or PILLOW.
        channels: 1 or 3. Where they are not those of the file, only Pillow reads it.
        white_level: the 16-bit grey sample that becomes 255.

    Returns:
        uint8 (height, width, channels).
    """

    def decode_jpeg() -> tf.Tensor:
        return tf.io.decode_jpeg(encoded, channels, dct_method=ACCURATE)

    def decode_image() -> tf.Tensor:
        return tf.io.decode_image(encoded, channels, expand_animations=False)

    def decode_with_pillow() -> tf.Tensor:
        def read(content: bytes) -> np.ndarray:
            return image_files.read_image(io.BytesIO(content), channels, white_level)

        return tf.numpy_function(read, [encoded], tf.uint8)

    decoders = [decode_jpeg, decode_image, decode_with_pillow]
    return tf.ensure_shape(tf.switch_case(tf.cast(decoder, tf.int32), decoders), (None, None, channels))


def decode_mask(encoded: tf.Tensor, decoder: tf.Tensor) -> tf.Tensor:
    """A mask of class numbers, uint8 (height, width, 1); arguments as for `decode`."""

    def decode_image() -> tf.Tensor:
        return tf.io.decode_image(encoded, 1, expand_animations=False)

    def decode_with_pillow() -> tf.Tensor:
        def read(content: bytes) -> np.ndarray:
            return image_files.read_mask(io.BytesIO(content))[..., None]

        return tf.numpy_function(read, [encoded], tf.uint8)

    mask = tf.cond(decoder == image_files.PILLOW, decode_with_pillow, decode_image)
    return tf.ensure_shape(mask, (None, None, 1))


def decode_all(source: Encoded, channels: int, white_level: int, table: tuple[int, ...] | None) -> Decoded:
    """Decode all images and masks of records, the images of one size.

    Args:
        source: records in memory.
        channels: 1 or 3.
        white_level: the 16-bit grey sample that becomes 255.
        table: the class of each value of encoded masks; None: the value.

    Raises:
        BadData: a record that cannot be decoded.
    """

    def decode_example(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        decoded = {"image": decode(example["image"], example["decoder"], channels, white_level)}
        if "mask_decoder" in example:
            decoded["mask"] = decode_mask(example["mask"], example["mask_decoder"])
        return decoded

    splits = {}
    for split, columns in source.columns.items():
        encoded = [name for name in ("image", "decoder", "mask", "mask_decoder") if name in columns]
        if "mask_decoder" not in columns and "mask" in columns:
            encoded.remove("mask")
        examples = tf.data.Dataset.from_tensor_slices({name: columns[name] for name in encoded})
        batches = examples.map(decode_example, tf.data.AUTOTUNE).batch(DECODED_AT_ONCE)
        try:
            splits[split] = collect(batches, source.sizes[split])
        except tf.errors.OpError as error:
            raise BadData(f"a record of the {split} split cannot be decoded: {error.message} (--dataset)") from error
        if "mask" in splits[split]:
            splits[split]["mask"] = apply_table(splits[split]["mask"], table)
        splits[split] |= {name: columns[name].numpy() for name in columns if name not in (*encoded, "shape")}
    return Decoded(splits)


def choose_ratio(shape: tf.Tensor, size: Sequence[int], smallest_area: float) -> tuple[tf.Tensor, tf.Tensor]:
    """How much smaller JPEGs may be decoded: an index into RATIOS, and the height and width that result.

    Args:
        shape: int (..., 2): height and width.
        size: height and width of the resized crops, in pixels.
        smallest_area: the least share of an image's area that a crop has.
    """
    shares = tf.constant([math.sqrt(smallest_area) / side for side in size], tf.float32)
    spare = tf.reduce_min(tf.cast(shape, tf.float32) * shares, axis=-1)
    ratio = tf.reduce_sum(tf.cast(spare[..., None] >= tf.constant(RATIOS[1:], tf.float32), tf.int32), axis=-1)
    return ratio, -(-shape // tf.gather(tf.constant(RATIOS, shape.dtype), ratio)[..., None])  # libjpeg rounds up


def decode_reduced(encoded: tf.Tensor, ratio: tf.Tensor, channels: int) -> tf.Tensor:
    """A whole JPEG at 1 / RATIOS[ratio] of its size, uint8 (height, width, channels)."""
    return tf.switch_case(ratio, [lambda r=r: tf.io.decode_jpeg(encoded, channels, r, **FAST) for r in RATIOS])


def decode_crop(encoded: tf.Tensor, ratio: tf.Tensor | None, window: tf.Tensor, channels: int) -> tf.Tensor:
    """The part `window` (int32 y, x, height, width) of `decode_reduced`, in less time; no ratio is ratio 0."""
    parts = [lambda r=r: tf.image.decode_and_crop_jpeg(encoded, window, channels, r, **FAST) for r in RATIOS]
    return parts[0]() if ratio is None else tf.switch_case(ratio, parts)


def covering_shape(pixels: tf.Tensor, size: Sequence[int], keeps_aspect: bool = True) -> tf.Tensor:
    """Height and width, int32 (2,), of an image resized to cover `size` (height, width), and no more; or to `size`."""
    if not keeps_aspect:
        return tf.constant(size, tf.int32)
    shape = tf.cast(tf.shape(pixels)[:2], tf.float32)
    scale = tf.reduce_max(tf.constant(size, tf.float32) / shape)
    return tf.maximum(tf.cast(tf.round(shape * scale), tf.int32), size)


def shrink_to_cover(pixels: tf.Tensor, size: Sequence[int], keeps_aspect: bool = True) -> tf.Tensor:
    """Resize an image to `covering_shape`, unless a side is shorter: uint8 (height, width, channels).

    A narrow strip would take many times its memory if it were enlarged; see `crop_resized`.
    """

    def shrink() -> tf.Tensor:
        return _to_uint8(tf.image.resize(pixels, covering_shape(pixels, size, keeps_aspect), antialias=True))

    def keep() -> tf.Tensor:
        return _to_uint8(tf.cast(pixels, tf.float32))

    return tf.cond(tf.reduce_all(tf.shape(pixels)[:2] > size), shrink, keep)


def crop_resized(pixels: tf.Tensor, shape: tf.Tensor, start: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """The window from `start` of an image resized to `shape`, of which no more is made.

    Args:
        pixels: uint8 (height, width, channels).
        shape: int32 (2,): height and width of the resized image.
        start: int32 (2,): y, x.
        size: height and width of the window.

    Returns:
        uint8 (*size, channels).
    """
    height, width = size

    def take() -> tf.Tensor:
        y, x = tf.unstack(start)
        return pixels[y : y + height, x : x + width]

    def enlarge() -> tf.Tensor:
        part = tf.raw_ops.ScaleAndTranslate(
            images=tf.cast(pixels, tf.float32)[None],
            size=(height, width),
            scale=tf.cast(shape, tf.float32) / tf.cast(tf.shape(pixels)[:2], tf.float32),
            translation=-tf.cast(start, tf.float32),
            kernel_type="triangle",
            antialias=True,
        )
        return _to_uint8(part[0])

    window = tf.cond(tf.reduce_all(shape == tf.shape(pixels)[:2]), take, enlarge)
    return tf.ensure_shape(window, (height, width, pixels.shape[-1]))


def _to_uint8(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)


def resize_crop(pixels: tf.Tensor, size: Sequence[int], smoothed: bool = True) -> tf.Tensor:
    """Resize a crop (height, width, channels) to float32 (*size, channels), bilinearly.

    A crop that shrinks to less than half is smoothed, which takes five times as long; `smoothed=False` if none does.
    """

    def bilinear() -> tf.Tensor:  # from float32 in three quarters of the time from uint8, to the same values
        return tf.image.resize(tf.cast(pixels, tf.float32), size)

    if not smoothed:
        return bilinear()
    resized = tf.cond(
        tf.reduce_all(tf.shape(pixels)[:2] > [2 * side for side in size]),
        lambda: tf.image.resize(pixels, size, antialias=True),
        bilinear,
    )
    return tf.ensure_shape(resized, (*size, pixels.shape[-1]))
