"""What of a run is kept on the disk while it trains: its history, its best model, and what a resumed run starts from.

The best epoch, the patience of early stopping and the plateaus of the learning rate are functions of the history, so
that there is no other state to keep or to lose.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfcnn.cli.signals import DeferredSignals
from tfcnn.errors import TrainingFailed, first_line
from tfcnn.files import writing
from tfcnn.run_directory import RunDirectory

KEPT = 2  # checkpoints: if the newest is damaged, there is the one before
SECONDS_BETWEEN = 60.0  # checkpoints within an epoch
SHARE = 0.02  # of the time, that checkpoints within an epoch may take


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


def plateaus(rows: list[dict[str, float]], patience: int) -> int:
    """How often `patience` epochs in a row brought no val_loss below all before them, counted anew after each time."""
    lowest, waited, count = math.inf, 0, 0
    for row in rows:
        if row["val_loss"] < lowest:
            lowest, waited = row["val_loss"], 0
        else:
            waited += 1
            if waited == patience:
                waited, count = 0, count + 1
    return count


class Plateau(keras.callbacks.Callback):
    """Before each epoch, a tenth of the learning rate for each of the `plateaus` so far.

    Args:
        share: of a schedule "plateau" of `tfcnn.recipe`.
        rows: the history, which another callback makes longer.
        patience: epochs.
    """

    def __init__(self, share: keras.Variable, rows: list[dict[str, float]], patience: int):
        super().__init__()
        self.share, self.rows, self.patience = share, rows, patience

    def on_epoch_begin(self, epoch, logs=None):
        self.share.assign(0.1 ** plateaus(self.rows, self.patience))


def uncompiled(model: keras.Model) -> keras.Model:
    """The same layers without the optimiser, whose state is for checkpoints and not for the model that is shipped."""
    return keras.Model(model.input, model.output, name=model.name)


class NotFinite(Exception):
    """Training went wrong in step `step` (from 0) of `epoch` (from 0); `what` is not finite."""

    def __init__(self, what: str, epoch: int, step: int):
        super().__init__(f"{what} in step {step + 1} of epoch {epoch + 1}")
        self.epoch, self.step = epoch, step


class Checkpoints:
    """Everything that changes in training, saved between any two steps, and restored to resume.

    Weights, moving statistics, seeds of random layers, the optimiser's state, loss scale and accumulated gradients
    included, the average of the weights where there is one, the metrics of the epoch under way, the history, and the
    place in the data. In the format of tf.train.Checkpoint, which has a checksum for each tensor. The numbering is our
    own: tf.train.CheckpointManager finds the newest checkpoint by a text file, without which, or with a damaged one, it
    silently starts from nothing.

    Args:
        model: compiled, its metrics built (`tfcnn.loop.build_metrics`).
        folder: for the files; made when the first is written.
        averages: of `tfcnn.weight_average`.
    """

    def __init__(self, model: keras.Model, folder: Path, averages: Sequence[keras.Variable] = ()):
        if not model.optimizer.built:  # a second time would make some of its variables anew
            model.optimizer.build(model.trainable_variables)
        self.model, self.folder = model, Path(folder)
        with tf.device("CPU"):
            self.place = tf.Variable([0, 0], dtype=tf.int64)  # epochs done, steps done of the next
            self.rows = tf.Variable("[]", dtype=tf.string)
        groups = {
            "weights": model.variables,  # the seeds among them
            "optimiser": model.optimizer.variables,
            "averages": averages,
            "metrics": model.metrics_variables,
        }
        groups = {name: [variable.value for variable in variables] for name, variables in groups.items()}
        self.bytes = sum(v.shape.num_elements() * v.dtype.size for group in groups.values() for v in group)
        self.checkpoint = tf.train.Checkpoint(place=self.place, rows=self.rows, **groups)
        self.good: list[int] = []  # numbers of those that were written or read

    def save(self, epoch: int, step: int, rows: list[dict[str, float]]) -> None:
        """Write a checkpoint, then remove all but the newest two that are good.

        Args:
            epoch: number of epochs done, validation included.
            step: number of steps done of the next; all of them: its validation comes next.
            rows: the history of the epochs done.

        Raises:
            NotFinite: a weight is not; nothing is written.
            TrainingFailed: it cannot be written; those before are kept.
        """
        if not all(np.isfinite(v.numpy()).all() for v in self.model.variables if "float" in v.dtype):
            raise NotFinite("a weight", epoch, step - 1)
        self.place.assign([epoch, step])
        self.rows.assign(json.dumps(rows))
        number = max([*self.found(self.folder), *self.good], default=0) + 1
        try:
            self.folder.mkdir(exist_ok=True)
            self.checkpoint.write(str(self.folder / f"ckpt-{number}"))
        except (OSError, tf.errors.OpError) as error:
            self._remove_others()
            raise TrainingFailed(
                f"checkpoint '{self.folder / f'ckpt-{number}'}' of {self.bytes:,} bytes cannot be written "
                f"({first_line(error)}); make room, then continue with --resume"
            ) from error
        self.good = [*self.good, number][-KEPT:]
        self._remove_others()

    def restore(self) -> tuple[int, int, list[dict[str, float]]]:
        """What was given to `save` last; (0, 0, []) if there is no checkpoint.

        One that is damaged is named on stderr, and the one before it is taken.

        Raises:
            TrainingFailed: all are damaged.
        """
        numbers = self.found(self.folder)
        for number in reversed(numbers):
            try:
                self.checkpoint.read(str(self.folder / f"ckpt-{number}")).assert_existing_objects_matched()
                rows = json.loads(self.rows.numpy())
            except Exception as error:  # TensorFlow has one for each kind of damage: IndexError, DataLossError ...
                path = self.folder / f"ckpt-{number}"
                print(f"warning: checkpoint '{path}' cannot be read: {first_line(error)}", file=sys.stderr)
                continue
            self.good = [number]
            epoch, step = map(int, self.place.numpy())
            return epoch, step, rows
        if numbers:
            raise TrainingFailed(f"no checkpoint in '{self.folder}' can be read; train anew with another --out")
        return 0, 0, []

    @staticmethod
    def found(folder: Path) -> list[int]:
        """The numbers of the checkpoints in a folder. The index is the last that TensorFlow writes of one."""
        names = (re.fullmatch(r"ckpt-(\d+)\.index", file.name) for file in Path(folder).glob("ckpt-*"))
        return sorted(int(match[1]) for match in names if match)

    def _remove_others(self) -> None:
        """Remove older and damaged checkpoints, and what a process left that was killed while it wrote."""
        for file in self.folder.glob("ckpt-*"):
            if not file.name.startswith(tuple(f"ckpt-{number}." for number in self.good)) or "tempstate" in file.name:
                shutil.rmtree(file) if file.is_dir() else file.unlink()


class Keeper(keras.callbacks.Callback):
    """Checkpoints now and then within an epoch, and after each epoch the history, the best model and a checkpoint.

    Then early stopping; and a signal that was deferred stops the run after a checkpoint.

    Args:
        run: where to write.
        checkpoints: what to save.
        rows: the history of the epochs already done; grows by a row an epoch.
        early_stop: epochs without a better one after which training stops; 0: never.
        every: steps between the checkpoints within an epoch, at whose multiples a call of several steps ends; None: a
            minute, or longer where they take more than a fiftieth of the time.
        shipped: within shipped() the model has the weights that are kept as the best; default: those it has anyway.
        signals: of the process.

    Raises:
        NotFinite: the loss or a weight is not.
        TrainingFailed: a file cannot be written.
        KeyboardInterrupt: a signal came.
    """

    def __init__(
        self,
        run: RunDirectory,
        checkpoints: Checkpoints,
        rows: list[dict[str, float]],
        early_stop: int = 0,
        *,
        every: int | None = None,
        shipped: Callable = contextlib.nullcontext,
        signals: DeferredSignals,
    ):
        super().__init__()
        self.run, self.checkpoints, self.rows, self.early_stop = run, checkpoints, rows, early_stop
        self.every, self.shipped, self.signals = every, shipped, signals
        self.due, self.steps = time.monotonic() + SECONDS_BETWEEN, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.first = batch

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise NotFinite("the loss", self.epoch, batch)
        self.steps += batch + 1 - self.first
        due = self.steps % self.every == 0 if self.every else time.monotonic() >= self.due
        if due or self.signals.noted:
            started = time.monotonic()
            self.checkpoints.save(self.epoch, batch + 1, self.rows)
            now = time.monotonic()
            self.due = now + max(SECONDS_BETWEEN, (now - started) / SHARE)
        self.signals.deliver()

    def on_test_batch_end(self, batch, logs=None):
        self.signals.deliver()

    def on_epoch_end(self, epoch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        row = {"epoch": epoch + 1} | {name: float(value) for name, value in logs.items()} | {"learning_rate": rate}
        self.rows.append(row)
        if best_epoch(self.rows) == len(self.rows) - 1:
            with writing(self.run.model) as path, self.shipped():
                uncompiled(self.model).save(path)
        self.run.write_history(self.rows)
        self.checkpoints.save(epoch + 1, 0, self.rows)
        if out_of_patience(self.rows, self.early_stop):
            self.model.stop_training = True
        self.signals.deliver()
