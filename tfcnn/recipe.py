"""How a network is trained: precision, optimiser, learning-rate schedule, loss and metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from tfcnn.config import BadInput, Config
from tfcnn.graph import in_order, is_head
from tfcnn.models import family_of

# Peak learning rates at batch size 32, found on `digits`; lower where dense layers follow without normalisation.
LEARNING_RATE = {"adamw": 1e-2, "sgd": 0.1}
PLAIN = {"adamw": 1e-3, "sgd": 0.01}
LEARNING_RATE_OF = {
    "lenet": {"adamw": 6e-3, "sgd": 0.05},
    **dict.fromkeys(("vgg", "alexnet", "nin", "squeezenet"), PLAIN),
}
WEIGHT_DECAY = {"adamw": 0.05, "sgd": 5e-4}
MOMENTUM = 0.9


def precision(config: Config) -> str:
    """The Keras dtype policy of a run: `config.precision`, or what suits the device for "auto".

    float32 on CPU; on a GPU mixed_bfloat16 from compute capability 8.0 on, mixed_float16 from 7.0 on.
    """
    if config.precision != "auto":
        return config.precision
    import tensorflow as tf

    capability = (0, 0)
    if gpus := tf.config.list_physical_devices("GPU"):
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
    return LEARNING_RATE_OF.get(family_of(config.arch).module, LEARNING_RATE)[config.opt]


def schedule(config: Config, peak: float, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up from a hundredth of `peak`, then a cosine to zero at the last step."""
    warmup = round(config.warmup_epochs * steps_per_epoch)
    total = config.epochs * steps_per_epoch
    if warmup == 0:
        return keras.optimizers.schedules.CosineDecay(peak, total)
    return keras.optimizers.schedules.CosineDecay(
        peak / 100, max(total - warmup, 1), warmup_target=peak, warmup_steps=warmup
    )


def optimizer(config: Config, rates: keras.optimizers.schedules.LearningRateSchedule) -> keras.optimizers.Optimizer:
    """AdamW, or SGD with Nesterov momentum; weight decay on kernels only (not on biases, gammas, betas)."""
    decay = WEIGHT_DECAY[config.opt] if config.weight_decay is None else config.weight_decay
    if config.opt == "adamw":
        result = keras.optimizers.AdamW(rates, weight_decay=decay)
    else:
        result = keras.optimizers.SGD(rates, momentum=MOMENTUM, nesterov=True, weight_decay=decay)
    result.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return result


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


def compile_model(model: keras.Model, config: Config, steps_per_epoch: int) -> float:
    """Give a classification network its optimiser, its loss on logits and one-hot targets, and its metrics.

    Returns:
        The peak learning rate.

    Raises:
        BadInput: the network has more than one output, GoogLeNet's auxiliary classifiers for example.
    """
    if len(model.outputs) > 1:
        names = ", ".join(model.output_names)
        raise BadInput(f"{config.arch} has the outputs {names}; this trains networks with one (--arch-args)")
    peak = peak_learning_rate(config)
    rates = schedule(config, peak, steps_per_epoch)
    model.compile(
        optimizer=optimizer(config, rates),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    return peak
