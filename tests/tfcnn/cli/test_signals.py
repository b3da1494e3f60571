"""Signals: raised wherever they come, or waiting for the end of a step."""

import contextlib
import importlib
import signal
import subprocess
import sys
import time

import pytest

from tfcnn.cli.signals import DeferredSignals, RaisedSignals, Terminated, raise_received

SIGNALS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]


def handlers():
    return [signal.getsignal(number) for number, _ in SIGNALS]


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_a_signal_waits_until_the_context_ends(number, kind):
    kinds = []

    def interrupt():
        with DeferredSignals() as signals:
            signals.deliver()
            signal.raise_signal(number)
            kinds.append(type(signals.pending))

    with pytest.raises(kind) as caught:
        interrupt()
    assert type(caught.value) is kind
    assert kinds == [kind]


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_a_second_signal_ends_the_process(number, kind):
    """By the kernel's own handler."""
    after_the_first = []

    def interrupt():
        with DeferredSignals():
            signal.raise_signal(number)
            after_the_first.extend(handlers())

    with pytest.raises(kind):
        interrupt()
    assert after_the_first == [signal.SIG_DFL] * 2


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_the_handlers_from_before_are_restored(number, kind):
    before = handlers()
    with pytest.raises(kind), DeferredSignals():
        signal.raise_signal(number)
    assert handlers() == before


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_a_signal_whose_exception_python_drops_is_sent_again(number, kind):
    class Interrupted:
        def __del__(self):
            signal.raise_signal(number)

    def interrupt():
        Interrupted()  # collected at once
        time.sleep(5)

    with RaisedSignals() as signals, pytest.raises(kind) as caught:
        interrupt()
    assert type(caught.value) is kind
    assert type(signals.received) is kind


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_a_signal_whose_exception_code_drops_is_looked_at_later(number, kind):
    with RaisedSignals():
        with contextlib.suppress(BaseException):
            signal.raise_signal(number)
        with pytest.raises(kind):
            raise_received()


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_a_signal_that_was_dropped_ends_the_next_deferring_context(number, kind):
    def drop_and_train():
        with RaisedSignals():
            with contextlib.suppress(BaseException):
                signal.raise_signal(number)
            with DeferredSignals() as signals:
                signals.deliver()

    with pytest.raises(kind):
        drop_and_train()


def test_a_signal_during_an_import_waits_for_its_end(tmp_path, monkeypatch):
    """Libraries drop or log the exceptions of their imports, as tensorflow_datasets does."""
    (tmp_path / "drops_exceptions.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    error = None\n"
        "except BaseException as dropped:\n"
        "    error = dropped\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def import_and_wait():
        importlib.import_module("drops_exceptions")
        time.sleep(5)

    with RaisedSignals(), pytest.raises(Terminated):
        import_and_wait()
    assert sys.modules.pop("drops_exceptions").error is None


def test_other_exceptions_that_python_drops_are_shown(monkeypatch):
    shown = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: shown.append(str(unraisable.exc_value)))

    class Broken:
        def __del__(self):
            raise ValueError("shown")

    with RaisedSignals():
        Broken()
    assert shown == ["shown"]


def test_handlers_and_hook_are_restored():
    before = [*handlers(), sys.unraisablehook]
    with RaisedSignals():
        assert handlers() != before[:2]
    assert [*handlers(), sys.unraisablehook] == before


MOMENTS = [  # seconds after the start, and what comes then
    (0.05, signal.SIGINT),
    (0.2, signal.SIGINT),
    (0.8, signal.SIGTERM),
    (2.5, signal.SIGINT),
    (6.0, signal.SIGTERM),
]


@pytest.mark.slow
@pytest.mark.parametrize(("delay", "number"), MOMENTS)
def test_a_signal_at_any_moment_ends_a_command_without_a_traceback(delay, number, tmp_path):
    """Before a command handles signals the system ends it, which a shell shows as the same exit code."""
    flags = ["--arch", "lenet5", "--width", "0.25", "--epochs", "500", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "tfcnn.train", *flags]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(delay)
        process.send_signal(number)
        try:
            _, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
            # Python's own start dropped it. Later SIGINT ends the process, or our hook takes what a callback drops.
            assert "Exception ignored in: <function _get_module_lock" in errors, errors
    ended = process.returncode in (128 + number, -number) and errors.count("\n") <= 2
    before_the_package = "Traceback" in errors and "tfcnn/" not in errors  # in Python's own start
    assert ended or before_the_package, (process.returncode, errors)
