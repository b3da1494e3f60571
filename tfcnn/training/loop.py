"""The training loop: Keras' own step, callbacks and evaluation, from any step of any epoch on.

Keras' `fit` begins at the first step of an epoch, with its metrics at zero; and its `steps_per_execution` is fixed when
the function is traced, so that a run could stop only at multiples of it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfcnn import graph
from tfcnn.config import Config
from tfcnn.errors import TrainingFailed
from tfcnn.training.callbacks import Keeper
from tfcnn.training.checkpoint import NotFinite
from tfcnn.training.schedules import schedule_of

if TYPE_CHECKING:
    from tfcnn.training.data import Data

CALL_SECONDS = 0.1  # a call of several steps takes at most this long: signals wait for its end
IN_INPUTS = "in the inputs of the network"
MOST_STEPS = 32  # in a call; the call costs about as much as a step of the smallest networks


def build_metrics(model: keras.Model, data: Data) -> None:
    """Make the variables of the metrics, so that they can be restored; Keras makes them at the first step."""
    _, targets = data.evaluation("validation").element_spec
    specs = (targets, tf.TensorSpec(model.output_shape))
    zeros = [tf.zeros([1, *(side or 1 for side in spec.shape[1:])], spec.dtype) for spec in specs]
    model.compute_metrics(None, *zeros)
    model.reset_metrics()


def several_steps(model: keras.Model, train_step: Callable | None = None) -> Callable:
    """A function that trains a compiled model for some steps in one call of TensorFlow.

    Args:
        model: compiled.
        train_step: function of a batch that does one step and returns the running means; default: the model's own.

    Returns:
        steps(batches, count) -> (done, logs): the number of steps done and the metrics after the last, as tensors.
        `batches` is an iterator of a tf.data.Dataset, `count` a whole number from 1 up. It stops after a step whose
        loss is not finite. Results do not depend, to the bit, on how steps are divided into calls: each step is a turn
        of the same loop.
    """
    step = tf.function(train_step or model.train_step, autograph=False, jit_compile=model.jit_compile)

    @partial(tf.function, autograph=False)
    def steps(batches: Any, count: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        logs = step.get_concrete_function(batches.element_spec).structured_outputs
        nothing = {name: tf.zeros(log.shape, log.dtype) for name, log in logs.items()}

        def more(done: tf.Tensor, logs: dict[str, tf.Tensor]) -> tf.Tensor:
            return (done < count) & tf.math.is_finite(logs["loss"])

        return tf.while_loop(more, lambda done, logs: (done + 1, step(next(batches))), (0, nothing))

    return lambda batches, count: steps(batches, tf.constant(count))


class CallSize:
    """How many steps the next call of TensorFlow does. The first call, which compiles, does one.

    Args:
        steps: in a call; None: as many as take `CALL_SECONDS`, up to `MOST_STEPS`.
        every: a call ends at multiples of so many steps, counted from the first of this process; None: anywhere.
    """

    def __init__(self, steps: int | None, every: int | None):
        self.steps = steps
        self.every = every
        self.size = 1
        self.taken = 0

    def next(self, left: int) -> int:
        """The number of steps of the next call, where an epoch has `left`."""
        until_end = self.every - self.taken % self.every if self.every else left
        return min(self.size, left, until_end)

    def note(self, done: int, seconds: float) -> None:
        """Take account of a call of `done` steps that took so many seconds."""
        self.taken += done
        if self.taken > 1:
            self.size = self.steps or min(max(int(CALL_SECONDS * done / seconds), 1), MOST_STEPS)


@dataclasses.dataclass(frozen=True)
class Loop:
    """A compiled network and what it trains on.

    Args:
        model: compiled.
        data: its batches.
        config: epochs of the whole run, steps in a call of TensorFlow, steps between checkpoints.
        keeper: the last of the callbacks; with its checkpoints a stopped validation is kept and a fault is looked for.
        train_step: for several devices, the step that replaces the model's own.
    """

    model: keras.Model
    data: Data
    config: Config
    keeper: Keeper
    train_step: Callable | None = None

    def train(self, first_epoch: int, first_step: int, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Train to the end of the last epoch, or until a callback sets `model.stop_training` at the end of one.

        Args:
            first_epoch: number of epochs done.
            first_step: number of steps done of the next; all of them: its validation comes next.
            callbacks: called before the keeper. `on_train_batch_begin` gets the first batch of a call of TensorFlow
                and `on_train_batch_end` the last.

        Raises:
            TrainingFailed: the loss or a weight is not finite; the message names the step and the layer.
        """
        model = self.model
        steps = self.data.steps_per_epoch
        hooks = keras.callbacks.CallbackList(
            [*callbacks, self.keeper], model=model, epochs=self.config.epochs, steps=steps
        )
        batches = self._batches(first_epoch, first_step)
        take = several_steps(model, self.train_step)
        call_size = CallSize(self.config.steps_per_call, self.config.checkpoint_every)
        step = first_step
        model.stop_training = False
        try:
            hooks.on_train_begin()
            for epoch in range(first_epoch, self.config.epochs):
                if step == 0:
                    model.reset_metrics()
                hooks.on_epoch_begin(epoch)
                while step < steps:
                    started = time.monotonic()
                    hooks.on_train_batch_begin(step)
                    done, logs = take(batches, call_size.next(steps - step))
                    step += int(done)
                    call_size.note(int(done), time.monotonic() - started)
                    hooks.on_train_batch_end(step - 1, logs)
                means = {name: float(value) for name, value in model.get_metrics_result().items()}
                hooks.on_epoch_end(epoch, means | self._validate(epoch, hooks))
                step = 0
                if model.stop_training:
                    break
            hooks.on_train_end()
        except NotFinite as fault:
            # Each of several processes has a checkpoint of another moment: one alone cannot repeat the steps.
            culprit = "" if self.train_step else self._culprit(take, fault)
            raise TrainingFailed(self._describe(fault, culprit)) from fault

    def _batches(self, epoch: int, step: int) -> Iterator:
        """The training batches from a step on; after the last step of an epoch, those of the next."""
        if step == self.data.steps_per_epoch:
            epoch, step = epoch + 1, 0
        return iter(_untuned(self.data.train(self.config.epochs - epoch, epoch, step)))

    def _validate(self, epoch: int, hooks: keras.callbacks.CallbackList) -> dict[str, float]:
        """Loss and metrics of the validation split, as val_...; stopped, it leaves a checkpoint before itself."""
        model = self.model
        state = [variable.numpy() for variable in model.metrics_variables]
        try:
            results = model.evaluate(self.data.evaluation("validation"), callbacks=hooks, return_dict=True, verbose=0)
        except KeyboardInterrupt:
            hooks.on_test_end()  # callbacks undo what they changed for the validation
            for variable, value in zip(model.metrics_variables, state, strict=True):
                variable.assign(value)
            self.keeper.checkpoints.save(epoch, self.data.steps_per_epoch, self.keeper.rows)
            raise
        return {f"val_{name}": value for name, value in results.items()}

    def _describe(self, fault: NotFinite, culprit: str) -> str:
        optimizer = self.model.optimizer
        where = f", first {culprit}" if culprit else ""
        peak = schedule_of(self.model).peak
        advice = "mend the data" if culprit == IN_INPUTS else f"try --lr {peak / 10:.2g}, a tenth of the peak rate"
        scale = getattr(optimizer, "dynamic_scale", None)
        loss_scale = "" if scale is None else f", loss scale {float(scale):g}"
        return (
            f"{fault} is not finite (learning rate {float(optimizer.learning_rate):g}{loss_scale}){where}; the last "
            f"finite checkpoint and the best model so far are kept in '{self.keeper.checkpoints.folder.parent}'; "
            f"{advice}"
        )

    def _culprit(self, take: Callable, fault: NotFinite) -> str:
        """What was not finite first in a step that failed, from repeating the steps since the last checkpoint.

        After the step nothing can be seen any more: the gradients have carried it to all weights.
        """
        model = self.model
        epoch, step, _ = self.keeper.checkpoints.restore()
        batches = self._batches(epoch, step)
        for _ in range((fault.epoch - epoch) * self.data.steps_per_epoch + fault.step - step):
            take(batches, 1)
        for weight in model.weights:
            if not np.isfinite(weight.numpy()).all():
                return f"in weight '{weight.path}', before the step"
        inputs, _ = next(batches)
        if not _all_finite(inputs):
            return IN_INPUTS
        applied = graph.read(model).steps
        outputs = keras.Model(model.input, [step.outputs for step in applied])(inputs, training=True)
        for layer_step, output in zip(applied, outputs, strict=True):
            if not _all_finite(output):
                return f"in the output of layer '{layer_step.operation.name}'"
        return "in the loss or its gradients, all outputs of layers being finite"


def _untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same batches, prepared by a thread for each core, up to 16, and not by a number that tf.data tunes.

    Its tuner sleeps for up to a minute at a time, and often is not woken when the iterator goes before the end of the
    data: a run that was stopped, or that stopped early, waited for it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _all_finite(values: Any) -> bool:
    return all(np.isfinite(keras.ops.convert_to_numpy(value)).all() for value in keras.tree.flatten(values))
