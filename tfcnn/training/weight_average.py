"""A moving average of the weights, which is validated, kept as the best model and exported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf


class WeightAverage(keras.callbacks.Callback):
    """Averages every weight over the updates, and replaces the weights by the averages during validation.

    average += (1 - d) (weight - average) with d = min(decay, (1 + n) / (10 + n)) after the n-th update: the rule of
    tf.train.ExponentialMovingAverage, by which the first weights do not dominate the average of a short run. The moving
    statistics of batch norm are averaged like the kernels.

    Keras' `use_ema` and `SwapEMAWeights` are not used: where gradients are accumulated they average after every batch
    instead of every update, they leave out the statistics of batch norm, and they swap by adding and subtracting, which
    rounds the weights.

    Args:
        model: built; its present weights are the first value of the average.
        decay: above 0, below 1.

    Attributes:
        averages: list of keras.Variable, one for each floating-point weight of the model; part of a checkpoint.
    """

    def __init__(self, model: keras.Model, decay: float):
        super().__init__()
        self.weights = [weight for weight in model.weights if "float" in weight.dtype]
        self.averages = [
            keras.Variable(weight, dtype=weight.dtype, trainable=False, name="average") for weight in self.weights
        ]
        self.decay = decay
        # One call for all weights: a hundred single ones take as long as a small step.
        self.update = tf.function(self._update, autograph=False)

    def _update(self, share: tf.Tensor) -> None:
        for weight, average in zip(self.weights, self.averages, strict=True):
            average.assign_add((weight - average) * tf.cast(share, weight.dtype))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.updates = self._count_updates()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        updates = self._count_updates()
        if updates == self.updates:
            return
        self.updates = updates
        self.update(tf.constant(1 - min(self.decay, (1 + updates) / (10 + updates))))

    def _count_updates(self) -> int:
        """The updates of the weights so far: the number stands still while gradients are accumulated."""
        return int(self.model.optimizer.iterations.numpy())  # int() itself takes no variable of several devices

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._in_place = self.in_place()
        self._in_place.__enter__()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._in_place.__exit__(None, None, None)

    def replace(self, weights: Sequence[keras.Variable]) -> None:
        """The averages of these weights become their present values."""
        changed = {id(weight) for weight in weights}
        for weight, average in zip(self.weights, self.averages, strict=True):
            if id(weight) in changed:
                average.assign(weight)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this context the model's weights are the averages."""
        before = [weight.numpy() for weight in self.weights]
        try:
            for weight, average in zip(self.weights, self.averages, strict=True):
                weight.assign(average)
            yield
        finally:
            for weight, value in zip(self.weights, before, strict=True):
                weight.assign(value)
