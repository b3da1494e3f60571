"""How a network is trained: precision, optimiser, learning-rate schedule, penalties, loss and metrics."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import keras
from keras import ops

from tfcnn import losses, metrics
from tfcnn.acceleration import accelerate_optimizer, multiplies_bfloat16
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.graph import in_order, is_head
from tfcnn.layers.constraints import MaxNorm, enforce
from tfcnn.models.registry import ARCHS, builder_of, family_of

# Peak learning rates at batch size 32, found on `digits`; lower where dense layers follow without normalisation.
LEARNING_RATE = {"adamw": 1e-2, "sgd": 0.1}
PLAIN = {"adamw": 1e-3, "sgd": 0.01}
LEARNING_RATE_OF = {
    "lenet": {"adamw": 6e-3, "sgd": 0.05},
    **dict.fromkeys(("vgg", "alexnet", "nin", "squeezenet"), PLAIN),
}
# Families of dense convolutions: 1.2 to 1.7 times as fast in bfloat16 on CPUs that multiply in it. Depthwise
# convolutions, and networks for images of 32 pixels, are not (`python -m benchmarks.train_step`).
DENSE = (
    *("alexnet", "vgg", "googlenet", "inception_v3", "resnet", "densenet", "squeezenet"),
    *("unet", "fcn", "segnet", "deconvnet", "dilated"),
)
OF_32_PIXELS = (*(f"resnet{n}" for n in (20, 32, 44, 56, 110)), "densenet40", "densenet_bc100")
MOMENTUM = 0.9


class Optimiser(NamedTuple):
    """A row of `OPTIMISERS`."""

    make: Callable  # make(rates, **settings): Keras' own
    like: str  # whose peak learning rate it takes,
    times: float  # and this factor to it
    decay: float  # decoupled weight decay


# Lion: a rate 3 to 10 times lower than AdamW's and a decay as much higher (Chen et al. 2023). Keras decays LAMB's
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


def precision(config: Config) -> str:
    """The Keras dtype policy of a run: `config.precision`, or what suits the device for "auto".

    On a GPU mixed_bfloat16 from compute capability 8.0 on, mixed_float16 from 7.0 on; on a CPU mixed_bfloat16 where it
    multiplies in it and the network is of `DENSE` and not `OF_32_PIXELS`; else float32.
    """
    if config.precision != "auto":
        return config.precision
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        dense = family_of(config.arch).module in DENSE and config.arch not in OF_32_PIXELS
        return "mixed_bfloat16" if dense and multiplies_bfloat16() else "float32"
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    if capability >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= (7, 0) else "float32"


@contextlib.contextmanager
def policy(config: Config) -> Iterator[str]:
    """Within this context new layers have the precision of the run; its name is the context's value."""
    before, name = keras.config.dtype_policy(), precision(config)
    keras.config.set_dtype_policy(name)
    try:
        yield name
    finally:
        keras.config.set_dtype_policy(before)


def peak_learning_rate(config: Config) -> float:
    """`config.lr`, or what suits the architecture's family and the optimiser."""
    if config.lr is not None:
        return config.lr
    row = OPTIMISERS[config.opt]
    return LEARNING_RATE_OF.get(family_of(config.arch).module, LEARNING_RATE)[row.like] * row.times


# From the share of the run that is done, and of it after the warm-up, to a share of the peak rate.
SCHEDULES = {
    "cosine": lambda run, rest: 0.5 * (1 + ops.cos(math.pi * rest)),
    "step": lambda run, rest: ops.where(run < 0.5, 1.0, ops.where(run < 0.75, 0.1, 0.01)),
    "constant": lambda run, rest: ops.ones_like(run),
    "plateau": lambda run, rest: ops.ones_like(run),  # times the schedule's own share
}


@keras.saving.register_keras_serializable(package="tfcnn")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from a hundredth of the peak, then one of `SCHEDULES`.

    Keras' CosineDecay alone has a warm-up, and where gradients are accumulated Keras' optimisers ask for the rate of a
    batch and not of an update: `every` gives all batches of an update the rate of its first, as one large batch has.

    Args:
        name: of the schedule: "cosine" to 0 at the end; "step": a tenth from 50 % of the run on, a hundredth from 75 %
            on (He et al. 2015, section 4.2); "constant"; "plateau": constant, times `share`.
        peak: learning rate at the end of the warm-up.
        warmup: its length in batches.
        total: the length of the run in batches, warm-up included.
        every: batches for one update.

    Attributes:
        share: of a plateau, a keras.Variable that `tfcnn.checkpoint.Plateau` sets from the history before each epoch;
            no part of a checkpoint.
    """

    def __init__(self, name, peak, warmup, total, every=1):
        super().__init__()
        self.name, self.peak, self.warmup, self.total, self.every = name, peak, warmup, total, every
        self.share = keras.Variable(1.0, dtype="float32", trainable=False) if name == "plateau" else 1.0

    def __call__(self, step):
        step = ops.cast(step // self.every * self.every, "float32")
        rest = ops.clip((step - self.warmup) / max(self.total - self.warmup, 1), 0.0, 1.0)
        rate = SCHEDULES[self.name](step / self.total, rest) * self.share
        return self.peak * ops.where(step < self.warmup, 0.01 + 0.99 * step / max(self.warmup, 1), rate)

    def get_config(self):
        return {name: getattr(self, name) for name in ("name", "peak", "warmup", "total", "every")}


def schedule(config: Config, peak: float, steps_per_epoch: int) -> Schedule:
    """The learning rate by batch: warm-up, then `config.sched`."""
    warmup, total = round(config.warmup_epochs * steps_per_epoch), config.epochs * steps_per_epoch
    return Schedule(config.sched, peak, warmup, total, config.grad_accum_steps)


def schedule_of(model: keras.Model) -> Schedule:
    """The schedule of a network that `compile_model` compiled, to which Keras has no public way."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)._learning_rate


def optimizer(config: Config, rates: keras.optimizers.schedules.LearningRateSchedule) -> keras.optimizers.Optimizer:
    """Keras' optimiser; weight decay on kernels only, clipping by the global norm.

    Gradients are averaged over `config.grad_accum_steps` batches, then clipped and applied once.
    """
    row = OPTIMISERS[config.opt]
    result = row.make(
        rates,
        weight_decay=row.decay if config.weight_decay is None else config.weight_decay,
        global_clipnorm=config.clip_grad,
        gradient_accumulation_steps=config.grad_accum_steps if config.grad_accum_steps > 1 else None,
    )
    result.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "coefficient"])
    if config.kernels == "fused" and config.distribution != "mirrored":  # whose variables are several
        accelerate_optimizer(result)
    return result


class Kernel(NamedTuple):
    """A kernel of a network and how its filters lie in it, as of tfcnn.layers.constraints.KERNELS."""

    variable: keras.Variable
    layout: str


def kernels(model: keras.Model) -> list[Kernel]:
    """The trainable kernels of a network's layers, by name: "kernel", "depthwise_kernel", "offset_kernel" ..."""
    found = []
    for layer in in_order(model):
        kind = type(layer).__name__
        for variable in layer.trainable_variables:
            if variable.name.endswith("kernel"):
                depthwise = variable.name == "depthwise_kernel" or kind.startswith("DepthwiseConv")
                layout = "depthwise" if depthwise else "transposed" if "Transpose" in kind else "convolution"
                found.append(Kernel(variable, "locally_connected" if "LocallyConnected" in kind else layout))
    return found


def penalise(model: keras.Model, l2: float, max_norm: float | None) -> None:
    """Give the kernels of a built network their penalty and their largest norm, which hold for its training alone.

    They are set on the weights and not on the layers, so that the file of the model stays one that Keras alone loads;
    a run that is resumed builds its network anew and comes by here again.

    Args:
        model: a network of `tfcnn.build`.
        l2: the loss gets l2 / 2 times the sum of the squared kernels, whose gradient is l2 times the kernel: what the
            papers call weight decay.
        max_norm: largest L2 norm of a filter, from now on; None: any.
    """
    for kernel in kernels(model):
        if l2:
            kernel.variable.regularizer = keras.regularizers.L2(l2 / 2)
        if max_norm is not None:
            kernel.variable.constraint = MaxNorm(max_norm, kernel.layout)
    enforce(model)


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
