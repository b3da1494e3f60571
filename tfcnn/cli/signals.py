"""Ctrl-C and SIGTERM: the exceptions that they raise, and how a step is finished first."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ClassVar

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SECONDS_UNTIL_AGAIN = 0.02  # after Python dropped the exception of a signal


def interrupt_of(number: int) -> KeyboardInterrupt:
    """The exception that a signal raises."""
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def _set_handlers(handlers: dict[signal.Signals, Any]) -> dict[signal.Signals, Any]:
    """Set the handlers of signals, and return those from before; none outside the main thread, where Python sets none.

    A handler from before that is not Python's, which shows as None, becomes the system's.
    """
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):
        for number, handler in handlers.items():
            before[number] = signal.signal(number, signal.SIG_DFL if handler is None else handler)
    return before


class Terminated(KeyboardInterrupt):
    """SIGTERM; a KeyboardInterrupt, so that it ends a run as Ctrl-C does."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM stopped a run; the message says how to continue it."""

    def __init__(self, message: str, stop: KeyboardInterrupt):
        super().__init__(message)
        self.exit_code = 143 if isinstance(stop, Terminated) else 130


class RaisedSignals:
    """A context in which SIGINT raises KeyboardInterrupt and SIGTERM raises Terminated, wherever they come.

    Python drops an exception that a handler raises while a finalizer, a callback of a weak reference or a callback from
    C runs, and calls sys.unraisablehook. This context notices, and sends the signal again a moment later. So it does
    with a signal that comes during an import: libraries log or drop the exceptions of their imports. Code that drops
    every exception without a word goes unnoticed; for it there is `received`, which `raise_received` and
    `DeferredSignals` look at.

    Attributes:
        received: the KeyboardInterrupt of the newest signal, or None.
    """

    active: ClassVar[RaisedSignals | None] = None

    def __init__(self) -> None:
        self.received: KeyboardInterrupt | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._outer: RaisedSignals | None = None
        self._hook: Callable[[Any], Any] = sys.unraisablehook

    def __enter__(self) -> RaisedSignals:
        self._outer = RaisedSignals.active
        RaisedSignals.active = self
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._notice
        self._handlers = _set_handlers(dict.fromkeys(SIGNALS, self._raise))
        return self

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.received = interrupt_of(number)
        if not _imports(frame):
            raise self.received
        _thread.start_new_thread(_send_again, (signal.Signals(number),))

    def _notice(self, unraisable: Any) -> None:
        """Python's hook for exceptions that it drops."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._hook(unraisable)
            return
        number = signal.SIGTERM if issubclass(unraisable.exc_type, Terminated) else signal.SIGINT
        with contextlib.suppress(RuntimeError):  # no thread starts while the interpreter ends
            _thread.start_new_thread(_send_again, (number,))

    def end_at_once(self) -> None:
        """From now on a signal ends the process."""
        _set_handlers(dict.fromkeys(self._handlers, signal.SIG_DFL))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _set_handlers(self._handlers)
        sys.unraisablehook = self._hook
        RaisedSignals.active = self._outer


def _imports(frame: FrameType | None) -> bool:
    """Whether a frame runs within the import of a module."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _send_again(number: signal.Signals) -> None:
    time.sleep(SECONDS_UNTIL_AGAIN)
    main_thread = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main_thread is not None:
        signal.pthread_kill(main_thread, number)  # interrupt_main would not wake a main thread that sleeps
    else:
        _thread.interrupt_main(number)


def raise_received() -> None:
    """Raise the KeyboardInterrupt of a signal that code has dropped, if there is one."""
    if RaisedSignals.active and RaisedSignals.active.received:
        raise RaisedSignals.active.received


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
        self._handlers = _set_handlers(dict.fromkeys(SIGNALS, self._defer))
        if RaisedSignals.active:
            self.pending = RaisedSignals.active.received
        return self

    def _defer(self, number: int, frame: FrameType | None) -> None:
        self.pending = interrupt_of(number)
        _set_handlers(dict.fromkeys(self._handlers, signal.SIG_DFL))

    def deliver(self) -> None:
        """Raise the pending interrupt, if there is one."""
        if self.pending:
            raise self.pending

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _set_handlers(self._handlers)
        self._handlers.clear()
        if kind is None:
            self.deliver()
