"""What every command shares: one-line errors, exit codes, and a TensorFlow import that is quiet.

Standard library only. Exit codes: 0 done, 2 bad input, 3 training failed, 130 / 143 interrupted. An exception that
carries an `exit_code` is the user's to mend and becomes one line on stderr; any other is a defect of this package
and keeps its traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable

from tfcnn.errors import BadInput


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


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are BadInput, with the nearest flag for an unknown one."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message):
        raise BadInput(f"{message} (see --help)")

    def parse_args(self, args=None, namespace=None):
        namespace, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = difflib.get_close_matches(unknown[0].split("=")[0], self._option_string_actions, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]}?" if near else " (see --help)"
            raise BadInput(f"unknown argument '{unknown[0]}'{hint}")
        return namespace


def count(flag: str, text: str) -> int:
    """The value of a flag that takes a whole number from 1 up. Raises BadInput."""
    if not text.isdecimal() or int(text) < 1:
        raise BadInput(f"{flag} must be a whole number at least 1, got '{text}'")
    return int(text)


def run(main: Callable[[], None]) -> int:
    """Call a command's main function and return the exit code, errors told in one line on stderr."""

    def terminate(number, frame):
        raise Terminated

    with contextlib.suppress(ValueError):  # not in the main thread: the caller keeps its own handler
        signal.signal(signal.SIGTERM, terminate)
    try:
        main()
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # the reader of a pipe left, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        print("\ninterrupted", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code


def import_tensorflow() -> None:
    """Import TensorFlow and Keras without their start-up lines on stderr, which no environment variable removes.

    What was caught is shown if the import fails. oneDNN's kernels are used also on CPUs on which TensorFlow does not
    use them by itself (those without AVX512_VNNI), unless TF_ENABLE_ONEDNN_OPTS says something else: a training step
    takes up to a third of the time (`python -m benchmarks.train_step`).
    """
    if "tensorflow" in sys.modules:
        return
    if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
        raise BadInput(
            f"the commands run on TensorFlow, but KERAS_BACKEND is '{os.environ['KERAS_BACKEND']}': unset it"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # runtime notes below errors, for the rest of the process
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            importlib.import_module("keras")
            tensorflow = importlib.import_module("tensorflow")
            tensorflow.config.list_physical_devices()  # looks for GPUs, and says so
            tensorflow.get_logger().setLevel("WARNING")
        except BaseException:
            caught.seek(0)
            os.write(kept, caught.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
