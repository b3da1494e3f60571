"""How many epochs a time budget allows, from steps that are measured on a network that is thrown away."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras

from tfcnn.config import Config, seconds_of
from tfcnn.errors import BadInput
from tfcnn.training.weight_average import WeightAverage

SHARE, LONGEST = 0.05, 20.0  # of the budget and at most these seconds go into measuring steps
FEWEST = 5  # steps that are measured, however slow they are
RESERVE = 0.05  # of what is left, for what is slower than measured


class Speed(NamedTuple):
    """Seconds: to compile, of a training step, of a validation batch, to save the best model and a checkpoint."""

    compiling: float
    step: float
    validation_batch: float
    saving: float

    def epoch(self, steps: int, validation_batches: int) -> float:
        """Seconds of an epoch."""
        return steps * self.step + validation_batches * self.validation_batch + self.saving


def epochs_within(left: float, epoch: float, compiling: float) -> int:
    """The number of epochs of `epoch` seconds that `left` seconds allow, one at least.

    >>> epochs_within(100, epoch=9, compiling=5), epochs_within(10, epoch=9, compiling=5)
    (10, 1)
    """
    return max(1, int((left * (1 - RESERVE) - compiling) / epoch))


def within_time(config: Config, data, build: Callable, started: float) -> Config:
    """`config` with the epochs that its time budget, which began at `started`, allows.

    They are measured on a network of their own, so that the run is that of `--epochs` with the same number.

    Args:
        config: with a `time`.
        data: pipelines.dataset.Data.
        build: build(config, data) gives a compiled network first.
        started: of time.monotonic().

    Raises:
        BadInput: fewer epochs than the warm-up takes.
    """
    budgeted = seconds_of(config.time)
    building = time.monotonic()
    model, *_ = build(config, data)
    building = time.monotonic() - building
    speed = measure(model, data, config, budgeted)
    del model
    policy = keras.config.dtype_policy()
    keras.backend.clear_session()  # its memory, and the names of its layers
    keras.config.set_dtype_policy(policy)
    epoch = speed.epoch(data.steps_per_epoch, -(-data.sizes["validation"] // config.batch_size))
    left = budgeted - (time.monotonic() - started)
    epochs = epochs_within(left, epoch, building + speed.compiling)
    print(
        f"time       {config.time}: {epochs} epoch{'s' if epochs > 1 else ''} of {epoch:.3g} s each in the "
        f"{max(left, 0):,.0f} s that are left; a step takes {1000 * speed.step:,.3g} ms"
    )
    if config.warmup_epochs > epochs:
        raise BadInput(
            f"--time {config.time} allows {epochs} epochs, fewer than --warmup-epochs {config.warmup_epochs:g}: "
            f"raise --time or lower --warmup-epochs"
        )
    return dataclasses.replace(config, epochs=epochs)


def measure(model: keras.Model, data, config: Config, seconds: float) -> Speed:
    """Train a compiled network for some steps and validate it once. Changes its weights.

    Args:
        model: as training will have it.
        data: pipelines.dataset.Data.
        config: the run; its moving average is measured, too.
        seconds: the budget, of which measuring takes a share.
    """
    clock = _Clock(min(SHARE * seconds, LONGEST))
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
    step, first_step = _apart(clock.steps, started)
    batch, first_batch = _apart(clock.batches, clock.steps[-1])
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        model.save(Path(folder) / "model.keras")
        saving = 2 * (time.monotonic() - began)  # the model that is kept, and as much again for the checkpoint
    return Speed(max(first_step - step, 0) + max(first_batch - batch, 0), step, batch, saving)


def _apart(ends: list[float], started: float) -> tuple[float, float]:
    """The mean time from end to end, and the time to the first; of a single one that is both."""
    first = ends[0] - started
    return ((ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else first), first


class _Clock(keras.callbacks.Callback):
    """Notes when steps and validation batches end, and ends the training after `seconds` of steps."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.steps, self.batches = seconds, [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(time.monotonic())
        if len(self.steps) > FEWEST and self.steps[-1] - self.steps[0] > self.seconds:
            self.model.stop_training = True

    def on_test_batch_end(self, batch, logs=None):
        self.batches.append(time.monotonic())
