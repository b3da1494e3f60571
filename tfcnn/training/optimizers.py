"""The optimiser of a run and its peak learning rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import keras

from tfcnn.config import Config
from tfcnn.models.registry import family_of
from tfcnn.training import recipes
from tfcnn.training.fused_optimizers import accelerate_optimizer

# Peak learning rates at batch size 32, found on `digits`; lower for families without normalisation. Those of
# segmentation, reconstruction, sounds and volumes are at the batch size of their recipe (tfcnn.training.recipes), and
# only "adamw" was tried.
LEARNING_RATE = {"adamw": 1e-2, "sgd": 0.1}
UNNORMALISED = {"adamw": 1e-3, "sgd": 0.01}
DENSE_PREDICTION = {"adamw": 1.5e-3, "sgd": 0.015}
DETECTION = {"adamw": 3e-3, "sgd": 0.03}
LEARNING_RATE_OF = {
    "lenet": {"adamw": 6e-3, "sgd": 0.05},
    "vgg": UNNORMALISED,
    "alexnet": UNNORMALISED,
    "nin": UNNORMALISED,
    "squeezenet": UNNORMALISED,
    **dict.fromkeys(("unet", "unet3d", "fcn", "dilated"), DENSE_PREDICTION),
    "segnet": {"adamw": 3e-3, "sgd": 0.03},
    "deconvnet": {"adamw": 3e-3, "sgd": 0.03},
    "audio": {"adamw": 3e-3, "sgd": 0.03},
    "voxnet": {"adamw": 2e-3, "sgd": 0.02},
    "rcnn": DETECTION,
    "fast_rcnn": DETECTION,
}
# Peak rates of loaded weights, as shares of these. Without normalisation the rates for fresh weights are low already
# (docs/fine_tuning.md).
FINE_TUNING_SHARE = 0.2
UNNORMALISED_SHARE = 0.5
MOMENTUM = 0.9


class Optimiser(NamedTuple):
    """A row of `OPTIMISERS`: its peak learning rate is that of `like` times a factor."""

    build: Callable[..., keras.optimizers.Optimizer]  # from the schedule and Keras' common arguments
    like: str
    factor: float
    weight_decay: float  # decoupled


# Lion: a rate 3 to 10 times lower than AdamW's, and a decay higher by as much (Chen et al. 2023). Keras decays LAMB's
# weights outside its trust ratio, unlike You et al. 2019, algorithm 2.
OPTIMISERS = {
    "adamw": Optimiser(keras.optimizers.AdamW, "adamw", 1, 0.05),
    "adam": Optimiser(keras.optimizers.Adam, "adamw", 1, 0.0),
    "sgd": Optimiser(partial(keras.optimizers.SGD, momentum=MOMENTUM, nesterov=True), "sgd", 1, 5e-4),
    "momentum": Optimiser(partial(keras.optimizers.SGD, momentum=MOMENTUM), "sgd", 1, 5e-4),
    "rmsprop": Optimiser(partial(keras.optimizers.RMSprop, momentum=MOMENTUM), "adamw", 0.1, 0.0),
    "lamb": Optimiser(keras.optimizers.Lamb, "adamw", 3, 0.05),
    "lion": Optimiser(keras.optimizers.Lion, "adamw", 0.3, 0.15),
}


def peak_learning_rate(config: Config) -> float:
    """`config.lr`, or a rate that suits the architecture's family and the optimiser, lower in fine-tuning.

    That of --lr auto is the latter, until `tfcnn.training.rate_finder` has put a number in its place.
    """
    if isinstance(config.lr, float):
        return config.lr
    row = OPTIMISERS[config.opt]
    rates = LEARNING_RATE_OF.get(family_of(config.arch).module, LEARNING_RATE)
    share = 1.0
    if recipes.fine_tunes(config):
        share = UNNORMALISED_SHARE if rates is UNNORMALISED else FINE_TUNING_SHARE
    return rates[row.like] * row.factor * share


def build_optimizer(
    config: Config, schedule: keras.optimizers.schedules.LearningRateSchedule
) -> keras.optimizers.Optimizer:
    """Keras' optimiser, with weight decay on kernels only and clipping by the global norm.

    Gradients are averaged over `config.grad_accum_steps` batches, then clipped and applied once.
    """
    row = OPTIMISERS[config.opt]
    optimizer = row.build(
        schedule,
        weight_decay=row.weight_decay if config.weight_decay is None else config.weight_decay,
        global_clipnorm=config.clip_grad,
        gradient_accumulation_steps=config.grad_accum_steps if config.grad_accum_steps > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "coefficient"])
    if config.kernels == "fused" and config.distribution != "mirrored":  # a mirrored variable is several
        accelerate_optimizer(optimizer)
    return optimizer
