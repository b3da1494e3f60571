"""The lines that a training run prints under way."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any, TextIO

import keras

SECONDS_BETWEEN_LINES = 10.0  # within an epoch, where lines cannot be overwritten
SECONDS_BETWEEN_UPDATES = 0.2  # on a terminal
RECENT = 100  # calls of one or several steps, over which the rate is averaged


class Progress(keras.callbacks.Callback):
    """Prints epoch, step, loss, the metric of the task, images a second and time left.

    On a terminal one line an epoch, overwritten as it grows; elsewhere plain lines, one an epoch and one every ten
    seconds within it. Within an epoch the rate is that of the last `RECENT` calls. The time left counts the remaining
    steps at that rate, and for each remaining epoch the time in which the last one was validated and saved; in the
    first epoch that time is not known yet.

    Adds `images_per_second` and `seconds` of each epoch's training steps to its logs, so it comes before the callbacks
    that store them. Rates and estimates leave out the first steps of training and of validation, which compile; an
    epoch without another step has no `images_per_second`.

    Args:
        epochs: of the run.
        steps: in an epoch.
        batch_size: images in a step.
        metric: name of the metric in the logs.
        headline: name of the task's headline, where that is another.
        stream: where to print; default: stdout.
    """

    def __init__(
        self,
        epochs: int,
        steps: int,
        batch_size: int,
        metric: str = "accuracy",
        headline: str = "val_accuracy",
        stream: TextIO | None = None,
    ):
        super().__init__()
        self.shown = tuple(dict.fromkeys(("loss", metric, "val_loss", f"val_{metric}", headline)))
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.stream = stream or sys.stdout
        self.terminal = self.stream.isatty()
        # When calls ended, and after how many steps; first, when the first call began.
        self.ends: deque[tuple[float, int]] = deque(maxlen=RECENT + 1)
        self.ended: float | None = None  # when the last epoch ended
        self.tested: list[float] = []  # when the batches of the first validation ended
        self.validating = 0.0  # seconds of an epoch after its last step
        self.saving = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        if self.ended is not None:
            self.saving = now - self.ended
            self.ends.clear()
            self.ends.append((now, 0))
        self.epoch = epoch
        self.epoch_started = now
        self.timed_from = now
        self.timed_steps = 0
        self.trained_until = now  # resumed in a validation, the epoch has no step left
        self.last_shown = now

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.first = batch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        now = time.monotonic()
        self.trained_until = now
        if not self.ends:  # the step that compiles
            self.timed_from = now
            self.ends.append((now, 0))
            return
        self.timed_steps += batch + 1 - self.first
        self.ends.append((now, self.timed_steps))
        pause = SECONDS_BETWEEN_UPDATES if self.terminal else SECONDS_BETWEEN_LINES
        if now - self.last_shown >= pause and batch + 1 < self.steps:
            self.last_shown = now
            seconds = self._recent()
            self._show(batch + 1, logs, seconds, seconds, end="" if self.terminal else "\n")

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.ended is None:
            self.tested.append(time.monotonic())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        now = time.monotonic()
        self.validating = now - self.trained_until
        if self.ended is None and len(self.tested) > 1:
            self.validating = (now - self.tested[0]) * len(self.tested) / (len(self.tested) - 1)
        self.ended = now
        seconds = (self.trained_until - self.timed_from) / self.timed_steps if self.timed_steps else 0.0
        recent = self._recent() if self.timed_steps else 0.0
        if seconds:
            logs["images_per_second"] = round(self.batch_size / seconds, 1)
        logs["seconds"] = round(now - self.epoch_started, 3)
        self._show(self.steps, logs, seconds, recent, end="\n")

    def _recent(self) -> float:
        """Seconds of a step, the mean of the last calls."""
        (began, before), (ended, after) = self.ends[0], self.ends[-1]
        return (ended - began) / (after - before)

    def _show(self, step: int, logs: dict[str, Any], seconds: float, recent: float, end: str) -> None:
        """Print a line: `seconds` a step for the rate, `recent` for the time left."""
        epochs = self.epochs - self.epoch - 1
        validations = epochs + 1 if step < self.steps else epochs
        left = recent * (self.steps - step + epochs * self.steps) + (self.validating + self.saving) * validations
        logs = {name: f"{value:.4f}" for name, value in logs.items() if name not in ("images_per_second", "seconds")}
        shown = [f"epoch {self.epoch + 1:{len(str(self.epochs))}}/{self.epochs}", f"step {step}/{self.steps}"]
        shown += [f"{name} {logs[name]}" for name in self.shown if name in logs]
        if seconds:  # else no step but the one that compiles
            shown.append(f"{self.batch_size / seconds:,.0f} images/s")
        if recent or not left:
            shown.append(f"{duration(left)} left")
        start = "\r\x1b[K" if self.terminal else ""
        print(start + "  ".join(shown), end=end, file=self.stream, flush=True)


def duration(seconds: float) -> str:
    """
    >>> duration(7.6), duration(95), duration(7300)
    ('8 s', '1:35', '2:01:40')
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def quantity(number: float, noun: str) -> str:
    """
    >>> quantity(1, "epoch"), quantity(0.2, "epoch"), quantity(1257, "step")
    ('1 epoch', '0.2 epochs', '1,257 steps')
    """
    return f"{number:,.10g} {noun}{'' if number == 1 else 's'}"
