"""Runs of `python -m tfcnn.train` in separate processes, and a table of them that grows row by row."""

from __future__ import annotations

import contextlib
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcnn.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[1]


def train(flags: Sequence[str], folder: Path) -> dict[str, Any]:
    """Train into `folder`.

    Returns:
        dict: metrics.json of the run, and "wall_seconds" and "cpu_seconds" of the command, all threads together.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    command = [sys.executable, "-m", "tfcnn.train", *flags, "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    metrics = json.loads((folder / "metrics.json").read_text())
    return metrics | {
        "wall_seconds": time.monotonic() - started,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


@contextlib.contextmanager
def trained_run(flags: Sequence[str]) -> Iterator[RunDirectory]:
    """A context with a finished run, which is removed at its end."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "run")
        train(flags, run.path)
        yield run


def read_examples(run: RunDirectory, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The images of a run's split as its network takes them, without augmentation, and their labels, int."""
    from tfcnn.evaluate import load_data_of

    data = load_data_of(run.read_config(), None, None, None)
    images, targets = zip(*data.evaluation(split).as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(targets).argmax(-1)


def cells_of_scores(scores: Sequence[float], form: str) -> list[str]:
    """Three cells of a page: each score, their mean, and their standard deviation, "" of one score.

    >>> cells_of_scores([0.5, 0.7], "{:.0%}"), cells_of_scores([1], "{:.1f}")
    (['50%, 70%', '60%', '14%'], ['1.0', '1.0', ''])
    """
    deviation = form.format(statistics.stdev(scores)) if len(scores) > 1 else ""
    return [", ".join(map(form.format, scores)), form.format(statistics.mean(scores)), deviation]


def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows of a table; none where there is no file."""
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def has_row(table: Path, values: Mapping[str, str]) -> bool:
    """Whether a row of a table has these values."""
    return any(values.items() <= row.items() for row in read_rows(table))


def remove_rows(table: Path, values: Mapping[str, str]) -> None:
    """Leave out the rows of a table that have these values."""
    kept = [row for row in read_rows(table) if not values.items() <= row.items()]
    table.unlink(missing_ok=True)
    for row in kept:
        append_row(table, row)


def append_row(table: Path, row: Mapping[str, Any]) -> None:
    """Write a row at the end of a table, which begins with its columns."""
    new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
