"""Different functions applied to different examples of a batch.

Partition, change and stitch: RandAugment's eight colour operations then cost a thirtieth of applying all to all and
selecting, because TensorFlow is slow at broadcasting one condition over an image's pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf


def change(examples: tf.Tensor, choice: tf.Tensor, changes: list[Callable], *details: tf.Tensor) -> tf.Tensor:
    """Apply `changes[choice - 1]` to each example; choice 0 leaves it as it is.

    Args:
        examples: (batch, ...).
        choice: bool or int32 (batch,).
        changes: functions of some of the examples and of the same rows of `details`; they keep shape and type.
    """
    choice = tf.cast(choice, tf.int32)
    if examples.shape[0] == 1:  # nothing to divide, and at 224 pixels the copies would take as long as a flip
        branches = [lambda: examples, *(functools.partial(function, examples, *details) for function in changes)]
        return tf.ensure_shape(tf.switch_case(choice[0], branches), examples.shape)
    rows = tf.dynamic_partition(tf.range(tf.shape(examples)[0]), choice, 1 + len(changes))
    same, *others = tf.dynamic_partition(examples, choice, 1 + len(changes))
    changed = [
        function(some, *(tf.gather(detail, row) for detail in details))
        for function, some, row in zip(changes, others, rows[1:], strict=True)
    ]
    return tf.ensure_shape(tf.dynamic_stitch(rows, [same, *changed]), examples.shape)
