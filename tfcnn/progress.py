"""What a person sees of a training run while it goes on."""

from __future__ import annotations

import sys
import time

import keras

SECONDS_BETWEEN_LINES = 10.0  # within an epoch, where lines cannot be overwritten
SECONDS_BETWEEN_UPDATES = 0.2  # on a terminal


class Progress(keras.callbacks.Callback):
    """Epoch, step, loss, the metric of the task, images a second and time left.

    On a terminal one line an epoch, overwritten as it grows; elsewhere plain lines, one an epoch and one every ten
    seconds within it. Adds `images_per_second` and `seconds` of each epoch's training steps to its logs, so it comes
    before the callbacks that store them. The first step of a run, which compiles, is left out of the rate.
    """

    def __init__(
        self, epochs: int, steps: int, batch_size: int, first_epoch: int = 0, metric: str = "accuracy", stream=None
    ):
        super().__init__()
        self.shown = ("loss", metric, "val_loss", f"val_{metric}")
        self.epochs, self.steps, self.batch_size, self.first_epoch = epochs, steps, batch_size, first_epoch
        self.stream = stream or sys.stdout
        self.terminal = self.stream.isatty()
        self.started = time.monotonic()
        self.compiled = False
        self.rates: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.epoch_started = self.timed_from = self.last_shown = time.monotonic()
        self.timed_steps = 0

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if not self.compiled:
            self.compiled, self.timed_from = True, now
            return
        self.timed_steps += 1
        self.trained_until = now
        pause = SECONDS_BETWEEN_UPDATES if self.terminal else SECONDS_BETWEEN_LINES
        if now - self.last_shown >= pause and batch + 1 < self.steps:
            self.last_shown = now
            self._show(batch + 1, logs, end="" if self.terminal else "\n")

    def on_epoch_end(self, epoch, logs=None):
        logs["images_per_second"] = round(self._rate(), 1)
        logs["seconds"] = round(time.monotonic() - self.epoch_started, 3)
        self.rates.append(self._rate())
        self._show(self.steps, logs, end="\n")

    def _rate(self) -> float:
        seconds = getattr(self, "trained_until", self.timed_from) - self.timed_from
        return self.timed_steps * self.batch_size / seconds if seconds > 0 else 0.0

    def _show(self, step, logs, end):
        done = self.epoch - self.first_epoch + step / self.steps
        left = (time.monotonic() - self.started) * (self.epochs - self.first_epoch - done) / done
        logs = {name: f"{value:.4f}" for name, value in logs.items() if name not in ("images_per_second", "seconds")}
        shown = [f"epoch {self.epoch + 1:{len(str(self.epochs))}}/{self.epochs}", f"step {step}/{self.steps}"]
        shown += [f"{name} {logs[name]}" for name in self.shown if name in logs]
        shown += [f"{self._rate():,.0f} images/s", f"{duration(left)} left"]
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
