"""A search that two machines share through a database: `python -m benchmarks.database_search --storage postgresql://...`.

Two commands `python -m tuning.search`, as of two machines, search a new study of the database with four workers each,
and when a quarter of the trials is done, a worker is killed (SIGKILL). One command with eight workers and the journal
in its folder then searches as many trials. A trial trains LeNet-5 on `digits` for an epoch. Writes
docs/database_search.md.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.training_runs import ROOT
from tfcnn.errors import BadInput
from tfcnn.tables import as_markdown
from tuning.study.folder import Study
from tuning.study.trials import TrialRecord

PAGE = ROOT / "docs" / "database_search.md"
SEARCH = "--arch lenet5 --dataset digits --epochs 1"
WORKERS = 8
HEAD = ("study in", "commands", "workers", "trials", "completed", "started twice", "lost", "minutes", "trials a minute")


class Outcome(NamedTuple):
    """Of a search: its trials and its time."""

    trials: list[TrialRecord]
    seconds: float


def start(folder: Path, workers: int, trials: int, storage: str | None) -> subprocess.Popen:
    """A search in `folder`, with its output beside it."""
    flags = [*SEARCH.split(), "--workers", str(workers), "--trials", str(trials), "--study", str(folder)]
    flags += ["--storage", storage] if storage else []
    folder.parent.mkdir(parents=True)
    with (folder.parent / "output").open("w") as output:
        command = [sys.executable, "-m", "tuning.search", *flags]
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)


def kill_a_worker(search: subprocess.Popen) -> None:
    """Kill one of the processes in which a search trains."""
    children = Path(f"/proc/{search.pid}/task/{search.pid}/children").read_text().split()
    workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(workers[0], signal.SIGKILL)


def trials_of(study: Study) -> list[TrialRecord]:
    """The trials of a study; none before the first has begun."""
    try:
        return study.trials()
    except BadInput:
        return []


def count_completed(trials: list[TrialRecord]) -> int:
    return sum(trial.state == "COMPLETED" for trial in trials)


def search(folder: Path, commands: int, trials: int, storage: str | None, name: str, kill: bool) -> Outcome:
    """Search with some commands at once, each in a folder that is called as the study, and wait for their ends."""
    started = time.monotonic()
    studies = [folder / str(number) / name for number in range(commands)]
    searches = [start(study, WORKERS // commands, trials, storage) for study in studies]
    while any(search.poll() is None for search in searches):
        time.sleep(1)
        if kill and count_completed(trials_of(Study(studies[0], storage))) >= trials / 4:
            kill_a_worker(searches[0])
            kill = False
    seconds = time.monotonic() - started
    for search, study in zip(searches, studies, strict=True):
        if search.returncode:
            raise SystemExit((study.parent / "output").read_text())
    return Outcome(Study(studies[0], storage).trials(), seconds)


def as_row(place: str, commands: int, trials: int, outcome: Outcome) -> list[str]:
    """A line of the page."""
    completed = count_completed(outcome.trials)
    twice = sum(trial.starts > 1 for trial in outcome.trials)
    minutes = outcome.seconds / 60
    cells = [place, commands, WORKERS, trials, completed, twice, len(outcome.trials) - completed]
    return [*map(str, cells), f"{minutes:.1f}", f"{completed / minutes:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--storage", required=True, help="URL of a database")
    parser.add_argument("--trials", type=int, default=24)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        name = f"study-{os.getpid()}"
        for place, storage, commands in (("database", arguments.storage, 2), ("journal", None, 1)):
            outcome = search(Path(folder) / place, commands, arguments.trials, storage, name, kill=storage is not None)
            rows.append(as_row(place, commands, arguments.trials, outcome))
    kind = re.split(r"[+:]", arguments.storage)[0]
    PAGE.write_text(
        "# A search on several machines\n\n"
        f"Written by `python -m benchmarks.database_search --storage {kind}://...`: two commands as of two machines,\n"
        "on the loopback of one, that share a study, and one command with a journal. A worker of the two was killed.\n"
        f"A trial is `python -m tfcnn.train {SEARCH}`; minutes begin with the commands.\n"
        "Two machines that take the last trial at the same moment do one more than --trials.\n\n"
        f"{as_markdown(list(HEAD), rows, words=[0])}\n"
    )


if __name__ == "__main__":
    main()
