"""Faults of runs and their outcome: `python -m benchmarks.faults.training > docs/faults.md`.

Takes half an hour.

Each run is the command in another process. After each fault the run is resumed; at its end, its weights and its history
must be, bit for bit, those of an undisturbed run.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import random
import shlex
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

from benchmarks.faults.processes import COMMAND, Program
from tfcnn.run_directory import RunDirectory

KILLS = 30
RANDOM = "SIGKILL at random moments of one run"
ROOT = Path(__file__).resolve().parents[2]
FLAGS = shlex.split("--arch lenet5 --epochs 10 --batch-size 256 --checkpoint-every 2 --precision float32")
TRAIN = COMMAND.format("tfcnn.train")
TIMES = ("seconds", "images_per_second")  # columns that differ from run to run

HEAD = """# Faults

Written by `python -m benchmarks.faults.training`. Each row is a run of

    {command}

with a fault, resumed with `--resume`. An exit code below 0 is a signal: -9 SIGKILL, -15 SIGTERM, -25 the kernel's for
a file that got too large. TensorFlow's own lines on stderr are left out. "Equal": the SHA-256 digests of the best
model's weights and of the history are those of an undisturbed run.

| fault | times | exit code | on stderr | after resuming |
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

for name in ("replace", "unlink", "mkdir"):
    moment(os, name)
moment(tf.train.Checkpoint, "write", after="written")
moment(keras.Model, "save")
moment(type(keras.export.ExportArchive()), "write_out", after="exported")  # which is of another class
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
    ("SIGKILL before the best model is in its place", "replace", 3, "kill", -9),
    ("disk full in a checkpoint", "write", 2, "full 300000", 3),
    ("disk full in the best model", "save", 1, "full 50000", 3),
    ("SIGINT in a step", "write", 1, "int", 130),
    ("SIGTERM in validation", "on_test_batch_end", 1, "term", 143),
    ("two SIGTERM", "write", 2, "term twice", -15),
    ("SIGKILL in validation", "on_test_batch_end", 1, "kill", -9),
    ("SIGKILL after validation", "on_test_end", 1, "kill", -9),
    ("SIGKILL before the SavedModel is written", "write_out", 1, "kill", -9),
    ("SIGKILL before the SavedModel is in its place", "exported", 1, "kill", -9),
    ("disk full in the first file of the run", "mkdir", 1, "full 10", 3),
    ("disk full in the SavedModel", "write_out", 1, "full 20000", 3),
]


def flags(out: Path) -> list[str]:
    """The flags that start the run in `out`, or resume it."""
    return ["--resume"] if RunDirectory(out).config.exists() else FLAGS


def run(out: Path, *arguments: str) -> subprocess.CompletedProcess:
    """The command, to its end."""
    return Program(TRAIN, "--out", out, *(arguments or flags(out))).wait()


def run_with(kind: str, n: int, action: str, out: Path) -> subprocess.CompletedProcess:
    """The command with a fault: a row of `FAULTS`."""
    return Program(INJECTED, kind, n, action, out, *flags(out)).wait()


def weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a .keras file by name."""
    arrays = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(note)
    return arrays


def digest(out: Path) -> str:
    """SHA-256 of the best model's weights and of the history without its times."""
    directory = RunDirectory(out)
    result = hashlib.sha256()
    for name, value in sorted(weights(directory.model).items()):
        result.update(name.encode() + np.asarray(value).tobytes())
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in directory.read_history()]
    result.update(json.dumps(rows).encode())
    return result.hexdigest()


def kill_after(seconds: float, out: Path) -> bool:
    """Start or resume the run and kill it after some seconds; whether that was before its end."""
    return Program(TRAIN, "--out", out, *flags(out)).wait(seconds).returncode == -9


def finish(out: Path, expected: str) -> str:
    """Resume the run, if it is not finished, and compare its digest."""
    process = run(out)
    return "equal" if process.returncode == 0 and digest(out) == expected else f"DIFFERS (exit {process.returncode})"


def _flip_a_bit(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


# Damages to a file of the newest checkpoint, as functions of its content.
DAMAGES = {
    "cut off in its middle": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeroed": lambda content: bytes(len(content)),
    "one bit flipped in its middle": _flip_a_bit,
}


class Outcome(NamedTuple):
    """A row of the table: exit code, stderr, and the state of the resumed run."""

    code: int
    stderr: str
    after: str


def inject(kind: str, n: int, action: str, out: Path, expected: str) -> Outcome:
    """A row of `FAULTS`, then the resumed run."""
    process = run_with(kind, n, action, out)
    return Outcome(process.returncode, process.stderr, finish(out, expected))


def damage_newest(part: str, damage: Callable[[bytes], bytes], out: Path, expected: str) -> Outcome:
    """A run with two checkpoints is resumed after damage to the newest, which must be named on stderr."""
    stop_with_two_checkpoints(out)
    newest = max((out / "checkpoints").glob(f"*.{part}"), key=lambda file: int(file.stem.split(".")[0].split("-")[1]))
    newest.write_bytes(damage(newest.read_bytes()))
    process = run(out)
    equal = process.returncode == 0 and digest(out) == expected and newest.stem.split(".")[0] in process.stderr
    return Outcome(process.returncode, process.stderr, "equal, from the one before" if equal else "DIFFERS")


def stop_with_two_checkpoints(out: Path) -> None:
    assert run_with("write", 4, "term", out).returncode == 143


def run_twice(out: Path, expected: str) -> Outcome:
    """A second process on the directory of a training one."""
    command = [sys.executable, "-m", "tfcnn.train", "--out", str(out), *FLAGS]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        next(line for line in first.stdout if line.startswith("epoch"))
        second = run(out, "--resume")
        first.communicate()
    is_named = f"process {first.pid} " in second.stderr
    equal = is_named and first.returncode == 0 and digest(out) == expected
    return Outcome(second.returncode, second.stderr, "the first: equal" if equal else "DIFFERS")


def run_with_another_flag(out: Path, expected: str) -> Outcome:
    stop_with_two_checkpoints(out)
    process = run(out, "--resume", "--batch-size", "128")
    return Outcome(process.returncode, process.stderr, finish(out, expected))


def run_with_other_data(out: Path, expected: str) -> Outcome:
    """A pixel changes; then it is restored."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 32, 32, 1), "uint8")
    labels = np.arange(300) % 3
    arguments = ["--dataset", str(out.with_suffix(".npz"))]
    arguments += shlex.split("--arch lenet5 --epochs 2 --checkpoint-every 2")

    def write(images: np.ndarray) -> None:
        np.savez(out.with_suffix(".npz"), x=images, y=labels)

    write(images)
    whole = out.with_name(out.name + "-whole")
    run(whole, *arguments)
    assert Program(INJECTED, "write", 3, "term", out, *arguments).wait().returncode == 143
    changed = images.copy()
    changed[7, 5, 5] ^= 1
    write(changed)
    process = run(out)
    write(images)
    return Outcome(process.returncode, process.stderr, finish(out, digest(whole)))


def run_that_diverges(out: Path, expected: str) -> Outcome:
    process = run(out, *FLAGS, "--opt", "sgd", "--lr", "100", "--warmup-epochs", "0")
    arrays = list(weights(out / "model.keras").values()) if (out / "model.keras").exists() else []
    for index in (out / "checkpoints").glob("*.index"):
        reader = tf.train.load_checkpoint(str(index.with_suffix("")))
        tensors = map(reader.get_tensor, reader.get_variable_to_shape_map())
        arrays += [array for array in tensors if isinstance(array, np.ndarray) and array.dtype.kind == "f"]
    finite = arrays and all(np.isfinite(array).all() for array in arrays)
    return Outcome(process.returncode, process.stderr, "what is kept is finite" if finite else "DIFFERS")


OTHERS = {
    "a second process on the run directory": run_twice,
    "continued with another flag": run_with_another_flag,
    "a pixel of the data changed; then as before": run_with_other_data,
    "the loss is not finite": run_that_diverges,
}


def kill_at_random(kills: int, folder: Path, seconds: float, expected: str) -> Iterator[tuple[int, str]]:
    """SIGKILLs over several runs, each killed until a process reaches its end; yields its kills and its outcome."""
    random.seed(0)
    for number in itertools.count():
        if kills == 0:
            return
        out = folder / f"killed-{number}"
        before = kills
        while kills and kill_after(random.uniform(0.2, 1) * seconds, out):
            kills -= 1
        if kills < before:
            yield before - kills, finish(out, expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="SIGKILLs at random moments [%(default)s]")
    parser.add_argument("--only", default="", help="only the rows whose name contains this")
    parser.add_argument("--sweep", type=int, default=0, metavar="N", help="only N damages to files of a finished run")
    arguments = parser.parse_args()
    if arguments.sweep:
        from benchmarks.faults.run_files import sweep

        with tempfile.TemporaryDirectory() as temporary:
            sweep(arguments.sweep, Path(temporary))
        return
    print(HEAD.format(command="python -m tfcnn.train " + " ".join(FLAGS)), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        Program("").wait()  # TensorFlow's import
        started = time.monotonic()
        run(folder / "whole")
        seconds = time.monotonic() - started
        expected = digest(folder / "whole")
        rows = {name: partial(inject, *moment) for name, *moment, _ in FAULTS} | OTHERS
        for part in ("data-00000-of-00001", "index"):
            for name, damage in DAMAGES.items():
                rows[f"newest checkpoint's {part.split('-')[0]} file {name}"] = partial(damage_newest, part, damage)
        for number, (name, act) in enumerate(rows.items()):
            if arguments.only in name:
                outcome = act(folder / str(number), expected)
                lines = [line for line in outcome.stderr.splitlines() if line.startswith(("error:", "warning:"))]
                message = " ".join(lines).replace(f"{folder}/{number}", "RUN").replace(f"{folder}/", "")
                print(f"| {name} | 1 | {outcome.code} | {message} | {outcome.after} |", flush=True)
        if arguments.only in RANDOM:
            for kills, after in kill_at_random(arguments.kills, folder, seconds, expected):
                print(f"| {RANDOM} | {kills} | -9 | | {after} |", flush=True)


if __name__ == "__main__":
    main()
