"""What a tracker of experiments is, and what it gets at the start of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol


class TrackedRun(NamedTuple):
    """What trackers know of a run at its start.

    Attributes:
        name: of its directory.
        path: of its directory, absolute.
        parameters: the flags, and what was decided for those left out; no None.
    """

    name: str
    path: Path
    parameters: dict[str, bool | int | float | str]


class Tracker(Protocol):
    """One service. Each method may raise any exception."""

    def start(self, run: TrackedRun, identifier: str | None) -> tuple[str, str]:
        """Begin the tracked run, or continue that of `identifier`; its identifier, and where it is, for the log."""
        ...

    def log_epoch(self, row: dict[str, float]) -> None:
        """Send a row of the history: "epoch" from 1 on, metrics, "learning_rate"."""
        ...

    def finish(self, metrics: dict[str, float], files: Sequence[Path]) -> None:
        """Send the metrics of the finished run and its files, and end it."""
        ...

    def stop(self, status: str) -> None:
        """End a run that is "interrupted" or has "failed"."""
        ...
