"""A moving average of the weights: what is validated, kept as the best model and exported, while training goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


class WeightAverage(keras.callbacks.Callback):
    """Averages every weight over the updates, and takes the weights' place during validation.

    average += (1 - d) (weight - average) with d = min(decay, (1 + n) / (10 + n)) after the n-th update: the rule of
    tf.train.ExponentialMovingAverage, by which the average of a short run is not that of its first weights. The moving
    statistics of batch norm are averaged like the kernels to which they belong.

    Keras' `use_ema` and `SwapEMAWeights` are not used: they average after every batch instead of every update where
    gradients are accumulated, leave the statistics of batch norm out, and swap by adding and subtracting, so that
    weights come back rounded.

    Args:
        model: built; its weights now are the first value of the average.
        decay: above 0, below 1.

    Attributes:
        averages: list of keras.Variable, one for each of `model.weights`; part of a checkpoint.
    """

    def __init__(self, model: keras.Model, decay: float):
        super().__init__()
        self.weights = [weight for weight in model.weights if "float" in weight.dtype]
        self.averages = [
            keras.Variable(weight, dtype=weight.dtype, trainable=False, name="average") for weight in self.weights
        ]
        self.decay = decay
        self._average = tf.function(self._average)  # one call for all: a hundred by themselves take a small step's time

    def _average(self, share):
        for weight, average in zip(self.weights, self.averages, strict=True):
            average.assign_add((weight - average) * tf.cast(share, weight.dtype))

    def on_train_begin(self, logs=None):
        self.updates = int(self.model.optimizer.iterations)

    def on_train_batch_end(self, batch, logs=None):
        updates = int(self.model.optimizer.iterations)  # stands still while gradients are accumulated
        if updates == self.updates:
            return
        self.updates = updates
        self._average(tf.constant(1 - min(self.decay, (1 + updates) / (10 + updates))))

    def on_test_begin(self, logs=None):
        self._in_place = self.in_place()
        self._in_place.__enter__()

    def on_test_end(self, logs=None):
        self._in_place.__exit__(None, None, None)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this context the model's weights are the averages."""
        trained = [weight.numpy() for weight in self.weights]
        try:
            for weight, average in zip(self.weights, self.averages, strict=True):
                weight.assign(average)
            yield
        finally:
            for weight, value in zip(self.weights, trained, strict=True):
                weight.assign(value)
