"""Batch norm's statistics for validation, from the present weights instead of those of earlier steps.

The moving statistics are an average over the last steps, here of about ten (1 / (1 - momentum)), each with other
weights. Early in a run the weights change so fast that the average fits none of them: a network that learns is at
chance in its validation (`python -m benchmarks.batch_statistics`). The error is this lag and not the share of the first
values in the average, 0 and 1: corrected for that as in Adam, by 1 - momentum ** t, the average is no better.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from tfcnn.training.data import Data

BATCHES = 8  # their forward passes cost about three steps
FEW_STEPS = 300  # from then on, weights change slowly and epochs are many


class BatchStatistics(keras.callbacks.Callback):
    """Before each validation within the first `FEW_STEPS` steps, batch norm's moving statistics become precise ones.

    Those of `precise_statistics` on the first training batches of the epoch, augmented as in training. The validation,
    the best model and the training that follows, whose steps do not read them, have these values.

    Args:
        data: of the run.
        averages: gets the changed weights where others replace the model's in the validation; see `WeightAverage`.
    """

    def __init__(self, data: Data, averages: Callable[[Sequence[keras.Variable]], None] | None = None) -> None:
        super().__init__()
        self.data = data.of_one_process()  # all workers use the same batches
        self.averages = averages

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.layers = [layer for layer in batch_norms(self.model) if layer.trainable]
        self.observe = observer(self.model, self.layers)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        steps = self.data.steps_per_epoch
        if not self.layers or (self.epoch + 1) * steps > FEW_STEPS:
            return
        batches = self.data.train(1, self.epoch).take(BATCHES)
        moving = moving_statistics(self.layers)
        with unchanged(random_seeds(self.model)):
            values = precise_statistics(self.observe, batches)
        for variable, value in zip(moving, values, strict=True):
            variable.assign(value)
        if self.averages is not None:
            self.averages(moving)


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch norms of a model, those of models inside it included."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def moving_statistics(layers: Sequence[keras.layers.BatchNormalization]) -> list[keras.Variable]:
    """The moving mean and the moving variance of each layer, in turn."""
    return [variable for layer in layers for variable in (layer.moving_mean, layer.moving_variance)]


def random_seeds(model: keras.Model) -> list[keras.Variable]:
    """The seeds of the random layers."""
    return [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]


@contextlib.contextmanager
def unchanged(variables: Sequence[keras.Variable]) -> Iterator[None]:
    """After this context the variables have the values that they had before it."""
    before = [variable.numpy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def observer(model: keras.Model, layers: Sequence[keras.layers.BatchNormalization]) -> Callable[[Any], list[tf.Tensor]]:
    """A function of a batch that returns the mean and the variance of each layer's inputs in training, in turn.

    The moving statistics of these layers are then those of the batch.
    """
    moving = moving_statistics(layers)

    def statistics(images: Any) -> list[tf.Tensor]:
        for variable in moving:  # 0 and no momentum leave the batch's own values, to the bit
            variable.assign(keras.ops.zeros_like(variable))
        momenta = [layer.momentum for layer in layers]
        for layer in layers:
            layer.momentum = 0.0
        try:
            model(images, training=True)
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum
        return [tf.identity(variable.value) for variable in moving]

    return tf.function(statistics, autograph=False)


def precise_statistics(observe: Callable[[Any], list[tf.Tensor]], batches: tf.data.Dataset) -> list[np.ndarray]:
    """The mean and the variance of each layer's inputs over several batches, in turn.

    PreciseBN of Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm" (arXiv:2105.07576, section 3): weights are fixed,
    each layer sees inputs that are normalised by the batch, and the variance is E[mean^2 + variance] - E[mean]^2 over
    the batches.

    Args:
        observe: of `observer`.
        batches: of (images, targets), of one size.
    """
    means: list[list[np.ndarray]] = []
    squares: list[list[np.ndarray]] = []
    for images, _ in batches:
        values = [value.numpy().astype("float64") for value in observe(images)]
        means.append(values[::2])
        squares.append([mean**2 + variance for mean, variance in zip(values[::2], values[1::2], strict=True)])
    statistics = []
    for layer_means, layer_squares in zip(zip(*means, strict=True), zip(*squares, strict=True), strict=True):
        mean = np.mean(layer_means, axis=0)
        statistics += [mean, np.maximum(np.mean(layer_squares, axis=0) - mean**2, 0)]
    return statistics
