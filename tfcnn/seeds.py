"""`python -m tfcnn.train --seeds 0 1 2`: runs that differ in the seed alone. Imports no TensorFlow.

Each run is a process, so that it is the run of `--seed N`: names of layers, random states and memory of one do not
reach the next.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfcnn import compare
from tfcnn.cli.signals import Terminated
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.options import convert, flag_of, rules_of
from tfcnn.run_directory import RunDirectory, default_path


def parse_seeds(words: Sequence[str]) -> list[int]:
    """The numbers of --seeds. Raises BadInput for one that is no seed, occurs twice, or is the only one."""
    seeds = [convert("--seeds", "int", rules_of(Config.__dataclass_fields__["seed"]), word) for word in words]
    if len(seeds) < 2:
        raise BadInput(f"--seeds takes the seeds of several runs, as 0 1 2; for one run take --seed {seeds[0]}")
    if len(set(seeds)) < len(seeds):
        raise BadInput(f"--seeds must be different numbers, got {' '.join(map(str, seeds))}")
    return seeds


def train_runs(config: Config, seeds: Sequence[int], words: Sequence[str]) -> None:
    """Train the runs OUT-seed0, OUT-seed1 ... one after the other, and print their comparison.

    Finished ones are left as they are and unfinished ones continued, so that the same command continues.

    Args:
        config: of all runs; without `out` they have a new name.
        seeds: of the runs.
        words: the flags that make `config`, without --out and --seed.

    Raises:
        BadInput: before anything is trained, a directory that is taken or has a run of other flags.
        TrainingFailed: a run's process was killed.
        SystemExit: a run failed, and has printed why.
    """
    base = Path(config.out or default_path(config.arch, config.dataset))
    runs = [RunDirectory(base.with_name(f"{base.name}-seed{seed}")) for seed in seeds]
    for run in runs:
        _check(run, config)
    for seed, run in zip(seeds, runs, strict=True):
        if run.finished and not run.faults():
            print(f"seed {seed}: finished before, in {run.path}\n", flush=True)
            continue
        print(f"seed {seed}: {run.path}", flush=True)
        new = [*words, f"--seed={seed}"]
        code = _train([*(["--resume"] if run.config.exists() else new), f"--out={run.path}"])
        print(flush=True)
        if code:
            again = f"the same command{'' if config.out else f' with --out {base}'} continues"
            if code < 0:
                raise TrainingFailed(f"the process of seed {seed} was ended by signal {-code}; {again}")
            if run.config.exists():
                print(again)
            raise SystemExit(code)
    print(compare.with_seeds(compare.compare(runs), runs, "text"))


def _check(run: RunDirectory, config: Config) -> None:
    """Raises BadInput if a directory is taken, or has a run that differs in more than the seed."""
    if not run.config.is_file():
        run.check_new()
        return
    run.check_free()
    saved = run.read_config()["config"]
    wanted = json.loads(json.dumps(config.to_dict()))  # tuples as lists
    ignored = {*compare.WITHOUT_EFFECT, "seed"} | ({"epochs"} if config.time else set())
    if config.lr == "auto":
        ignored.add("lr")
    for name, value in wanted.items():
        if name not in ignored and saved[name] != value:
            flag = flag_of(name)
            raise BadInput(
                f"the run in '{run.path}' was started with {flag} {saved[name]}, not {value}; give another --out or "
                f"--name, or the same {flag} to continue it"
            )


def words_of(flags: dict[str, Any]) -> Iterator[str]:
    """The command line of parsed flags, but of --out and --seed, which each run has for itself."""
    for name, value in flags.items():
        if name in ("out", "seed"):
            continue
        if value is True:
            yield flag_of(name)
        elif isinstance(value, dict):
            yield flag_of(name)
            yield from (f"{key}={argument!r}" for key, argument in value.items())
        else:
            yield f"{flag_of(name)}={value}"


def _train(words: Sequence[str]) -> int:
    """Train a run in a process, and return its exit code, which is negative where a signal has ended it.

    The process is a group, which a terminal's Ctrl-C does not reach: each signal is passed on, once.
    """
    command = [sys.executable, "-m", "tfcnn.train", *words]
    process = subprocess.Popen(command, process_group=0 if os.name == "posix" else None)
    try:
        return process.wait()
    except KeyboardInterrupt as stop:
        terminated = isinstance(stop, Terminated)
        process.send_signal(signal.SIGTERM if terminated else signal.SIGINT)
        return process.wait() or (143 if terminated else 130)
