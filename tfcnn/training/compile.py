"""How a network is trained: precision, optimiser, learning-rate schedule, penalties, loss and metrics."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import keras

from tfcnn import losses
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.graph import in_order, is_head
from tfcnn.metrics import METRICS
from tfcnn.models.backbones import backbone_part
from tfcnn.models.registry import ARCHS, backbone_of, builder_of, family_of
from tfcnn.training import recipes
from tfcnn.training.class_weights import ClassWeighted
from tfcnn.training.fine_tuning import divide_by_depth, scale_rates, set_momentum
from tfcnn.training.optimizers import build_optimizer, peak_learning_rate
from tfcnn.training.penalties import penalise
from tfcnn.training.schedules import build_schedule


def check_drop_path(config: Config) -> None:
    """Raises BadInput if --drop-path is set for an architecture that cannot leave out blocks."""

    def has_drop_path(arch: str) -> bool:
        return "drop_path" in inspect.signature(builder_of(arch)).parameters

    if config.drop_path is not None and not has_drop_path(config.arch):
        archs = ", ".join(name for name in ARCHS if has_drop_path(name))
        raise BadInput(f"{config.arch} leaves no blocks out in training; those that can: {archs} (--drop-path)")


def freeze(model: keras.Model, arch: str, what: str) -> int:
    """Freeze the weights of a part of the network; its batch norms then use their moving statistics, as Keras does.

    Args:
        model: a network of `tfcnn.build`, before it is compiled.
        arch: its name, or that of its backbone.
        what: "none"; "backbone": all layers but the head, which in a classification network follows the last map; or
            the number of stages from the input on.

    Returns:
        The number of layers with weights that are frozen.

    Raises:
        BadInput: the network has fewer stages.
    """
    if what == "none":
        return 0
    family = family_of(arch)
    network = backbone_part(model)
    stages = [name for name in family.features if name in {layer.name for layer in network.layers}]
    if what == "backbone" and family.task == "classification":
        frozen = [layer for layer in in_order(network) if not is_head(layer)]
    else:
        count = len(stages) if what == "backbone" else int(what)
        if count > len(stages) or (what == "backbone" and not stages):
            raise BadInput(f"{arch} has {len(stages)} stages, got --freeze {what}")
        maps = [network.get_layer(name).output for name in stages[:count]]
        frozen = in_order(keras.Model(network.input, maps)) if maps else []
    for layer in frozen:
        layer.trainable = False
    return len(frozen)


def compile_model(
    model: keras.Model,
    config: Config,
    steps_per_epoch: int,
    task: str = "classification",
    std: tuple[float, ...] = (1.0,),
    class_weights: Sequence[float] | None = None,
    new_layers: int = 1,
) -> float:
    """Give a network its optimiser, its penalties, and the loss and metrics of its task.

    Args:
        model: a network of `tfcnn.build`, one of several outputs as `tfcnn.training.auxiliary` has it.
        config: the run.
        steps_per_epoch: batches in an epoch.
        task: "classification" (one-hot or soft targets), "segmentation" (masks of whole numbers, 255 ignored) or
            "reconstruction" (images).
        std: divisor of each channel of pixels in 0 ... 1, for the PSNR of a reconstruction.
        class_weights: of each class in the loss; None: all alike.
        new_layers: how many of the last layers learn alone at first, where the recipe has it.

    Returns:
        The peak learning rate.

    Raises:
        BadInput: the loss is one of another task; or an update takes more batches than an epoch has.
    """
    if config.grad_accum_steps > steps_per_epoch:
        raise BadInput(
            f"an epoch has {steps_per_epoch} batches, fewer than the {config.grad_accum_steps} of one update "
            f"(--grad-accum-steps, --batch-size)"
        )
    loss = losses.loss(task, config.loss, config.smoothing)
    if class_weights is not None:
        loss = ClassWeighted(loss, class_weights)
    penalise(model, config.l2, config.max_norm)
    peak = peak_learning_rate(config)
    schedule = build_schedule(config, peak, steps_per_epoch)
    optimizer = build_optimizer(config, schedule)
    if schedule.head or config.layer_decay is not None:
        arch = backbone_of(config.arch, config.overrides)
        scale_rates(optimizer, schedule, divide_by_depth(model, arch, config.layer_decay or 1.0, new_layers))
    if recipes.fine_tunes(config):
        set_momentum(model, recipes.batch_norm_momentum(steps_per_epoch))
    model.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=METRICS[task](model.output_shape[-1], std),
        jit_compile=False if config.grad_checkpoint else {"auto": "auto", "on": True, "off": False}[config.jit],
    )
    return peak
