"""The order of an epoch in which all classes have the same share of the examples."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class BalancedOrder:
    """Examples of all classes alike, those of a small class several times.

    Class-aware sampling (Shen, Lin & Huang 2016, "Relay backpropagation for effective learning of deep convolutional
    neural networks", arXiv:1512.05830): places are dealt to the classes in turn, and within a class each example comes
    once before any comes again, in another order each time. PyTorch's WeightedRandomSampler with the weights
    1 / (examples of the class) gives these shares on average. An epoch is as long as without it.

    Args:
        labels: int (examples,), the class of each example.
        seed: decides the order.
    """

    def __init__(self, labels: np.ndarray, seed: int) -> None:
        _, starts, counts = np.unique(np.sort(labels), return_index=True, return_counts=True)
        self.rows = np.argsort(labels, kind="stable").astype("int64")  # the examples, class after class
        self.starts = starts.astype("int64")  # in `rows`, of each class that has an example
        self.counts = counts.astype("int64")
        self.seed = seed

    def of_epoch(self, epoch: tf.Tensor) -> tf.Tensor:
        """The examples of an epoch, a function of its number and the seed: int64 (examples,)."""
        examples = len(self.rows)
        classes = len(self.counts)
        places = _shuffle(tf.range(examples, dtype=tf.int64), examples, self.seed, epoch, -1)
        dealt = epoch * examples + places  # places of all epochs, counted on
        chosen = dealt % classes
        turn = dealt // classes  # of the class
        count = tf.gather(self.counts, chosen)
        order = _shuffle(turn % count, count, self.seed, turn // count, chosen)
        return tf.gather(self.rows, tf.gather(self.starts, chosen) + order)


def _shuffle(index: tf.Tensor, size: int | tf.Tensor, *key: int | tf.Tensor) -> tf.Tensor:
    """Where the permutation of 0 ... size - 1 that three whole numbers name puts each index; all may differ by index.

    tf.random.experimental.index_shuffle pads a matrix of seeds along the wrong axis.
    """
    columns = [tf.broadcast_to(tf.cast(number, tf.int64), tf.shape(index)) for number in key]
    seed = tf.cast(tf.stack(columns, axis=-1), tf.uint32)
    return tf.raw_ops.RandomIndexShuffle(index=index, seed=seed, max_index=tf.cast(size - 1, tf.int64), rounds=4)
