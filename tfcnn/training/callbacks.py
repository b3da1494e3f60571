"""The callbacks that write a run to the disk and lower its learning rate."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

import keras

from tfcnn.cli.signals import DeferredSignals
from tfcnn.files import writing
from tfcnn.run_directory import RunDirectory
from tfcnn.training.checkpoint import Checkpoints, NotFinite
from tfcnn.training.history import best_epoch, out_of_patience, plateaus

SECONDS_BETWEEN = 60.0  # checkpoints within an epoch
SHARE = 0.02  # of the time goes at most into checkpoints within an epoch


class Plateau(keras.callbacks.Callback):
    """Before each epoch, divides the learning rate by ten for each of the `plateaus` so far.

    Args:
        share: of a schedule "plateau" of `tfcnn.training.schedules`.
        rows: the history, which the Keeper appends to.
        patience: epochs.
    """

    def __init__(self, share: keras.Variable, rows: list[dict[str, float]], patience: int):
        super().__init__()
        self.share = share
        self.rows = rows
        self.patience = patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.share.assign(0.1 ** plateaus(self.rows, self.patience))


def uncompiled(model: keras.Model) -> keras.Model:
    """The same layers without the optimiser and the auxiliary classifiers, which belong in checkpoints alone."""
    return keras.Model(model.input, model.output, name=model.name)


class FirstStep(keras.callbacks.Callback):
    """Says when what comes before the first step ends, and the call of TensorFlow that traces and does it."""

    def __init__(self, end: Callable[[str], None]) -> None:
        super().__init__()
        self.end: Callable[[str], None] | None = end

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.end:
            self.end("preparation of the training")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.end:
            self.end("first step, traced")
            self.end = None


class Keeper(keras.callbacks.Callback):
    """Writes checkpoints within an epoch, and after each epoch the history, the best model and a checkpoint.

    Stops the run early, and by a deferred signal after a checkpoint.

    Args:
        run: where to write.
        checkpoints: what to save.
        rows: the history of the epochs done; grows by a row an epoch.
        early_stop: epochs without a better one after which training stops; 0: never.
        every: steps between checkpoints within an epoch, where calls of several steps end; None: a minute, or longer
            where checkpoints would take more than `SHARE` of the time.
        shipped: within shipped() the model has the weights to keep as the best; default: its present ones.
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
        self.run = run
        self.checkpoints = checkpoints
        self.rows = rows
        self.early_stop = early_stop
        self.every = every
        self.shipped = shipped
        self.signals = signals
        self.due = time.monotonic() + SECONDS_BETWEEN
        self.steps = 0  # of this process

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.first = batch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        if not math.isfinite(logs["loss"]):
            raise NotFinite("the loss", self.epoch, batch)
        self.steps += batch + 1 - self.first
        due = self.steps % self.every == 0 if self.every else time.monotonic() >= self.due
        if due or self.signals.pending:
            started = time.monotonic()
            self.checkpoints.save(self.epoch, batch + 1, self.rows)
            now = time.monotonic()
            self.due = now + max(SECONDS_BETWEEN, (now - started) / SHARE)
        self.signals.deliver()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.signals.deliver()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
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
