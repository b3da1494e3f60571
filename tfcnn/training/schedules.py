"""The learning rate by batch."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.training import recipes

# Schedules: from the share of the run that is done, and the same of the run without its warm-up, to a share of the peak
# rate.


def cosine(run: Any, rest: Any) -> Any:
    return 0.5 * (1 + ops.cos(math.pi * rest))


def steps(run: Any, rest: Any) -> Any:
    """A tenth from 50 % of the run on, a hundredth from 75 % on (He et al. 2015, section 4.2)."""
    return ops.where(run < 0.5, 1.0, ops.where(run < 0.75, 0.1, 0.01))


def constant(run: Any, rest: Any) -> Any:
    return ops.ones_like(run)


SCHEDULES = {
    "cosine": cosine,
    "step": steps,
    "constant": constant,
    "plateau": constant,  # times the schedule's own share
}


@keras.saving.register_keras_serializable(package="tfcnn")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A constant rate while new layers learn alone, if they do, then a linear warm-up and one of `SCHEDULES`.

    Of Keras' schedules CosineDecay alone has a warm-up. Where gradients are accumulated, Keras' optimisers ask for the
    rate of a batch and not of an update: `every` gives all batches of an update the rate of its first, as one large
    batch has.

    Args:
        name: "cosine", to `lowest` at the end; "step"; "constant"; "plateau": constant, times `share`.
        peak: learning rate at the end of the warm-up.
        warmup: length of the warm-up in batches.
        total: length of the run in batches, warm-up included.
        every: batches for one update.
        head: batches at the start in which new layers learn alone, at `recipes.HEAD_RATE` times the peak.
        first: of the warm-up, as a share of the peak.
        lowest: of "cosine" and "plateau", as a share of the peak.

    Attributes:
        share: of a plateau, a keras.Variable that `callbacks.Plateau` sets from the history before each epoch;
            no part of a checkpoint.
    """

    def __init__(
        self,
        name: str,
        peak: float,
        warmup: int,
        total: int,
        every: int = 1,
        head: int = 0,
        first: float = 0.01,
        lowest: float = 0.0,
    ):
        super().__init__()
        self.name = name
        self.peak = peak
        self.warmup = warmup
        self.total = total
        self.every = every
        self.head = head
        self.first = first
        self.lowest = lowest
        self.share = keras.Variable(1.0, dtype="float32", trainable=False) if name == "plateau" else 1.0

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step // self.every * self.every - self.head, "float32")
        total = max(self.total - self.head, 1)
        rest = ops.clip((step - self.warmup) / max(total - self.warmup, 1), 0.0, 1.0)
        rate = SCHEDULES[self.name](step / total, rest) * self.share
        if self.name == "cosine":
            rate = self.lowest + (1 - self.lowest) * rate
        elif self.name == "plateau":
            rate = ops.maximum(rate, self.lowest)
        rate = ops.where(step < self.warmup, self.first + (1 - self.first) * step / max(self.warmup, 1), rate)
        return self.peak * ops.where(step < 0, float(recipes.HEAD_RATE), rate)

    def in_head_phase(self, step: Any) -> Any:
        """Whether new layers learn alone in the update that a batch belongs to."""
        return step // self.every * self.every < self.head

    def get_config(self) -> dict[str, Any]:
        names = ("name", "peak", "warmup", "total", "every", "head", "first", "lowest")
        return {name: getattr(self, name) for name in names}


def build_schedule(config: Config, peak: float, steps_per_epoch: int) -> Schedule:
    """The learning rate by batch: new layers alone, if the recipe has it, then warm-up, then `config.sched`.

    Raises:
        BadInput: a rate of --warmup-lr or --min-lr is above the peak.
    """
    for flag, rate in (("--warmup-lr", config.warmup_lr), ("--min-lr", config.min_lr)):
        if rate is not None and rate > peak:
            raise BadInput(f"{flag} {rate:g} is above the peak learning rate of {peak:g}: lower it or raise --lr")
    first = 0.01 if config.warmup_lr is None else config.warmup_lr / peak
    head = round(recipes.head_epochs(config) * steps_per_epoch)
    warmup = round(config.warmup_epochs * steps_per_epoch)
    total = config.epochs * steps_per_epoch
    return Schedule(
        config.sched, peak, warmup, total, config.grad_accum_steps, head, first=first, lowest=config.min_lr / peak
    )


def schedule_of(model: keras.Model) -> Schedule:
    """The schedule of a network that `compile_model` compiled. Keras has no public way to it."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)._learning_rate
