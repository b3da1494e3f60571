"""Ctrl-C and SIGTERM: the exceptions that they raise, and how a step is finished first."""

from __future__ import annotations

import contextlib
import signal
from types import FrameType, TracebackType
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM; a KeyboardInterrupt, so that it ends a run as Ctrl-C does."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM stopped a run; the message says how to continue it."""

    def __init__(self, message: str, stop: KeyboardInterrupt):
        super().__init__(message)
        self.exit_code = 143 if isinstance(stop, Terminated) else 130


class DeferredSignals:
    """A context in which the first SIGINT or SIGTERM waits for `deliver`; a second one ends the process at once.

    Files are replaced whole, so that none is left in part, whenever the process ends. Outside the main thread, where
    Python sets no handlers, signals keep theirs.

    Attributes:
        pending: the KeyboardInterrupt that waits, or None.
    """

    def __init__(self) -> None:
        self.pending: KeyboardInterrupt | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> DeferredSignals:
        with contextlib.suppress(ValueError):
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._defer)
        return self

    def _defer(self, number: int, frame: FrameType | None) -> None:
        self.pending = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        for handled in self._handlers:
            signal.signal(handled, signal.SIG_DFL)

    def deliver(self) -> None:
        """Raise the pending interrupt, if there is one."""
        if self.pending:
            raise self.pending

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        if kind is None:
            self.deliver()
