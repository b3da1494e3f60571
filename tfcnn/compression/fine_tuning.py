"""The training of a network while its weights are pruned and shared, on the data and by the recipe of its run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from tfcnn.compression.pruning import RAMP, Masked, kernels_of, masks_by_layer, masks_over_all, sparsity_at
from tfcnn.compression.settings import Settings
from tfcnn.compression.sharing import SharedKernels
from tfcnn.config import Config
from tfcnn.errors import TrainingFailed
from tfcnn.training.compile import compile_model
from tfcnn.training.loop import several_steps

if TYPE_CHECKING:
    from tfcnn.training.data import Data

UPDATES = 4  # of the masks in an epoch
MOST_STEPS = 100  # between two updates; Zhu & Gupta update every 100 to 1,000
WARMUP = 0.05  # of the epochs: the first steps of a fresh optimiser at full rate undo what was learned
PRUNING_SHARE = 0.5  # of the run's peak rate
SHARING_SHARE = 0.1  # a centroid stands for many weights


class Lesson(NamedTuple):
    """What a network is fine-tuned on.

    Attributes:
        config: of the run.
        data: of the run.
        rate: the run's peak learning rate.
        class_weights: of the run's loss, None without.
    """

    config: Config
    data: Data
    rate: float
    class_weights: Sequence[float] | None = None


def prune(model: keras.Model, lesson: Lesson, settings: Settings) -> list[Masked]:
    """Prune a network while it trains; its kernels keep their masks as constraints.

    The sparsity rises for a share `RAMP` of the epochs, while the learning rate falls by a cosine; the rest of the
    epochs has the final sparsity.
    """
    rate = PRUNING_SHARE * lesson.rate if settings.rate is None else settings.rate
    _compile(model, lesson, settings.epochs, rate)
    constraints = [Masked(kernel) for kernel in kernels_of(model)]
    masks = [np.ones(tuple(constraint.kernel.shape), bool) for constraint in constraints]

    def prune_to(sparsity: float) -> None:
        nonlocal masks
        kernels = [constraint.kernel.numpy() for constraint in constraints]
        if settings.scope == "global":
            masks = masks_over_all(kernels, sparsity, masks)
        else:
            masks = masks_by_layer(kernels, [sparsity] * len(kernels), masks)
        for constraint, mask in zip(constraints, masks, strict=True):
            constraint.set(mask)

    def before(share: float) -> str:
        sparsity = sparsity_at(min(share / RAMP, 1), settings.sparsity)
        prune_to(sparsity)
        return f"sparsity {sparsity:.1%}"

    if settings.epochs:
        train(model, lesson, settings.epochs, model.train_step, before)
    prune_to(settings.sparsity)
    return constraints


def share_weights(model: keras.Model, lesson: Lesson, settings: Settings, constraints: Sequence[Masked]) -> None:
    """Share the weights of a pruned network, train the shared values, and round the network to what a file holds."""
    for constraint in constraints:
        constraint.remove()
    rate = SHARING_SHARE * PRUNING_SHARE * lesson.rate if settings.rate is None else SHARING_SHARE * settings.rate
    _compile(model, lesson, settings.sharing_epochs, rate, weight_decay=0.0, l2=0.0, max_norm=None)
    shared = SharedKernels(model, [constraint.kernel for constraint in constraints], settings.bits)
    if settings.sharing_epochs:
        train(model, lesson, settings.sharing_epochs, shared.train_step, lambda share: f"{settings.bits} bits")
    shared.round()


def _compile(model: keras.Model, lesson: Lesson, epochs: int, rate: float, **changes: Any) -> None:
    """Compile a network by its run's recipe, with a short warm-up to `rate` and a cosine to 0 over the epochs."""
    config = dataclasses.replace(
        lesson.config,
        epochs=max(epochs, 1),
        time=None,
        lr=rate,
        sched="cosine",
        warmup_epochs=WARMUP * epochs,
        weights=None,
        head_epochs=None,
        layer_decay=None,
        grad_accum_steps=1,
        distribution="none",
        resume=False,
        **changes,
    )
    data = lesson.data
    compile_model(model, config, data.steps_per_epoch, data.task, data.std, lesson.class_weights)


def train(
    model: keras.Model,
    lesson: Lesson,
    epochs: int,
    train_step: Callable,
    before: Callable[[float], str],
) -> None:
    """Train on augmented batches that follow those of the run.

    Args:
        model: compiled.
        lesson: its data.
        epochs: how many.
        train_step: function of a batch that does one step and returns {"loss": ...}.
        before: is called every few steps with the share of the training that is done; returns words for the log.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    steps = lesson.data.steps_per_epoch
    every = min(max(steps // UPDATES, 1), MOST_STEPS)
    batches = iter(lesson.data.train(epochs, lesson.config.epochs))
    take = several_steps(model, train_step)
    for epoch in range(epochs):
        model.reset_metrics()
        for first in range(0, steps, every):
            words = before((epoch + first / steps) / epochs)
            _, logs = take(batches, min(every, steps - first))
            loss = float(logs["loss"])
            if not np.isfinite(loss):
                raise TrainingFailed(f"the loss is not finite in epoch {epoch + 1} of fine-tuning; try a lower --lr")
        print(f"epoch {epoch + 1}/{epochs}  {words}  loss {loss:.4f}", flush=True)
