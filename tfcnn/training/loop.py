"""The training loop: Keras' own step, callbacks and evaluation, from any step of any epoch on.

Keras' `fit` begins at the first step of an epoch, with its metrics at zero; and its `steps_per_execution` is a number
that is fixed when the function is traced, so that no run could be stopped between its multiples.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcnn import graph
from tfcnn.errors import TrainingFailed
from tfcnn.training.checkpoint import Checkpoints, NotFinite

CALL_SECONDS = 0.1  # of a call of several steps at most, after which a signal is looked at
MOST_STEPS = 32  # in a call; the call costs about as much as a step of the smallest networks


def build_metrics(model: keras.Model, data) -> None:
    """Make the variables of the metrics, which Keras makes at the first step, so that they can be restored before."""
    _, targets = data.evaluation("validation").element_spec
    zeros = [tf.zeros([1, *spec.shape[1:]], spec.dtype) for spec in (targets, tf.TensorSpec(model.output_shape))]
    model.compute_metrics(None, *zeros)
    model.reset_metrics()


def several_steps(model: keras.Model, train_step: Callable | None = None) -> Callable:
    """A function that trains a compiled model for some steps in one call of TensorFlow.

    Args:
        model: compiled.
        train_step: function of a batch that does one step and gives the running means; default: the model's own.

    Returns:
        steps(batches, count) -> (done, logs): the number of steps done and the metrics after the last, as tensors.
        `batches` is an iterator of a tf.data.Dataset, `count` a whole number from 1 up. It stops after a step whose
        loss is not finite. How steps are divided into calls changes no bit of what they give: each is a turn of the
        same loop.
    """
    step = tf.function(train_step or model.train_step, autograph=False, jit_compile=model.jit_compile)

    @partial(tf.function, autograph=False)
    def steps(batches, count):
        logs = step.get_concrete_function(batches.element_spec).structured_outputs
        nothing = {name: tf.zeros(each.shape, each.dtype) for name, each in logs.items()}

        def more(done, logs):
            return (done < count) & tf.math.is_finite(logs["loss"])

        return tf.while_loop(more, lambda done, logs: (done + 1, step(next(batches))), (0, nothing))

    return lambda batches, count: steps(batches, tf.constant(count))


def train(
    model: keras.Model,
    data,
    epochs: int,
    checkpoints: Checkpoints,
    place: tuple[int, int],
    callbacks: list,
    steps_per_call: int | None = None,
    every: int | None = None,
    train_step: Callable | None = None,
) -> None:
    """Train to the end of the last epoch, or until a callback sets `model.stop_training` at the end of one.

    Args:
        model: compiled, its variables those of `place`.
        data: the pipelines.dataset.Data.
        epochs: of the whole run.
        checkpoints: what a validation that is stopped leaves one in, and where a fault is looked for.
        place: number of epochs done, and number of steps done of the next: as `Checkpoints.restore` gives it.
        callbacks: the last is a callbacks.Keeper. `on_train_batch_begin` gets the first batch of a call of
            TensorFlow and `on_train_batch_end` the last.
        steps_per_call: steps in a call; None: as many as take `CALL_SECONDS`. Fewer at the end of an epoch.
        every: steps, counted from the first of this process, at whose multiples a call ends.
        train_step: in the place of the model's own, for several devices.

    Raises:
        TrainingFailed: the loss or a weight is not finite; the message names the step and the layer.
    """
    first_epoch, step = place
    steps, validation = data.steps_per_epoch, data.evaluation("validation")
    hooks = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, steps=steps)
    batches, take = _batches(data, epochs, place), several_steps(model, train_step)
    model.stop_training = False
    size, taken = 1, 0  # the first call compiles
    try:
        hooks.on_train_begin()
        for epoch in range(first_epoch, epochs):
            if step == 0:
                model.reset_metrics()
            hooks.on_epoch_begin(epoch)
            while step < steps:
                started = time.monotonic()
                hooks.on_train_batch_begin(step)
                count = min(size, steps - step, every - taken % every if every else size)
                done, logs = take(batches, count)
                done = int(done)
                step, taken = step + done, taken + done
                if taken > 1:
                    seconds = (time.monotonic() - started) / done
                    size = steps_per_call or min(max(int(CALL_SECONDS / seconds), 1), MOST_STEPS)
                hooks.on_train_batch_end(step - 1, logs)
            logs = {name: float(value) for name, value in model.get_metrics_result().items()}
            state = [variable.numpy() for variable in model.metrics_variables]
            try:
                found = model.evaluate(validation, callbacks=hooks, return_dict=True, verbose=0)
            except KeyboardInterrupt:
                hooks.on_test_end()  # the callbacks take back what they changed for the validation
                for variable, value in zip(model.metrics_variables, state, strict=True):
                    variable.assign(value)
                checkpoints.save(epoch, steps, callbacks[-1].rows)
                raise
            hooks.on_epoch_end(epoch, logs | {f"val_{name}": value for name, value in found.items()})
            step = 0
            if model.stop_training:
                break
        hooks.on_train_end()
    except NotFinite as fault:
        # Of several processes each has a checkpoint of another moment, and could not do the steps again by itself.
        take = None if train_step else take
        raise TrainingFailed(_report(model, data, epochs, checkpoints, take, fault)) from fault


def _batches(data, epochs: int, place: tuple[int, int]):
    epoch, step = place
    if step == data.steps_per_epoch:
        epoch, step = epoch + 1, 0
    return iter(data.train(epochs - epoch, epoch, step))


def _report(model, data, epochs, checkpoints, take, fault: NotFinite) -> str:
    rate, scale = float(model.optimizer.learning_rate), getattr(model.optimizer, "dynamic_scale", None)
    scale = "" if scale is None else f", loss scale {float(scale):g}"
    where = f", first {_culprit(model, data, epochs, checkpoints, take, fault)}" if take else ""
    return (
        f"{fault} is not finite (learning rate {rate:g}{scale}){where}; the last finite checkpoint and the "
        f"best model so far are kept in '{checkpoints.folder.parent}'; try a lower --lr"
    )


def _culprit(model, data, epochs, checkpoints, take, fault: NotFinite) -> str:
    """What was first not finite in a step that failed: the steps from the checkpoint before it are done again.

    After the step itself nothing can be seen: the gradients have carried it to all weights.
    """
    epoch, step, _ = checkpoints.restore()
    batches = _batches(data, epochs, (epoch, step))
    for _ in range((fault.epoch - epoch) * data.steps_per_epoch + fault.step - step):
        take(batches, 1)
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            return f"in weight '{weight.path}', before the step"
    applied = graph.read(model).steps
    inputs, _ = next(batches)
    if not _finite(inputs):
        return "in the inputs of the network"
    outputs = keras.Model(model.input, [step.outputs for step in applied])(inputs, training=True)
    for step, output in zip(applied, outputs, strict=True):
        if not _finite(output):
            return f"in the output of layer '{step.operation.name}'"
    return "in the loss or its gradients, all outputs of layers being finite"


def _finite(values: Any) -> bool:
    return all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in keras.tree.flatten(values))
