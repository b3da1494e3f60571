"""A process that trains one trial after another and reports to the search through a pipe.

It knows nothing of the study: a process that dies in the middle of a trial leaves nothing in it half-written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tfcnn import train as command
from tfcnn.cli.signals import Interrupted, Terminated
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed, flags_in_messages
from tfcnn.files import DiskFull, full_disk
from tfcnn.run_directory import RunDirectory
from tuning import spaces
from tuning.workers.messages import Completed, EpochEnded, Failed, Job, NoRoom, Outcome, Pruned, Stopped, Verdict

OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError")

Report = Callable[[int, dict[str, float]], None]  # takes an epoch's number and metrics; may raise TrialPruned
Trainer = Callable[[Config, Report], dict[str, Any]]  # returns the metrics of the run


class TrialPruned(Exception):
    """The search ends the trial."""


def work(connection: Connection, trainer: str | None = None) -> None:
    """Train each `Job` that comes through `connection` until None comes, a trial fails or the process is stopped.

    After each epoch an `EpochEnded` goes back, and a `Verdict` is awaited; at the end of each trial its `Outcome`.
    After a failure the process ends, so that the next trial starts in a fresh one.

    Args:
        connection: one end of a multiprocessing.Pipe.
        trainer: "path/to/file.py:function", a `Trainer`; default: `train`.
    """
    with contextlib.suppress(OSError, AttributeError):  # Windows has no sessions
        os.setsid()  # Ctrl-C reaches the search alone, which stops its workers in order
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run = spaces.load(trainer, "trainer") if trainer else train

    def report(epoch: int, metrics: dict[str, float]) -> None:
        connection.send(EpochEnded(epoch, metrics))
        verdict: Verdict = connection.recv()
        if not verdict.proceed:
            raise TrialPruned

    with flags_in_messages(), contextlib.suppress(EOFError, KeyboardInterrupt):
        while (job := connection.recv()) is not None:
            outcome = _run_job(job, run, report)
            connection.send(outcome)
            if isinstance(outcome, Failed | NoRoom | Stopped):
                break
    connection.close()
    sys.stdout.flush()
    os._exit(0)  # does not wait for TensorFlow's threads


def train(config: Config, report: Report) -> dict[str, Any]:
    """Run tfcnn.train in the run directory `config.out`, or resume it there; returns its metrics.

    Args:
        config: of the run.
        report: called after each epoch. If it raises TrialPruned, the run directory is removed.
    """
    import_tensorflow()  # at the first trial
    import keras

    class Reports(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            report(epoch + 1, {name: float(value) for name, value in logs.items()})

    assert config.out is not None
    directory = RunDirectory(config.out)
    if not directory.finished:
        keras.backend.clear_session()
        config = dataclasses.replace(config, resume=directory.config.exists())
        try:
            command.run(config, callbacks=[Reports()])
        except TrialPruned:
            shutil.rmtree(directory.path)
            raise
    return directory.read_metrics()


def _run_job(job: Job, run: Trainer, report: Report) -> Outcome:
    """Train, with the output written to the job's log."""
    try:
        with Path(job.log).open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            return _train_job(job, run, report)
    except OSError as error:  # of the log
        problem = full_disk(error)
        return NoRoom(f"'{job.log}' cannot be written: {problem}") if problem else Failed(explain_error(error))


def _train_job(job: Job, run: Trainer, report: Report) -> Outcome:
    try:
        return Completed(run(Config(**job.fields), report))
    except TrialPruned:
        return Pruned()
    except (KeyboardInterrupt, Interrupted):
        return Stopped()
    except Exception as error:
        traceback.print_exc()
        if full_disk(error):
            return NoRoom(error.what if isinstance(error, DiskFull) else explain_error(error))
        return Failed(explain_error(error))


def explain_error(error: Exception) -> str:
    """Why a trial failed, "kind: what exactly", in one line."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = getattr(error, "message", str(error)) if hasattr(error, "exit_code") else str(error)  # with flags
    message = " ".join((text.strip().splitlines() or [""])[0].split())[:300]
    if kinds.intersection(OUT_OF_MEMORY):
        return f"out of memory: {message or type(error).__name__}"
    if isinstance(error, TrainingFailed):
        return f"diverged: {message}" if "not finite" in message else f"training failed: {message}"
    if isinstance(error, BadInput):
        return f"refused: {message}"
    return f"raised {type(error).__name__}: {message}"


def explain_exit(code: int) -> str:
    """Why a process that nobody stopped has ended, from its exit code.

    >>> explain_exit(-15), explain_exit(3)
    ('killed: its process ended by SIGTERM', 'killed: its process ended with exit code 3')
    """
    if code < 0:
        cause = ", by hand or for lack of memory" if -code == signal.SIGKILL else ""
        return f"killed: its process ended by {signal.Signals(-code).name}{cause}"
    return f"killed: its process ended with exit code {code}"


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _end_with_parent() -> None:
    """End this process as soon as the search is gone, which may be killed at any moment."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
