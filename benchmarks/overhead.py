"""What a run takes apart from its steps: `python -m benchmarks.overhead [--rounds 5]`.

The steps of LeNet-5 on `digits`, the smallest network and so the hardest comparison, with all that happens between them
in tfcnn.train (progress, checkpoints within an epoch every minute, looking for signals) against the same calls alone,
interleaved. Then the whole command against TensorFlow's import and its training, and `--help`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from benchmarks.ratio import compare
from tfcnn.cli.signals import DeferredSignals
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config

COMMAND = ("-m", "tfcnn.train", "--arch", "lenet5", "--batch-size", "128", "--epochs", "3")


def compare_steps(rounds: int) -> None:
    """Print how long an epoch's steps take with the callbacks of a run, against without them."""
    import_tensorflow()
    from tfcnn.run_directory import RunDirectory
    from tfcnn.training.callbacks import Keeper
    from tfcnn.training.checkpoint import Checkpoints
    from tfcnn.training.data import load_data
    from tfcnn.training.fit import build_model
    from tfcnn.training.loop import build_metrics, several_steps
    from tfcnn.training.progress import Progress

    config = Config(arch="lenet5", batch_size=32)
    data = load_data(config)
    model, _ = build_model(config, data)
    build_metrics(model, data)
    take = several_steps(model)
    batches = iter(data.train(1000))
    size = 8
    times: dict[str, list[float]] = {"alone": [], "with callbacks": []}
    with tempfile.TemporaryDirectory() as folder, DeferredSignals() as signals:
        directory = RunDirectory(folder)
        keeper = Keeper(directory, Checkpoints(model, directory.checkpoints), [], signals=signals)
        progress = Progress(1000, data.steps_per_epoch, config.batch_size)
        keeper.set_model(model)
        for number in range(2 * rounds + 2):
            name = ("alone", "with callbacks")[number % 2]
            hooks = [progress, keeper] if name == "with callbacks" else []
            for hook in (progress, keeper):
                hook.on_epoch_begin(0)
            started = time.perf_counter()
            for first in range(0, 10 * size, size):
                for hook in hooks:
                    hook.on_train_batch_begin(first)
                steps, logs = take(batches, size)
                int(steps)
                for hook in hooks:
                    hook.on_train_batch_end(first + size - 1, logs)
            if number >= 2:
                times[name].append(time.perf_counter() - started)
    ratio, low, high = compare(times["with callbacks"], times["alone"])
    print(f"steps with callbacks against alone: {ratio:.3f} ({low:.3f} to {high:.3f})")


def compare_syncing(rounds: int) -> None:
    """Print what it takes that an epoch's files are on the disk (model.keras, history.csv, a checkpoint)."""
    import_tensorflow()
    from tfcnn.run_directory import RunDirectory
    from tfcnn.training.callbacks import Keeper
    from tfcnn.training.checkpoint import Checkpoints
    from tfcnn.training.data import load_data
    from tfcnn.training.fit import build_model
    from tfcnn.training.loop import build_metrics

    config = Config(arch="lenet5", batch_size=32)
    data = load_data(config)
    model, _ = build_model(config, data)
    build_metrics(model, data)
    times: dict[str, list[float]] = {"on the disk": [], "left to the kernel": []}
    with tempfile.TemporaryDirectory(dir=".") as folder, DeferredSignals() as signals:
        run = RunDirectory(folder)
        keeper = Keeper(run, Checkpoints(model, run.checkpoints), [], signals=signals)
        keeper.set_model(model)
        for number in range(2 * rounds + 2):
            name = list(times)[number % 2]
            logs = {"loss": 1.0, "val_loss": 1 / (number + 1)}  # each epoch is the best: all files are written
            with mock.patch("os.fsync") if name == "left to the kernel" else contextlib.nullcontext():
                started = time.perf_counter()
                keeper.on_epoch_end(number, logs)
                if number >= 2:
                    times[name].append(time.perf_counter() - started)
    ratio, low, high = compare(times["on the disk"], times["left to the kernel"])
    seconds = statistics.median(times["on the disk"]) - statistics.median(times["left to the kernel"])
    print(f"an epoch's files, on the disk against left to the kernel: {ratio:.3f} ({low:.3f} to {high:.3f})")
    print(f"that is {1000 * seconds:.1f} ms an epoch")


def time_commands(rounds: int) -> None:
    """Print what the whole command takes beyond TensorFlow's import and the epochs."""
    times: dict[str, list[float]] = {
        "TensorFlow's import": [],
        "the command beyond that and its epochs": [],
        "--help": [],
    }
    importing, beyond, helping = times.values()
    for _ in range(rounds):
        importing.append(run("-c", "import tensorflow, keras"))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            seconds = run(*COMMAND, "--out", str(out))
            rows = (out / "history.csv").read_text().splitlines()
            column = rows[0].split(",").index("seconds")
            training = sum(float(row.split(",")[column]) for row in rows[1:])
            assert json.loads((out / "metrics.json").read_text())["epochs"] == len(rows) - 1
            beyond.append(seconds - training - importing[-1])
        helping.append(run("-m", "tfcnn.train", "--help"))
    for name, seconds_of in times.items():
        print(f"{name}: {statistics.median(seconds_of):.2f} s ({min(seconds_of):.2f} to {max(seconds_of):.2f})")


def run(*arguments: str) -> float:
    """Wall seconds of Python with these arguments."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    compare_syncing(5 * rounds)
    time_commands(rounds)
    compare_steps(5 * rounds)


if __name__ == "__main__":
    main()
