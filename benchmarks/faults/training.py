"""What becomes of a run to which something happens: `python -m benchmarks.faults.training > docs/faults.md`.

Takes half an hour.

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
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import tensorflow as tf

from tfcnn.run_directory import RunDirectory

KILLS, RANDOM = 30, "SIGKILL at random moments of one run"
ROOT = Path(__file__).resolve().parents[2]
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

HEAD = """# Faults

Written by `python -m benchmarks.faults.training`. Each row is a run of

    {command}

to which something happens, and its continuation with `--resume`. An exit code below 0 is a signal: -9 SIGKILL, -15
SIGTERM, -25 the kernel's for a file that got too large. TensorFlow's own lines on stderr are left out. "Equal" is a
SHA-256 of the best model's weights and of the history, which has to be that of the run to which nothing happens.

| fault | times | exit code | said on stderr | after it is continued |
|---|---|---|---|---|"""
# At the n-th moment of a kind: "kill"; "die SIZE": killed by the kernel in the next write beyond SIZE bytes of
# a file; "full SIZE": that write fails; "term", "int", "term twice": signals.
INJECTED = """
import os, pathlib, resource, runpy, signal, sys
kind, n, action, out, *flags = sys.argv[1:]
from tfcnn.cli.startup import import_tensorflow
import_tensorflow()
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


# What becomes of a file of the newest checkpoint.
DAMAGES = {
    "cut off in its middle": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeroed": lambda content: bytes(len(content)),
    "one bit flipped in its middle": lambda content: _flipped(content, len(content) // 2),
}


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


class Outcome(NamedTuple):
    """A row of the table: how the process ended, what it said, and what became of the run."""

    code: int
    said: str
    after: str


def injected(kind: str, n: int, action: str, out: Path, expected: str) -> Outcome:
    """A row of `FAULTS`, and its continuation."""
    done = run_with(kind, n, action, out)
    return Outcome(done.returncode, done.stderr, to_the_end(out, expected))


def damaged(part: str, damage: Callable[[bytes], bytes], out: Path, expected: str) -> Outcome:
    """A run with two checkpoints goes on after the newest was damaged: it has to be named."""
    stopped(out)
    newest = max((out / "checkpoints").glob(f"*.{part}"), key=lambda file: int(file.stem.split(".")[0].split("-")[1]))
    newest.write_bytes(damage(newest.read_bytes()))
    done = run(out)
    equal = done.returncode == 0 and digest(out) == expected and newest.stem.split(".")[0] in done.stderr
    return Outcome(done.returncode, done.stderr, "equal, from the one before" if equal else "DIFFERS")


def stopped(out: Path) -> None:
    """A run that has two checkpoints and is to be continued."""
    assert run_with("write", 4, "term", out).returncode == 143


def run_twice(out: Path, expected: str) -> Outcome:
    """A second process on the directory of one that trains."""
    command = [sys.executable, "-m", "tfcnn.train", "--out", str(out), *FLAGS]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        next(line for line in first.stdout if line.startswith("epoch"))
        second = run(out, "--resume")
        first.communicate()
    named = f"process {first.pid} " in second.stderr
    equal = named and first.returncode == 0 and digest(out) == expected
    return Outcome(second.returncode, second.stderr, "the first: equal" if equal else "DIFFERS")


def run_with_another_flag(out: Path, expected: str) -> Outcome:
    stopped(out)
    done = run(out, "--resume", "--batch-size", "128")
    return Outcome(done.returncode, done.stderr, to_the_end(out, expected))


def run_with_other_data(out: Path, expected: str) -> Outcome:
    """A pixel changes; then it is as before."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (300, 32, 32, 1), "uint8"), np.arange(300) % 3
    flags = ["--dataset", str(out.with_suffix(".npz")), "--arch", "lenet5", "--epochs", "2", "--checkpoint-every", "2"]

    def write(images):
        np.savez(out.with_suffix(".npz"), x=images, y=labels)

    write(images)
    whole = out.with_name(out.name + "-whole")
    run(whole, *flags)
    assert _python("-c", INJECTED, "write", "3", "term", str(out), *flags).returncode == 143
    changed = images.copy()
    changed[7, 5, 5] ^= 1
    write(changed)
    done = run(out)
    write(images)
    return Outcome(done.returncode, done.stderr, to_the_end(out, digest(whole)))


def run_that_diverges(out: Path, expected: str) -> Outcome:
    done = run(out, *FLAGS, "--opt", "sgd", "--lr", "100", "--warmup-epochs", "0")
    arrays = list(weights(out / "model.keras").values()) if (out / "model.keras").exists() else []
    for index in (out / "checkpoints").glob("*.index"):
        reader = tf.train.load_checkpoint(str(index.with_suffix("")))
        found = map(reader.get_tensor, reader.get_variable_to_shape_map())
        arrays += [array for array in found if isinstance(array, np.ndarray) and array.dtype.kind == "f"]
    finite = arrays and all(np.isfinite(array).all() for array in arrays)
    return Outcome(done.returncode, done.stderr, "what is kept is finite" if finite else "DIFFERS")


OTHERS = {
    "a second process on the run directory": run_twice,
    "continued with another flag": run_with_another_flag,
    "a pixel of the data changed; then as before": run_with_other_data,
    "the loss is not finite": run_that_diverges,
}


def killed_at_random(kills: int, folder: Path, seconds: float, expected: str) -> Iterator[tuple[int, str]]:
    """So many SIGKILLs, over runs each of which is killed until one process gets to its end: how often, what became."""
    random.seed(0)
    for number in itertools.count():
        if kills == 0:
            return
        out, before = folder / f"killed-{number}", kills
        while kills and killed(out, random.uniform(0.2, 1) * seconds):
            kills -= 1
        yield before - kills, to_the_end(out, expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="SIGKILLs at random moments [%(default)s]")
    parser.add_argument("--only", default="", help="the rows whose name has this in it")
    given = parser.parse_args()
    print(HEAD.format(command="python -m tfcnn.train " + " ".join(FLAGS)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        started = time.monotonic()
        run(folder / "whole")
        seconds, expected = time.monotonic() - started, digest(folder / "whole")
        rows = {name: partial(injected, *moment) for name, *moment, _ in FAULTS} | OTHERS
        for part in ("data-00000-of-00001", "index"):
            for name, damage in DAMAGES.items():
                rows[f"newest checkpoint's {part.split('-')[0]} file {name}"] = partial(damaged, part, damage)
        for number, (name, act) in enumerate(rows.items()):
            if given.only in name:
                found = act(folder / str(number), expected)
                lines = [line for line in found.said.splitlines() if line.startswith(("error:", "warning:"))]
                said = " ".join(lines).replace(f"{folder}/{number}", "RUN").replace(f"{folder}/", "")
                print(f"| {name} | 1 | {found.code} | {said} | {found.after} |", flush=True)
        if given.only in RANDOM:
            for kills, after in killed_at_random(given.kills, folder, seconds, expected):
                print(f"| {RANDOM} | {kills} | -9 | | {after} |", flush=True)


if __name__ == "__main__":
    main()
