"""A process that trains one trial after another, and tells the search about it through a pipe.

It knows nothing of the study: a process that dies in the middle of a trial leaves nothing in it half-written.
TensorFlow is imported with the first trial.
"""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfcnn.cli.signals import Interrupted, Terminated
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.run_directory import RunDirectory
from tuning import spaces

OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError")


class Pruned(Exception):
    """The search ends the trial."""


def work(connection, trainer: str | None = None) -> None:
    """Train what comes through `connection`, (fields of Config, the path of a log), until None comes or a trial fails.

    What goes back: ("epoch", number, metrics), to which the answer is whether to go on, then one of ("done", metrics),
    ("pruned",), ("stopped",) and ("failed", reason). After a failure the process ends: the next has a fresh one.

    Args:
        connection: one end of a multiprocessing.Pipe.
        trainer: "path/to/file.py:function" in the place of `train`.
    """
    with contextlib.suppress(OSError):
        os.setsid()  # Ctrl-C goes to the search alone, which stops its workers in order
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run = spaces.load(trainer, "trainer") if trainer else train

    def go_on(epoch: int, metrics: dict[str, float]) -> None:
        connection.send(("epoch", epoch, metrics))
        if not connection.recv():
            raise Pruned

    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while (job := connection.recv()) is not None:
            fields, log = job
            found = _outcome(run, Config(**fields), Path(log), go_on)
            connection.send(found)
            if found[0] in ("failed", "stopped"):
                break
    connection.close()
    sys.stdout.flush()
    os._exit(0)  # TensorFlow's threads are not waited for


def train(config: Config, go_on: Callable[[int, dict[str, float]], None]) -> dict[str, Any]:
    """A run of tfcnn.train in its own directory, continued where a process left it; its metrics.

    Args:
        config: with the run directory in `out`.
        go_on: called after each epoch with its number and metrics; Pruned ends the run, and nothing of it stays.
    """
    import_tensorflow()
    import dataclasses

    import keras

    from tfcnn import train as command_train

    class Reports(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            go_on(epoch + 1, {name: float(value) for name, value in logs.items()})

    directory = RunDirectory(config.out)
    if not directory.metrics.exists():
        keras.backend.clear_session()
        config = dataclasses.replace(config, resume=directory.config.exists())
        try:
            command_train.run(config, callbacks=[Reports()])
        except Pruned:
            shutil.rmtree(directory.path)
            raise
    return directory.read_metrics()


def _outcome(run: Callable, config: Config, log: Path, go_on: Callable) -> tuple:
    """What becomes of a trial, its output written to `log`."""
    with log.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        try:
            return "done", run(config, go_on)
        except Pruned:
            return ("pruned",)
        except (KeyboardInterrupt, Interrupted):
            return ("stopped",)
        except Exception as error:
            traceback.print_exc()
            return "failed", reason_of(error)


def reason_of(error: Exception) -> str:
    """What a trial died of, "kind: what exactly", in one line."""
    names = {kind.__name__ for kind in type(error).__mro__}
    said = " ".join((str(error).strip().splitlines() or [""])[0].split())[:300]
    if names.intersection(OUT_OF_MEMORY):
        return f"out of memory: {said or type(error).__name__}"
    if isinstance(error, TrainingFailed):
        return f"diverged: {said}" if "not finite" in said else f"training failed: {said}"
    if isinstance(error, BadInput):
        return f"refused: {said}"
    return f"raised {type(error).__name__}: {said}"


def ending_of(code: int) -> str:
    """What a process that ended by itself died of, from its exit code."""
    if code < 0:
        more = ", by hand or for lack of memory" if -code == signal.SIGKILL else ""
        return f"killed: its process ended by {signal.Signals(-code).name}{more}"
    return f"killed: its process ended with exit code {code}"


def _terminate(number, frame):
    raise Terminated


def _end_with_parent() -> None:
    """Ends this process as soon as the search is gone, which may be killed at any moment."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
