"""What becomes of a run to which something happens: `python -m benchmarks.faults [--kills 30]` prints a table.

Each run is the command in a process of its own. After each fault the run is continued; at its end, its weights
and its history must be, bit for bit, those of a run to which nothing happened.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np

from tfcnn.run_directory import RunDirectory

KILLS = 30
ROOT = Path(__file__).resolve().parents[1]
FLAGS = (
    "--arch",
    "lenet5",
    "--epochs",
    "10",
    "--batch-size",
    "256",
    "--checkpoint-every",
    "2",
    "--precision",
    "float32",
)
TIMES = ("seconds", "images_per_second")  # what differs from run to run

# At the n-th moment of a kind: "kill"; "die SIZE": killed by the kernel in the next write beyond SIZE bytes of
# a file; "full SIZE": that write fails; "term", "int", "term twice": signals.
INJECTED = """
import os, pathlib, resource, runpy, signal, sys
kind, n, action, out, *flags = sys.argv[1:]
from tfcnn import command
command.import_tensorflow()
import keras, tensorflow as tf
seen = 0

def act():
    what, *size = action.split()
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what in ("die", "full"):
        if what == "die":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size[0]), resource.RLIM_INFINITY))
    if what in ("term", "int"):
        for _ in range(1 + (size == ["twice"])):
            signal.raise_signal(signal.SIGTERM if what == "term" else signal.SIGINT)

def moment(where, name, after=None):
    function = getattr(where, name)
    def call(*args, **kwargs):
        global seen
        inside = not isinstance(args[0], (str, pathlib.Path)) or str(args[0]).startswith(out)
        for point, run in ((name, False), (None, True), (after, False)):
            if run:
                result = function(*args, **kwargs)
            elif point == kind and inside:
                seen += 1
                if seen == int(n):
                    act()
        return result
    setattr(where, name, call)

for name in ("replace", "unlink"):
    moment(os, name)
moment(tf.train.Checkpoint, "write", after="written")
moment(keras.Model, "save")
moment(keras.callbacks.CallbackList, "on_test_batch_end")
moment(keras.callbacks.CallbackList, "on_test_end")
sys.argv = ["tfcnn.train", "--out", out, *flags]
runpy.run_module("tfcnn.train", run_name="__main__", alter_sys=True)
"""
# (what happens, kind of moment, which, action, exit code)
FAULTS = [
    ("SIGKILL before config.json is there", "replace", 1, "kill", -9),
    ("SIGKILL before the first checkpoint", "write", 1, "kill", -9),
    ("killed in a checkpoint, at its first byte", "write", 1, "die 0", -25),
    ("killed in a checkpoint, after 300,000 bytes", "write", 2, "die 300000", -25),
    ("SIGKILL with a checkpoint written, the old one there", "written", 3, "kill", -9),
    ("SIGKILL while old checkpoints are removed", "unlink", 2, "kill", -9),
    ("SIGTERM in a step", "write", 2, "term", 143),
    ("SIGKILL before the best model is written", "save", 1, "kill", -9),
    ("killed in the best model, after 50,000 bytes", "save", 1, "die 50000", -25),
    ("SIGKILL before the best model is in its place", "replace", 2, "kill", -9),
    ("disk full in a checkpoint", "write", 2, "full 300000", 3),
    ("disk full in the best model", "save", 1, "full 50000", 3),
    ("SIGINT in a step", "write", 1, "int", 130),
    ("SIGTERM in validation", "on_test_batch_end", 1, "term", 143),
    ("two SIGTERM", "write", 2, "term twice", -15),
    ("SIGKILL in validation", "on_test_batch_end", 1, "kill", -9),
    ("SIGKILL after validation", "on_test_end", 1, "kill", -9),
]


def flags(out: Path) -> tuple[str, ...]:
    """What starts the run in `out`, or continues it."""
    return ("--resume",) if RunDirectory(out).config.exists() else FLAGS


def run(out: Path, *given: str) -> subprocess.CompletedProcess:
    """The command, to its end."""
    return _python("-m", "tfcnn.train", "--out", str(out), *(given or flags(out)))


def run_with(kind: str, n: int, action: str, out: Path) -> subprocess.CompletedProcess:
    """The command, and what happens to it: a row of `FAULTS`."""
    return _python("-c", INJECTED, kind, str(n), action, str(out), *flags(out))


def _python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)


def weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a .keras file by name."""
    found = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def digest(out: Path) -> str:
    """SHA-256 of the best model's weights and of the history, without what is timed."""
    directory, result = RunDirectory(out), hashlib.sha256()
    for name, value in sorted(weights(directory.model).items()):
        result.update(name.encode() + np.asarray(value).tobytes())
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in directory.read_history()]
    result.update(json.dumps(rows).encode())
    return result.hexdigest()


def killed(out: Path, after: float) -> bool:
    """Start or continue the run and kill it after so many seconds; whether it was killed before its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tfcnn.train", "--out", str(out), *flags(out)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return process.returncode == -9


def to_the_end(out: Path, expected: str) -> str:
    """Continue the run, if it is not at its end; how its end compares."""
    done = run(out)
    return "equal" if done.returncode == 0 and digest(out) == expected else f"DIFFERS (exit {done.returncode})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="SIGKILLs at random moments [%(default)s]")
    kills = parser.parse_args().kills
    print("| fault | times | exit code | after it is continued: weights and history |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        run(Path(folder) / "whole")
        seconds, expected = time.monotonic() - started, digest(Path(folder) / "whole")
        for index, (name, kind, n, action, _) in enumerate(FAULTS):
            out = Path(folder) / str(index)
            done = run_with(kind, n, action, out)
            print(f"| {name} | 1 | {done.returncode} | {to_the_end(out, expected)} |", flush=True)
        random.seed(0)
        left, outcomes = kills, []
        for number in itertools.count():
            if left == 0:
                break
            out = Path(folder) / f"killed-{number}"
            while left and killed(out, random.uniform(0.2, 1) * seconds):
                left -= 1
            outcomes.append(to_the_end(out, expected))
        print(
            f"| SIGKILL at a random moment | {kills} | -9 | {outcomes.count('equal')} of {len(outcomes)} runs equal |"
        )


if __name__ == "__main__":
    main()
