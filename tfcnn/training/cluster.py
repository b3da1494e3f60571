"""A process among those that train one network together, as TF_CONFIG has it. Standard library only."""

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
    """This process among those that train together; the first is the chief, which writes the run directory."""

    index: int
    count: int

    @property
    def chief(self) -> bool:
        return self.index == 0


def worker_of(config: Config) -> Worker:
    """This process as TF_CONFIG has it; the only one unless `config` says multiworker. Raises BadInput."""
    if config.distribution != "multiworker":
        return Worker(0, 1)
    text = os.environ.get("TF_CONFIG", "")
    try:
        told = json.loads(text)
        hosts, task = told["cluster"]["worker"], told["task"]
        right = set(told["cluster"]) == {"worker"} and task["type"] == "worker" and type(task["index"]) is int
        right = right and all(type(host) is str and host.rpartition(":")[2].isdecimal() for host in hosts)
        right = right and len(set(hosts)) == len(hosts) and 0 <= task["index"] < len(hosts)
    except (ValueError, TypeError, KeyError):
        right = False
    if not right:
        got = f"'{text}'" if text else "nothing"
        raise BadInput(
            f"--distribution multiworker needs the environment variable TF_CONFIG as {EXAMPLE}, each process with "
            f"its own index; got {got}"
        )
    return Worker(task["index"], len(hosts))


@contextlib.contextmanager
def working(config: Config, directory: RunDirectory) -> Iterator[RunDirectory]:
    """The run directory to write to: of all workers but the chief a copy that nobody keeps.

    It has what the chief's has now, so that all go on from the same checkpoint. The chief changes nothing before all
    have joined the cluster.
    """
    if worker_of(config).chief:
        yield directory
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = RunDirectory(Path(folder) / "run")
        if config.resume:
            shutil.copytree(directory.path, copy.path, ignore=shutil.ignore_patterns(".*", "saved_model"))
        yield copy
