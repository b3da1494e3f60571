"""A search in a database by several processes: `python -m benchmarks.database_search --storage postgresql://...`.

Two commands `python -m tuning.search`, as of two machines, share a new study of the database with four workers each.
When a quarter of the trials is done, one worker is killed (SIGKILL). The same trials are then searched by one command
with eight workers and the journal file of its folder, without a kill. The trials are trainings of one epoch of LeNet-5
on `digits`. Writes docs/database_search.md.
"""

from __future__ import annotations

import argparse
import collections
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna

from benchmarks.training_runs import ROOT
from tfcnn.tables import as_markdown
from tuning.study.folder import Study

PAGE = ROOT / "docs" / "database_search.md"
SEARCH = "--arch lenet5 --dataset digits --epochs 1"
WORKERS = 8
STATES = ("COMPLETE", "FAIL", "PRUNED", "RUNNING", "WAITING")


def start(folder: Path, workers: int, trials: int, storage: str | None) -> subprocess.Popen:
    """A search in `folder`, with what it prints in search.log beside it."""
    flags = [*SEARCH.split(), "--workers", str(workers), "--trials", str(trials), "--study", str(folder)]
    flags += ["--storage", storage] if storage else []
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "search.log").open("w") as log:
        return subprocess.Popen([sys.executable, "-m", "tuning.search", *flags], cwd=ROOT, stdout=log, stderr=log)


def workers_of(search: subprocess.Popen) -> list[int]:
    """The processes in which a search trains."""
    children = Path(f"/proc/{search.pid}/task/{search.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def count_states(study: Study) -> collections.Counter[str]:
    """How many trials of a study are in each state; none before the first search has made it."""
    with optuna_is_quiet():
        if not study.exists() or not study.storage().get_all_studies():
            return collections.Counter()
        trials = optuna.load_study(study_name=study.name, storage=study.storage()).get_trials(deepcopy=False)
    return collections.Counter(trial.state.name for trial in trials)
