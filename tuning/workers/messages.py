"""What a search and its workers tell each other through their pipes."""

from __future__ import annotations

from typing import Any, NamedTuple


class Job(NamedTuple):
    """To a worker: train this."""

    fields: dict[str, Any]  # of tfcnn.config.Config
    log: str  # path of the file that takes the trial's output


class Verdict(NamedTuple):
    """To a worker, in answer to `EpochEnded`: whether the trial continues."""

    proceed: bool


class EpochEnded(NamedTuple):
    """From a worker, which waits for a `Verdict`."""

    number: int  # from 1 up
    metrics: dict[str, float]


class Completed(NamedTuple):
    """From a worker: the trial has run to its end."""

    metrics: dict[str, Any]


class Pruned(NamedTuple):
    """From a worker: the trial has ended after a `Verdict` against it."""


class Stopped(NamedTuple):
    """From a worker that was told to stop and ends: the trial can be resumed."""


class Failed(NamedTuple):
    """From a worker that ends: the trial has raised."""

    reason: str  # "kind: what exactly", in one line


class NoRoom(NamedTuple):
    """From a worker that ends: the disk is full, and the trial can be resumed."""

    problem: str  # which file cannot be written, in words


Outcome = Completed | Pruned | Stopped | Failed | NoRoom
Message = EpochEnded | Outcome
