"""How an image file lies: the orientation in its EXIF or XMP, and the turn that makes it upright, in TensorFlow."""

from __future__ import annotations

import tensorflow as tf

ORIENTATION = 0x0112  # the tag
SHORTS, LONGS = (3, 8), (4, 9, 13)  # the types of TIFF with 2 and 4 bytes


def exif_orientation(exif: tf.Tensor) -> tf.Tensor:
    """The orientation that EXIF states.

    Args:
        exif: string scalar: a TIFF header and its directory, or "".

    Returns:
        int32 scalar: 1 ... 8; 0 if it states none. Broken EXIF is 1.
    """
    whole = (tf.strings.substr(exif, 0, 4) == b"II*\0") | (tf.strings.substr(exif, 0, 4) == b"MM\0*")
    length = tf.strings.length(exif)
    data = tf.cast(tf.io.decode_raw(tf.strings.join([exif, b"\0" * 32]), tf.uint8), tf.int64)
    little = data[0] == ord("I")

    def number(digits: tf.Tensor, size: int) -> tf.Tensor:
        """The unsigned numbers of `size` bytes in the last axis."""
        powers = tf.constant([256**i for i in reversed(range(size))], tf.int64)
        return tf.reduce_sum(digits * tf.where(little, powers[::-1], powers), axis=-1)

    at = tf.cast(tf.minimum(number(data[4:8], 4), tf.cast(length, tf.int64)), tf.int32)
    count = tf.cast(number(data[at : at + 2], 2), tf.int32)
    count = tf.clip_by_value(count, 0, tf.maximum((length - at - 2) // 12, 0))
    entries = tf.reshape(data[at + 2 : at + 2 + 12 * count], (-1, 12))
    entries = tf.concat([tf.zeros((1, 12), tf.int64), entries], 0)
    row = tf.reduce_max(tf.where(number(entries[:, :2], 2) == ORIENTATION, tf.range(count + 1), 0))
    entry = entries[row]
    kind = number(entry[2:4], 2)
    single = number(entry[4:8], 4) == 1
    short = tf.reduce_any(kind == tf.constant(SHORTS, tf.int64))
    long = tf.reduce_any(kind == tf.constant(LONGS, tf.int64))
    value = tf.where(short, number(entry[8:10], 2), tf.where(long, number(entry[8:12], 4), 1))
    value = tf.where(single & (value >= 1) & (value <= 8), value, 1)
    stated = tf.where(whole, tf.where(row > 0, tf.cast(value, tf.int32), 0), 1)
    return tf.where(length > 0, stated, 0)


def xmp_orientation(parts: tf.Tensor) -> tf.Tensor:
    """The orientation that XMP states, int32 scalar; 1 if it states none.

    Args:
        parts: strings (n,): all but the first are XMP; the first of them counts.
    """
    text = tf.concat([parts, [""]], 0)[1]
    after = tf.strings.join([tf.concat([tf.strings.split(text, "tiff:Orientation"), ["", ""]], 0)[1], "    "])
    quoted = tf.strings.substr(after, 0, 2) == b'="'
    enclosed = tf.strings.substr(after, 0, 1) == b">"
    digit = tf.where(quoted, tf.strings.substr(after, 2, 1), tf.where(enclosed, tf.strings.substr(after, 1, 1), "1"))
    value = tf.cast(tf.io.decode_raw(digit, tf.uint8)[0], tf.int32) - ord("0")
    return tf.where((value >= 1) & (value <= 8), value, 1)


def turn(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Make pixels (height, width, channels) upright that lie as the orientation 1 ... 8 says."""
    mirrored = tf.reduce_any(orientation == [2, 3, 6, 7])
    flipped = tf.reduce_any(orientation == [3, 4, 7, 8])
    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    upright = tf.cond(mirrored, lambda: tf.reverse(pixels, [1]), lambda: pixels)
    return tf.cond(flipped, lambda: tf.reverse(upright, [0]), lambda: upright)
