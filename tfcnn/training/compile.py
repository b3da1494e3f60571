"""How a network is trained: precision, optimiser, learning-rate schedule, penalties, loss and metrics."""

from __future__ import annotations

import inspect

import keras

from tfcnn import losses, metrics
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.graph import in_order, is_head
from tfcnn.models.registry import ARCHS, builder_of, family_of
from tfcnn.training.optimizers import optimizer, peak_learning_rate
from tfcnn.training.penalties import penalise
from tfcnn.training.schedules import schedule


def check_drop_path(config: Config) -> None:
    """Raises BadInput if --drop-path is given for an architecture that leaves no blocks out."""

    def has_it(arch):
        return "drop_path" in inspect.signature(builder_of(arch)).parameters

    if config.drop_path is not None and not has_it(config.arch):
        known = ", ".join(name for name in ARCHS if has_it(name))
        raise BadInput(f"{config.arch} leaves no blocks out in training; those that can: {known} (--drop-path)")


def freeze(model: keras.Model, arch: str, what: str) -> int:
    """Let a part of the network keep its weights; its batch norms then use their moving statistics, as Keras does.

    Args:
        model: a network of `tfcnn.build`, before it is compiled.
        arch: its name.
        what: "none"; "backbone": all layers but the head, which for a classification network is what follows the last
            map; or the number of stages from the input on.

    Returns:
        The number of layers with weights that are frozen.

    Raises:
        BadInput: the network has fewer stages.
    """
    if what == "none":
        return 0
    family, order = family_of(arch), in_order(model)
    stages = [name for name in family.features if name in {layer.name for layer in model.layers}]
    if what == "backbone" and family.task == "classification":
        frozen = [layer for layer in order if not is_head(layer)]
    else:
        count = len(stages) if what == "backbone" else int(what)
        if count > len(stages):
            raise BadInput(f"{arch} has {len(stages)} stages, got --freeze {what}")
        maps = [model.get_layer(name).output for name in stages[:count]]
        frozen = in_order(keras.Model(model.input, maps)) if maps else []
    for layer in frozen:
        layer.trainable = False
    return len(frozen)


def compile_model(
    model: keras.Model,
    config: Config,
    steps_per_epoch: int,
    task: str = "classification",
    std: tuple[float, ...] = (1.0,),
) -> float:
    """Give a network its optimiser, its penalties, and the loss and metrics of its task.

    Args:
        model: a network of `tfcnn.build` with one output.
        config: the run.
        steps_per_epoch: batches in an epoch.
        task: "classification" (one-hot or soft targets), "segmentation" (masks of whole numbers, 255 ignored) or
            "reconstruction" (images).
        std: by which the data divided pixels in 0 ... 1, for the PSNR of a reconstruction.

    Returns:
        The peak learning rate.

    Raises:
        BadInput: the network has more than one output, GoogLeNet's auxiliary classifiers for example; a loss of
            another task; or more batches for one update than an epoch has.
    """
    if len(model.outputs) > 1:
        names = ", ".join(model.output_names)
        raise BadInput(f"{config.arch} has the outputs {names}; this trains networks with one (--arch-args)")
    if config.grad_accum_steps > steps_per_epoch:
        raise BadInput(
            f"an epoch has {steps_per_epoch} batches, fewer than the {config.grad_accum_steps} of one update "
            f"(--grad-accum-steps, --batch-size)"
        )
    loss = losses.loss(task, config.loss, config.smoothing)
    penalise(model, config.l2, config.max_norm)
    peak = peak_learning_rate(config)
    model.compile(
        optimizer=optimizer(config, schedule(config, peak, steps_per_epoch)),
        loss=loss,
        metrics=metrics.metrics(task, model.output_shape[-1], std),
        jit_compile={"auto": "auto", "on": True, "off": False}[config.jit],
    )
    return peak
