"""One process of those that train a network together, as TF_CONFIG describes it. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.run_directory import RunDirectory

EXAMPLE = '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'


class Worker(NamedTuple):
    """A process among those that train together; the first is the chief, which writes the run directory."""

    rank: int  # from 0
    world_size: int

    @property
    def chief(self) -> bool:
        return self.rank == 0


def worker_of(config: Config) -> Worker:
    """This process as TF_CONFIG describes it; the only one unless `config` says multiworker. Raises BadInput."""
    if config.distribution != "multiworker":
        return Worker(0, 1)
    text = os.environ.get("TF_CONFIG", "")
    worker = _parse(text)
    if worker is None:
        received = f"'{text}'" if text else "nothing"
        raise BadInput(
            f"--distribution multiworker needs the environment variable TF_CONFIG as {EXAMPLE}, each process with "
            f"another index; got {received}"
        )
    return worker


def _parse(text: str) -> Worker | None:
    """The worker of a TF_CONFIG; None if the text is not of the form of `EXAMPLE`."""
    try:
        content = json.loads(text)
        hosts = content["cluster"]["worker"]
        rank = content["task"]["index"]
        valid = (
            set(content["cluster"]) == {"worker"}
            and content["task"]["type"] == "worker"
            and all(type(host) is str and host.rpartition(":")[2].isdecimal() for host in hosts)
            and len(set(hosts)) == len(hosts)
            and type(rank) is int
            and 0 <= rank < len(hosts)
        )
    except (ValueError, TypeError, KeyError):
        return None
    return Worker(rank, len(hosts)) if valid else None


@contextlib.contextmanager
def worker_directory(config: Config, directory: RunDirectory) -> Iterator[RunDirectory]:
    """The run directory that this process writes to: of the chief `directory`, of the others a temporary copy.

    The copy has the chief's checkpoints, so that all workers start from the same one. The chief changes nothing before
    all have joined the cluster.
    """
    if worker_of(config).chief:
        yield directory
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = RunDirectory(Path(folder) / "run")
        if config.resume:
            shutil.copytree(directory.path, copy.path, ignore=shutil.ignore_patterns(".*", "saved_model"))
        yield copy
