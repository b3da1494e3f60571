"""How a search survives faults: `python -m benchmarks.faults.search > docs/search_faults.md`.

The search, its workers, its journal and the signals are real; the trials train nothing, and their scores are a function
of their values. Takes some minutes.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tuning.search
from benchmarks.faults.standin import STANDIN, StandinData
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tuning.search import SearchSettings, search
from tuning.study import patience
from tuning.study.folder import Study
from tuning.study.trials import TrialRecord

ROOT = Path(__file__).resolve().parents[2]
TRIALS = 16
KILLS = 10
SECONDS_LOCKED = 12.0
COMMAND = """
import sys
from pathlib import Path
import tuning.search
from benchmarks.faults.search import StandinData, run_search
from tfcnn.cli.parser import run_main

def main():
    tuning.search.load_data = StandinData
    run_search(Path({folder!r}), {name!r}, {trials})

if __name__ == "__main__":
    sys.exit(run_main(main))
"""


class Fault(NamedTuple):
    """What starts of trials 3, 6, 9, ... do."""

    title: str
    action: str
    starts: int  # in a row


FAULTS = (
    Fault("the trial raises", "raise", 1),
    Fault("the trial finds no memory (MemoryError)", "memory", 1),
    Fault("the loss is not finite", "diverge", 1),
    Fault("the score is NaN", "nan", 1),
    Fault("the worker is killed (SIGKILL), once a trial", "kill", 1),
    Fault("the worker is killed at each start of the trial", "kill", 9),
    Fault("the process ends itself (exit code 3) at each start", "exit", 9),
)
WRECKS = {
    "half a line at the end of the journal, and its lock": b'{"op_code":4,"wor',
    "a line in the journal that is no JSON": b"#\n{}\n",
    "a line in the journal that is a list": b"[]\n",
}
SPACES = {
    "the space raises KeyError for one width of three": "raising",
    "the space exits (SystemExit) for one width of three": "exiting",
    "the space raises for all values": "hopeless",
}
HEAD = f"""# Faults of a search

Written by `python -m benchmarks.faults.search`. Each row is a search of {TRIALS} trials by TPE with one worker,
disturbed as the row says. The search, its worker processes, its journal and the signals are real; the trials train
nothing.
"The same list" compares the number, values and training seed of every trial with those of the undisturbed search; where
trials fail, TPE learns from that and proposes others, as it should.

| what happens | times | recorded | completed | started | the same list |
|---|---|---|---|---|---|"""


def run_search(
    folder: Path,
    name: str,
    trials: int = TRIALS,
    plan: dict[str, Any] | None = None,
    storage: str | None = None,
    **settings: Any,
) -> list[TrialRecord]:
    """A search with the stand-in, in this process; its workers are processes.

    Args:
        folder: of the study, its plan and the file of the stand-in.
        name: of the study.
        trials: in all.
        plan: what goes wrong; None: what the file has, or nothing.
        storage: URL of a database; None: the journal.
        **settings: of SearchSettings.
    """
    if plan is not None:
        (folder / f"{name}.plan").write_text(json.dumps(plan))
    file = folder / "standin.py"
    if not file.exists():
        file.write_text(STANDIN)
    places = SearchSettings(trials, space=f"{file}:space", trainer=f"{file}:trainer")
    study = Study(folder / name, storage)
    return search(study, Config(arch="lenet5", seed=3), dataclasses.replace(places, **settings))


def start_search(folder: Path, name: str, trials: int = TRIALS) -> subprocess.Popen[str]:
    """The same search as a process, as the command starts it."""
    script = folder / "run.py"
    script.write_text(COMMAND.format(folder=str(folder), name=name, trials=trials))
    return subprocess.Popen(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_starts(folder: Path, name: str) -> list[int]:
    """The trial of each start, in order."""
    file = folder / f"{name}.starts"
    return list(map(int, file.read_text().split())) if file.exists() else []


def read_values(study: Study) -> list[tuple[int, dict[str, Any], int]]:
    """Number, values and seed of each trial."""
    return [(trial.number, trial.values, trial.config["seed"]) for trial in study.trials()]


def format_row(folder: Path, name: str, what: str, times: int, whole: list[tuple] | None) -> str:
    """A row of the table, from the study that is left."""
    trials = Study(folder / name).trials()
    starts = read_starts(folder, name)
    failed = collections.Counter(trial.reason for trial in trials if trial.state == "FAILED")
    recorded = "; ".join(f"{count} x {reason}" for reason, count in failed.items()) or "-"
    completed = sum(trial.state == "COMPLETED" for trial in trials)
    most = max(collections.Counter(starts).values())
    same = "-"
    if not failed and whole is not None:
        same = "yes" if read_values(Study(folder / name)) == whole else "NO"
    cells = (what, times, recorded, f"{completed} of {len(trials)}", f"{len(starts)}, {most} at most each", same)
    return f"| {' | '.join(map(str, cells))} |"


def kill_at_random(folder: Path, name: str, number: int, seed: int = 0) -> int:
    """Kill the search up to `number` times, each at a random moment after a trial has begun; returns how often."""
    moments = random.Random(seed)
    (folder / f"{name}.plan").write_text(json.dumps({"seconds": 0.2}))
    for kills in range(number):
        begun = len(read_starts(folder, name))
        process = start_search(folder, name)
        while process.poll() is None and len(read_starts(folder, name)) == begun:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:  # nothing was left to kill
            return kills
    return number


def wreck_journal(folder: Path, name: str, what: str, wreck: bytes, whole: list[tuple]) -> str:
    """A row of the table: the study's journal ends with `wreck`, and Optuna's lock is left; both are restored."""
    journal = Study(folder / name).journal
    before = journal.read_bytes()
    journal.write_bytes(before + wreck)
    lock = journal.with_name(journal.name + ".lock")
    lock.symlink_to(journal)
    try:
        with quiet():
            run_search(folder, name)
        return format_row(folder, name, what, 1, whole)
    except BadInput as error:
        return format_refusal(folder, what, error)
    finally:
        journal.write_bytes(before)
        lock.unlink(missing_ok=True)


def format_refusal(folder: Path, what: str, error: BadInput | TrainingFailed) -> str:
    return f"| {what} | 1 | exit {error.exit_code}: {str(error).replace(str(folder), '...')} | | | |"


def space_row(folder: Path, what: str, function: str) -> str:
    """A row of the table: a search of a space that fails."""
    try:
        with quiet():
            run_search(folder, function, space=f"{folder / 'standin.py'}:{function}")
    except BadInput as error:
        return format_refusal(folder, what, error)
    failed = sum(trial.state == "FAILED" for trial in Study(folder / function).trials())
    return format_row(folder, function, what, failed, None)


def lock_rows(folder: Path, whole: list[tuple]) -> list[str]:
    """Rows of the table: another process locks the database while a trial runs; then it is damaged."""
    database = folder / "based.db"
    address = f"sqlite:///{database}"

    def lock(begun: int) -> None:
        while len(read_starts(folder, "based")) < begun:
            time.sleep(0.02)
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(SECONDS_LOCKED)

    def start_lock(begun: int) -> threading.Thread:
        thread = threading.Thread(target=lock, args=(begun,))
        thread.start()
        return thread

    rows = []
    what = f"the database stays locked for longer than a search waits (here 2 s, else {patience.PATIENCE:.0f} s)"
    waits = patience.PATIENCE
    patience.PATIENCE = 2.0
    locker = start_lock(4)
    try:
        with quiet():
            run_search(folder, "based", plan={"seconds": 0.2}, storage=address)
    except TrainingFailed as error:
        rows.append(format_refusal(folder, what, error))
    finally:
        patience.PATIENCE = waits
        locker.join()
    locker = start_lock(10)
    with quiet():
        run_search(folder, "based", storage=address)
    locker.join()
    what = f"the same search continued; the database is locked for {SECONDS_LOCKED:.0f} s"
    rows.append(format_row(folder, "based", what, 1, whole))
    content = database.read_bytes()
    database.write_bytes(content[:100] + bytes(len(content) - 100))
    try:
        with quiet():
            run_search(folder, "based", storage=address)
    except BadInput as error:
        rows.append(format_refusal(folder, "the database is overwritten with zeros after its head", error))
    return rows


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A context without the lines of a search."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def main() -> None:
    tuning.search.load_data = StandinData
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with quiet():
            run_search(folder, "whole")
        print(format_row(folder, "whole", "nothing", 1, None), flush=True)
        whole = read_values(Study(folder / "whole"))
        for index, fault in enumerate(FAULTS):
            name = f"fault{index}"
            plan = {str(number): [fault.action] * fault.starts for number in range(3, TRIALS, 3)}
            with quiet():
                run_search(folder, name, plan=plan)
            print(format_row(folder, name, fault.title, len(plan), whole), flush=True)
        kills = kill_at_random(folder, "killed", KILLS)
        with quiet():
            run_search(folder, "killed")
        what = "the search is killed (SIGKILL) up to 0.4 s after it began a trial; two kills can meet the same one"
        print(format_row(folder, "killed", what, kills, whole), flush=True)
        with quiet():
            run_search(folder, "four", plan={"seconds": 0.2}, workers=4)
        print(format_row(folder, "four", "four workers", 1, None), flush=True)
        for what, function in SPACES.items():
            print(space_row(folder, what, function), flush=True)
        for row in lock_rows(folder, whole):
            print(row, flush=True)
        for what, wreck in WRECKS.items():
            print(wreck_journal(folder, "whole", what, wreck, whole), flush=True)


if __name__ == "__main__":
    main()
