"""What a person sees of a training run while it goes on."""

from __future__ import annotations

import sys
import time
from collections import deque

import keras

SECONDS_BETWEEN_LINES = 10.0  # within an epoch, where lines cannot be overwritten
SECONDS_BETWEEN_UPDATES = 0.2  # on a terminal
RECENT = 100  # calls of one or several steps over which the rate that is shown is averaged


class Progress(keras.callbacks.Callback):
    """Epoch, step, loss, the metric of the task, images a second and time left.

    On a terminal one line an epoch, overwritten as it grows; elsewhere plain lines, one an epoch and one every ten
    seconds within it. Within an epoch the rate is that of the last `RECENT` calls. The time left is the steps that are
    left at that rate, and for each epoch that is left as long as the last one took beside its steps, to validate and to
    save; the first epoch does not know that yet.

    Adds `images_per_second` and `seconds` of each epoch's training steps to its logs, so it comes before the callbacks
    that store them. The first steps of training and of validation, which compile, are left out of rates and estimates.
    """

    def __init__(self, epochs: int, steps: int, batch_size: int, metric: str = "accuracy", stream=None):
        super().__init__()
        self.shown = ("loss", metric, "val_loss", f"val_{metric}")
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.stream = stream or sys.stdout
        self.terminal = self.stream.isatty()
        self.ends = deque(maxlen=RECENT + 1)  # when calls ended, and after how many steps; first, when the first began
        self.ended = None
        self.tested: list[float] = []  # times at which the batches of the first validation ended
        self.validating = self.saving = 0.0  # seconds of an epoch after its last step

    def on_epoch_begin(self, epoch, logs=None):
        now = time.monotonic()
        if self.ended is not None:
            self.saving = now - self.ended
            self.ends.clear()
            self.ends.append((now, 0))
        self.epoch, self.epoch_started, self.timed_from, self.timed_steps = epoch, now, now, 0
        self.trained_until = now  # a run that was stopped in a validation goes on with it, without a step
        self.last_shown = now

    def on_train_batch_begin(self, batch, logs=None):
        self.first = batch

    def on_train_batch_end(self, batch, logs=None):
        now = self.trained_until = time.monotonic()
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

    def on_test_batch_end(self, batch, logs=None):
        if self.ended is None:
            self.tested.append(time.monotonic())

    def on_epoch_end(self, epoch, logs=None):
        now = time.monotonic()
        self.validating = now - self.trained_until
        if self.ended is None and len(self.tested) > 1:
            self.validating = (now - self.tested[0]) * len(self.tested) / (len(self.tested) - 1)
        self.ended = now
        seconds = (self.trained_until - self.timed_from) / self.timed_steps if self.timed_steps else 0.0
        recent = self._recent() if self.timed_steps else 0.0
        logs["images_per_second"] = round(self.batch_size / seconds, 1) if seconds else 0.0
        logs["seconds"] = round(now - self.epoch_started, 3)
        self._show(self.steps, logs, seconds, recent, end="\n")

    def _recent(self):
        """Seconds of one of the last steps."""
        (began, before), (ended, after) = self.ends[0], self.ends[-1]
        return (ended - began) / (after - before)

    def _show(self, step, logs, seconds, recent, end):
        """Print a line: `seconds` a step for the rate, `recent` for the time left."""
        after = self.epochs - self.epoch - 1
        beside = (self.validating + self.saving) * (after + (step < self.steps))
        left = recent * (self.steps - step + after * self.steps) + beside
        logs = {name: f"{value:.4f}" for name, value in logs.items() if name not in ("images_per_second", "seconds")}
        shown = [f"epoch {self.epoch + 1:{len(str(self.epochs))}}/{self.epochs}", f"step {step}/{self.steps}"]
        shown += [f"{name} {logs[name]}" for name in self.shown if name in logs]
        rate = self.batch_size / seconds if seconds else 0.0
        shown += [f"{rate:,.0f} images/s", f"{duration(left)} left"]
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
