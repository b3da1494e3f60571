"""Ctrl-C and SIGTERM: what they raise, and how a step is finished first."""

from __future__ import annotations

import contextlib
import signal


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised as Ctrl-C is, so that both end a run in the same way."""


class Interrupted(Exception):
    """A run was stopped by Ctrl-C or SIGTERM; the message says how to go on."""

    def __init__(self, message: str, stop: KeyboardInterrupt):
        super().__init__(message)
        self.exit_code = 143 if isinstance(stop, Terminated) else 130


class DeferredSignals:
    """A context in which the first SIGINT or SIGTERM waits for `deliver`; a second one ends the process at once.

    Outside the main thread signals are left as they are. Files are replaced whole, so that an end at any moment leaves
    none in part.

    Attributes:
        noted: None, or the KeyboardInterrupt that waits.
    """

    def __init__(self):
        self.noted: KeyboardInterrupt | None = None

    def __enter__(self):
        self._before = {}
        with contextlib.suppress(ValueError):
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, frame):
        self.noted = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)

    def deliver(self):
        """Raise what waits, if anything does."""
        if self.noted:
            raise self.noted

    def __exit__(self, kind, error, traceback):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.deliver()
