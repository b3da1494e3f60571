"""The files that TensorBoard shows of a run: scalars, the network as a graph, a batch of images, a profile."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import keras
import tensorflow as tf

from tfcnn.errors import BadInput, first_line

EVERY = 10  # steps between the scalars of steps: writing them takes 1 ms, a tenth of a step of LeNet-5


Hook = TypeVar("Hook", bound=Callable)


def optional(hook: Hook) -> Hook:
    """A method of a callback with a `folder`, whose failure to write is one warning and ends its files, not the run."""

    @functools.wraps(hook)
    def call(callback: Any, *arguments: Any, **keywords: Any) -> None:
        if callback.failed:
            return
        try:
            hook(callback, *arguments, **keywords)
        except (OSError, tf.errors.OpError) as error:
            callback.failed = True
            problem = first_line(error)
            print(
                f"\nwarning: '{callback.folder}' cannot be written: {problem}; the run continues without it",
                file=sys.stderr,
            )

    return cast(Hook, call)


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras' callback, which writes the metrics of epochs and the graph, plus scalars of steps and a batch of images.

    Keras' scalars of steps count from 0 again in a resumed run, lack the learning rate, and cost time at every step,
    written or not.

    Args:
        folder: where to write: train/ and validation/ within it.
        steps: in an epoch.
        draw_batch: gives a picture of a training batch, as PNG; None: none.
    """

    def __init__(self, folder: Path, steps: int, draw_batch: Callable[[], bytes] | None = None):
        super().__init__(folder)
        self.folder = folder
        self.steps = steps
        self.draw_batch = draw_batch
        self.failed = False

    @optional
    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)

    @optional
    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        # As a function: a dozen single operations take 2 ms.
        self.rate = tf.function(lambda: tf.convert_to_tensor(self.model.optimizer.learning_rate))
        with self._train_writer.as_default():
            # The page "Graphs" opens with the graph of operations; Keras writes only that of layers.
            examples = tf.TensorSpec(self.model.input_shape, self.model.inputs[0].dtype, "examples")
            tf.summary.graph(tf.function(self.model).get_concrete_function(examples, training=False).graph)
            if self.draw_batch:
                tf.summary.image("training batch, augmented", tf.io.decode_png(self.draw_batch())[None], step=0)

    @optional
    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self.before = epoch * self.steps

    @optional
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)

    @optional
    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_test_begin(logs)

    @optional
    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        super().on_test_end(logs)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        pass

    @optional
    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        step = self.before + batch + 1
        if step % EVERY == 0:
            with self._train_writer.as_default():
                tf.summary.scalar("step_loss", logs["loss"], step)
                tf.summary.scalar("step_learning_rate", self.rate(), step)

    @optional
    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_end(logs)


class Profile(keras.callbacks.Callback):
    """Writes TensorFlow's profile of some steps: each operation's time on each device, for TensorBoard's plugin xprof.

    Args:
        folder: where to write: plugins/profile within it.
        first, last: steps, counted from 1 over all epochs of the run.
        steps: in an epoch.
    """

    def __init__(self, folder: Path, first: int, last: int, steps: int):
        super().__init__()
        self.folder = folder
        self.first = first
        self.last = last
        self.steps = steps
        self.running = False
        self.failed = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.before = epoch * self.steps

    @optional
    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        step = self.before + batch + 1
        if step == self.first:
            tf.profiler.experimental.start(str(self.folder))
            self.running = True
        if self.running:
            self.trace = tf.profiler.experimental.Trace("train", step_num=step, _r=1)
            self.trace.__enter__()

    @optional
    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.running:
            self.trace.__exit__(None, None, None)
            if self.before + batch + 1 == self.last:
                self._stop()

    @optional
    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.running:
            self._stop()

    def _stop(self) -> None:
        tf.profiler.experimental.stop()
        self.running = False


def check_profile(steps: tuple[int, int] | None, total: int) -> None:
    """Raises BadInput if the steps to profile go beyond the `total` of the run."""
    if steps and steps[1] > total:
        raise BadInput(f"the run has {total} steps, got {steps[0]}-{steps[1]} (--profile)")
