"""How many epochs a time budget allows, from the speed of a few steps on a network of the same kind."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.flag_values import seconds_of
from tfcnn.training import batch_statistics
from tfcnn.training.fit import build_model
from tfcnn.training.hooks import hooks_of
from tfcnn.training.precision import clear_session
from tfcnn.training.targets import match_masks
from tfcnn.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from tfcnn.training.data import Data

SHARE = 0.05  # of the budget goes into measuring steps
LONGEST = 20.0  # seconds, at most
FEWEST = 5  # steps are measured, however slow
RESERVE = 0.05  # of the remaining time is kept for steps slower than measured


class Speed(NamedTuple):
    """Seconds to compile, of a training step, of a validation batch, of a task's scores after an epoch, and to save.

    Saving is that of the best model and of a checkpoint.
    """

    compiling: float
    step: float
    validation_batch: float
    scoring: float
    saving: float

    def epoch(self, steps: int, validation_batches: int) -> float:
        """Seconds of an epoch."""
        return steps * self.step + validation_batches * self.validation_batch + self.scoring + self.saving


def epochs_within(left: float, epoch: float, compiling: float) -> int:
    """The number of epochs of `epoch` seconds that `left` seconds allow, at least one.

    >>> epochs_within(100, epoch=9, compiling=5), epochs_within(10, epoch=9, compiling=5)
    (10, 1)
    """
    return max(1, int((left * (1 - RESERVE) - compiling) / epoch))


def settle_epochs(config: Config, data: Data, started: float) -> Config:
    """`config` with the number of epochs that its time budget allows; unchanged without one, or in a resumed run.

    Speed is measured on a network that is then thrown away, so that the run is that of `--epochs` with the same number.

    Args:
        config: the run.
        data: its data.
        started: when the budget began, of time.monotonic().

    Raises:
        BadInput: the warm-up is longer than the run.
    """
    if config.time is None or config.resume:
        return config
    budget = seconds_of(config.time)
    before = time.monotonic()
    model, _ = build_model(config, data)
    data = match_masks(data, model)
    building = time.monotonic() - before
    speed = measure(model, data, config, budget)
    del model
    clear_session()
    epoch = speed.epoch(data.steps_per_epoch, -(-data.sizes["validation"] // config.batch_size))
    left = budget - (time.monotonic() - started)
    compiling = building + speed.compiling
    early = min(epochs_within(left, epoch, compiling), batch_statistics.FEW_STEPS // data.steps_per_epoch)
    estimating = early * batch_statistics.BATCHES * speed.step / 2  # forward alone
    epochs = epochs_within(left, epoch, compiling + estimating)
    print(
        f"time       {config.time}: {epochs} epoch{'s' if epochs > 1 else ''} of {epoch:.3g} s each in the "
        f"remaining {max(left, 0):,.0f} s; a step takes {1000 * speed.step:,.3g} ms"
    )
    head_epochs = config.head_epochs or 0
    if head_epochs + config.warmup_epochs > epochs:
        flags = "--head-epochs and --warmup-epochs" if head_epochs else "--warmup-epochs"
        raise BadInput(
            f"--time {config.time} allows {epochs} epochs, fewer than {flags} {head_epochs + config.warmup_epochs:g}: "
            f"raise --time or lower {flags}"
        )
    return dataclasses.replace(config, epochs=epochs)


def measure(model: keras.Model, data: Data, config: Config, budget: float) -> Speed:
    """Train a compiled network for some steps and validate it once. Changes its weights.

    Args:
        model: as training will have it.
        data: of the run.
        config: the run; its moving average is measured, too.
        budget: of the whole run, in seconds; measuring takes `SHARE` of it.
    """
    clock = _Clock(min(SHARE * budget, LONGEST))
    callbacks = [WeightAverage(model, config.model_ema)] if config.model_ema else []
    started = time.monotonic()
    model.fit(
        data.train(1),
        steps_per_epoch=data.steps_per_epoch,
        validation_data=data.evaluation("validation").take(FEWEST),
        callbacks=[*callbacks, clock],
        shuffle=False,
        verbose=0,
    )
    step, first_step = _mean_and_first(clock.steps, started)
    batch, first_batch = _mean_and_first(clock.batches, clock.steps[-1])
    first_scoring, scoring = _seconds_of_scores(model, data)
    with tempfile.TemporaryDirectory() as folder:
        before = time.monotonic()
        model.save(Path(folder) / "model.keras")
        saving = 2 * (time.monotonic() - before)  # the best model, and as much again for the checkpoint
    compiling = max(first_step - step, 0) + max(first_batch - batch, 0) + max(first_scoring - scoring, 0)
    return Speed(compiling, step, batch, scoring, saving)


def _seconds_of_scores(model: keras.Model, data: Data) -> list[float]:
    """The seconds of a task's callbacks after the first epoch, which compiles, and after the second."""
    callbacks = hooks_of(data.task).watch(model, data, [], contextlib.nullcontext)
    seconds = []
    for epoch in range(2):
        before = time.monotonic()
        for callback in callbacks:
            callback.on_epoch_end(epoch, {})
        seconds.append(time.monotonic() - before)
    return seconds


def _mean_and_first(ends: list[float], started: float) -> tuple[float, float]:
    """The mean seconds between two ends, and the seconds to the first; of a single end the first serves for both."""
    first = ends[0] - started
    mean = (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else first
    return mean, first


class _Clock(keras.callbacks.Callback):
    """Notes when steps and validation batches end, and ends the training after `seconds` of steps."""

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds
        self.steps: list[float] = []
        self.batches: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.steps.append(time.monotonic())
        if len(self.steps) > FEWEST and self.steps[-1] - self.steps[0] > self.seconds:
            self.model.stop_training = True

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.batches.append(time.monotonic())
