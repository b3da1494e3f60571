"""What of a run is kept on the disk while it trains: its history, its best model, and what a resumed run starts from.

The best epoch and the patience of early stopping are functions of the history, so that there is no other state to
keep or to lose.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from tfcnn.config import TrainingFailed
from tfcnn.run_directory import RunDirectory, writing


def best_epoch(rows: list[dict[str, float]]) -> int | None:
    """Index of the row with the lowest finite val_loss, the first among equals; None if there is none.

    Loss and not accuracy: on a validation split of a few hundred images accuracy moves in steps of half a percent, and
    an early epoch that is lucky by one image would be kept for a worse model (seen on `digits`: 97.2 % in the place
    of 98.9 % on the test split).
    """
    finite = [i for i, row in enumerate(rows) if math.isfinite(row["val_loss"])]
    return min(finite, key=lambda i: rows[i]["val_loss"], default=None)


def out_of_patience(rows: list[dict[str, float]], patience: int) -> bool:
    """Whether the last `patience` epochs brought none better than those before. Never, if `patience` is 0."""
    best = best_epoch(rows)
    return patience > 0 and len(rows) - 1 - (-1 if best is None else best) >= patience


def uncompiled(model: keras.Model) -> keras.Model:
    """The same layers without the optimiser, whose state is for checkpoints and not for the model that is shipped."""
    return keras.Model(model.input, model.output, name=model.name)


class Checkpoints:
    """Everything that changes in training, saved after an epoch and restored to resume.

    Weights, moving statistics, seeds of random layers, the optimiser's state and the average of the weights where there
    is one, by TensorFlow's CheckpointManager, which replaces a checkpoint only when the next one is complete.
    """

    def __init__(self, model: keras.Model, folder: Path, averages: Sequence[keras.Variable] = ()):
        model.optimizer.build(model.trainable_variables)
        self.epoch = tf.Variable(0, dtype=tf.int64)
        variables = [variable.value for variable in [*model.variables, *model.optimizer.variables, *averages]]
        checkpoint = tf.train.Checkpoint(epoch=self.epoch, variables=variables)
        self.manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=2)

    def save(self, epochs_done: int) -> None:
        self.epoch.assign(epochs_done)
        self.manager.save(checkpoint_number=epochs_done)

    def restore(self) -> int:
        """The number of epochs that the newest checkpoint has behind it; 0 if there is none."""
        self.manager.restore_or_initialize()
        return int(self.epoch)


class Keeper(keras.callbacks.Callback):
    """After each epoch: the history, the best model so far, a checkpoint; then early stopping.

    Args:
        run: where to write.
        checkpoints: what to save.
        rows: the history of the epochs already done; grows by a row an epoch.
        early_stop: epochs without a better one after which training stops; 0: never.
        shipped: within shipped() the model has the weights that are kept as the best; default: those it has anyway.

    Raises:
        TrainingFailed: the loss of an epoch is not finite.
    """

    def __init__(
        self,
        run: RunDirectory,
        checkpoints: Checkpoints,
        rows: list[dict[str, float]],
        early_stop: int = 0,
        shipped: Callable = contextlib.nullcontext,
    ):
        super().__init__()
        self.run, self.checkpoints, self.rows, self.early_stop = run, checkpoints, rows, early_stop
        self.shipped = shipped

    def on_epoch_end(self, epoch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        row = {"epoch": epoch + 1} | {name: float(value) for name, value in logs.items()} | {"learning_rate": rate}
        if not math.isfinite(row["loss"]):
            raise TrainingFailed(
                f"the loss of epoch {epoch + 1} is {row['loss']}; the best model so far, if any, is in "
                f"'{self.run.path}'; try a lower --lr than the {rate:g} reached"
            )
        self.rows.append(row)
        if best_epoch(self.rows) == len(self.rows) - 1:
            with writing(self.run.model) as path, self.shipped():
                uncompiled(self.model).save(path)
        self.run.write_history(self.rows)
        self.checkpoints.save(epoch + 1)
        if out_of_patience(self.rows, self.early_stop):
            self.model.stop_training = True
