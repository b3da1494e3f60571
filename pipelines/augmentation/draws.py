"""An example's draws: uniform numbers, a function of (seed, epoch, example), one column for each random decision.

Augmentation is a function of its inputs and of such rows alone, so that a resumed run, another batch size or another
number of threads changes no example.
"""

from __future__ import annotations

import tensorflow as tf

TRIES = 10  # of a random resized crop, as torchvision
MOST_OPERATIONS = 4  # of RandAugment on one image

ANGLE, ZOOM, SHIFT_X, SHIFT_Y, SHIFT_Z, FLIP_X, FLIP_Y, FLIP_Z = range(8)
BRIGHTNESS, CONTRAST, SATURATION = range(8, 11)
ERASE, ERASE_AREA, ERASE_RATIO, ERASE_X, ERASE_Y = range(11, 16)
CROP_X, CROP_Y = 16, 17
ANGLE_Y, ANGLE_X = CROP_X, CROP_Y  # of volumes, which are not cropped
CROP_AREA = slice(18, 18 + TRIES)
CROP_RATIO = slice(18 + TRIES, 18 + 2 * TRIES)
OPERATION = range(38, 38 + MOST_OPERATIONS)
DIRECTION = range(OPERATION.stop, OPERATION.stop + MOST_OPERATIONS)
DRAWS = DIRECTION.stop  # uniform numbers in [0, 1) that one example needs
STRETCH = 16  # steps of Philox' counter for each example, four numbers a step


def draw_epoch(seed: int | tf.Tensor, epoch: int | tf.Tensor, examples: int) -> tf.Tensor:
    """Every example's draws in one epoch, for data in memory: float32 (examples, DRAWS), row i for example i."""
    return tf.random.stateless_uniform([examples, DRAWS], _key(seed, epoch))


def draw_example(seed: int | tf.Tensor, epoch: int | tf.Tensor, example: int | tf.Tensor) -> tf.Tensor:
    """One example's draws in one epoch, other numbers than its row of `draw_epoch`: float32 (DRAWS,).

    Philox's 128-bit counter is the position in its stream: the epoch is its upper half, and each example has a stretch
    of the lower half. Folding a key for each example would take fifteen operations instead of one.
    """
    return tf.raw_ops.StatelessRandomUniformV2(
        shape=[DRAWS],
        key=tf.cast([seed], tf.uint64),
        counter=tf.cast(tf.stack([STRETCH * tf.cast(example, tf.int64), tf.cast(epoch, tf.int64)]), tf.uint64),
        alg=1,  # Philox
        dtype=tf.float32,
    )


def batch_key(seed: int | tf.Tensor, epoch: int | tf.Tensor, batch_number: int | tf.Tensor) -> tf.Tensor:
    """The seed for what is drawn once a batch, which no example shares: int64 (2,)."""
    return tf.random.experimental.stateless_fold_in(_key(seed, epoch), -1 - tf.cast(batch_number, tf.int64))


def _key(seed: int | tf.Tensor, epoch: int | tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
