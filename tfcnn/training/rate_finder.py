"""--lr auto: the learning rate from a range test.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186), section 3.3.

The rate grows exponentially from update to update on the run's training batches, with its loss and its optimiser, until
the loss diverges. The network is then thrown away, so that the run is that of --lr with the same number.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np
from scipy import ndimage

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.run_directory import RunDirectory
from tfcnn.training.fit import build_model
from tfcnn.training.loop import build_metrics, several_steps
from tfcnn.training.optimizers import peak_learning_rate
from tfcnn.training.precision import clear_session
from tfcnn.training.targets import match_masks

if TYPE_CHECKING:
    from tfcnn.training.data import Data

UPDATES = 200  # in 100, as in fastai, a MobileNet of width 0.25 does not leave chance on digits
FIRST = 1e-3  # rate, as a multiple of the recipe's
LAST = 1e2
DIVERGED = 4.0  # times the lowest loss so far, as in fastai
MEMORY = 0.8  # of the moving average that is compared with it
WIDTH = 6.0  # updates: standard deviation of the Gaussian that smooths the losses
SHARE = 1 / 3  # of the rate with the lowest loss
LEAST_FALL = 0.01  # of the smoothed loss, as a share of its first value


class Sweep(NamedTuple):
    """The losses of a range test.

    Attributes:
        rates: of the updates, growing.
        losses: of the batches of each update, before it.
        smoothed: each loss, averaged with those of the neighbouring updates.
        rate: a third of the rate with the lowest smoothed loss, in two digits.
    """

    rates: list[float]
    losses: list[float]

    @property
    def smoothed(self) -> list[float]:
        return ndimage.gaussian_filter1d(np.asarray(self.losses, "float64"), WIDTH, mode="nearest").tolist()

    @property
    def rate(self) -> float:
        return float(f"{SHARE * self.rates[int(np.argmin(self.smoothed))]:.2g}")


def settle_rate(config: Config, directory: RunDirectory, data: Data) -> tuple[Config, Sweep | None]:
    """`config` with a number for --lr auto, and the range test that chose it; without, `config` and None.

    Args:
        config: the run.
        directory: of the run; if it is resumed, its config.json has the number.
        data: of the run.

    Raises:
        BadInput: the loss falls at no rate.
    """
    if config.lr != "auto":
        return config, None
    if config.resume:
        return dataclasses.replace(config, lr=directory.read_config()["config"]["lr"]), None
    sweep = sweep_rates(config, data)
    clear_session()
    start, lowest = sweep.smoothed[0], min(sweep.smoothed)
    if not lowest < (1 - LEAST_FALL) * start:
        raise BadInput(
            f"the training loss, {start:.3g}, falls at no rate from {sweep.rates[0]:.2g} to {sweep.rates[-1]:.2g}: "
            f"give a number instead of --lr auto"
        )
    print(
        f"range test --lr {sweep.rate:g}: a third of the rate with the lowest loss, {lowest:.3g}, of "
        f"{len(sweep.rates)} from {sweep.rates[0]:.2g} to {sweep.rates[-1]:.2g}",
        flush=True,
    )
    return dataclasses.replace(config, lr=sweep.rate), sweep


def sweep_rates(config: Config, data: Data) -> Sweep:
    """Train a network of `config` for up to `UPDATES` updates, each at a higher rate, until its loss diverges.

    The range is that from `FIRST` to `LAST` times the recipe's rate. In fine-tuning all layers learn from the start,
    each stage at its share of the rate.

    Args:
        config: the run; its `lr` is not used where it is "auto".
        data: of the run.
    """
    every = config.grad_accum_steps
    model, _ = build_model(dataclasses.replace(config, head_epochs=0.0), data)
    data = match_masks(data, model)
    first = FIRST * peak_learning_rate(config)
    growth = (LAST / FIRST) ** (1 / (UPDATES - 1))
    model.optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(first, every, growth, staircase=True)
    model.optimizer.build(model.trainable_variables)
    build_metrics(model, data)
    take = several_steps(model)
    batches = iter(data.train(-(-UPDATES * every // data.steps_per_epoch)))
    rates: list[float] = []
    losses: list[float] = []
    average = lowest = math.inf
    for update in range(UPDATES):
        loss = 0.0
        for _ in range(every):
            model.reset_metrics()  # the loss is a mean since then
            _, logs = take(batches, 1)
            loss += float(logs["loss"]) / every
        average = MEMORY * average + (1 - MEMORY) * loss if losses else loss
        lowest = min(lowest, average)
        if not average <= DIVERGED * lowest:  # or it is not finite
            break
        rates.append(first * growth**update)
        losses.append(loss)
    return Sweep(rates, losses)
