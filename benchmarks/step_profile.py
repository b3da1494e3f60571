"""Where the time of a training step goes: `python -m benchmarks.step_profile > docs/step_profile.md`.

TensorFlow's profiler over some steps of `tfcnn.train`. An operation's time excludes that of what it calls and is
summed over threads; what TensorFlow does between operations is not in it. Beside it stands what the arithmetic of the
convolutions and dense layers takes at the rate of one large product of matrices, measured before. In another process
oneDNN lists what it computes, and how long it turns arrays from one layout into another.
"""

from __future__ import annotations

import argparse
import collections
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.contenders import ENVIRONMENT
from benchmarks.train_step.machine import FLOPS_OF_A_STEP, PRODUCT_FLOPS, SIDE, prepare_product
from benchmarks.train_step.networks import ROWS
from benchmarks.train_step.steps import prepare_keras
from benchmarks.training_runs import ROOT
from tfcnn.cli.startup import import_tensorflow

NETWORKS = (
    "lenet5@28",
    "mobilenet-0.25@32",
    "mobilenet@96",
    "mobilenet@224",
    "inception_v3@96",
    "resnet18@64",
    "resnet20@32",
    "resnet50@64",
    "densenet121@64",
    "squeezenet1_1@64",
    "unet-0.25@96",
    "segnet-0.25@96",
    "fcn8s-0.25@96",
    "vgg11@32",
)
PRODUCTS = (
    "Conv",
    "FusedConv",
    "Depthwise",
    "MatMul",
    "FusedMatMul",
)  # how the types of operations begin that multiply matrices
STEPS = 10
MOST = 8  # operations in a table
WARM = "the steps from here on count"
HEAD = """# Where a training step's time goes

Written by `python -m benchmarks.step_profile` on {device}. Shares of the time that TensorFlow
spends in operations, by their type; {steps} steps in float32. One product of {side}x{side} matrices ran at {rate:,.0f}
GFLOP/s. Operations that run side by side share the cores, and the time of each counts in full: all together take more
time than the steps, and the share of the large product's rate is less than that of the whole step, which
[training_step.md](training_step.md) has, beside other implementations."""


class Profile(NamedTuple):
    """Some steps' seconds, and picoseconds by the type of operation."""

    seconds: float
    total: collections.Counter  # with what the operation calls or waits for
    exclusive: collections.Counter  # without


def profile_steps(steps: Callable[[], None]) -> Profile:
    """Do `steps` under TensorFlow's profiler."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    total: collections.Counter = collections.Counter()
    exclusive: collections.Counter = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        started = time.perf_counter()
        steps()
        seconds = time.perf_counter() - started
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space.ParseFromString(file.read_bytes())
    for plane in space.planes:
        for line in plane.lines:
            enclosing: list[tuple[int, str]] = []  # end and type of the events around this one
            for event in sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps)):
                while enclosing and enclosing[-1][0] <= event.offset_ps:
                    enclosing.pop()
                if enclosing:
                    exclusive[enclosing[-1][1]] -= event.duration_ps
                kind = type_of(plane.event_metadata[event.metadata_id])
                total[kind] += event.duration_ps
                exclusive[kind] += event.duration_ps
                enclosing.append((event.offset_ps + event.duration_ps, kind))
    return Profile(seconds, total, exclusive)


def type_of(event: Any) -> str:
    """The type of an operation, as "Conv2D", oneDNN's by that of what it replaces; the runtime's events have "::"."""
    name = (event.display_name or event.name).removesuffix("Op::DoCompute")  # of those that wait
    for prefix in ("_MklNative", "_Mkl"):
        name = name.removeprefix(prefix)
    return name if name.isidentifier() else "no operation"


def measure_product() -> float:
    """Operations a second of one large product of matrices."""
    repeat = prepare_product("float32")
    repeat(1)
    started = time.perf_counter()
    repeat(STEPS)
    return STEPS * PRODUCT_FLOPS / (time.perf_counter() - started)


def warm_steps(name: str) -> Callable[[int], None]:
    """The training steps of a row, some of which are done."""
    steps = prepare_keras(ROWS[name], "ours", "float32").steps
    steps(2 * STEPS)
    return steps


def list_primitives(name: str) -> None:
    """Do steps, of which oneDNN lists what it computes, with `WARM` before those that count."""
    import_tensorflow()
    steps = warm_steps(name)
    print(WARM, flush=True)
    steps(STEPS)


def share_of_reorders(name: str) -> float:
    """The share of oneDNN's time in a training step that turns arrays from one layout into another."""
    command = [sys.executable, "-m", "benchmarks.step_profile", "--list-primitives", name]
    environment = ENVIRONMENT | {"ONEDNN_VERBOSE": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    milliseconds: collections.Counter = collections.Counter()
    for line in run.stdout.partition(WARM)[2].splitlines():
        fields = line.split(",")
        if fields[0] == "onednn_verbose" and "exec" in fields:
            milliseconds[fields[fields.index("exec") + 2]] += float(fields[-1])  # "cpu" stands between
    return milliseconds["reorder"] / sum(milliseconds.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="+", default=NETWORKS, choices=list(ROWS), help="networks [%(default)s]")
    parser.add_argument("--list-primitives", choices=list(ROWS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.list_primitives:
        list_primitives(arguments.list_primitives)
        return
    import_tensorflow()
    from tfcnn.training.provenance import device

    rate = measure_product()
    print(HEAD.format(device=device(), steps=STEPS, side=SIDE, rate=rate / 1e9))
    for name in arguments.rows:
        row = ROWS[name]
        profile = profile_steps(functools.partial(warm_steps(name), STEPS))
        exclusive = profile.exclusive
        exclusive.pop("no operation", 0)
        total = sum(exclusive.values())
        multiplying = sum(duration for kind, duration in exclusive.items() if kind.startswith(PRODUCTS))
        least = FLOPS_OF_A_STEP * row.count_macs() * row.batch * STEPS / rate * 1e12
        print(
            f"\n**{name}**, batches of {row.batch}: all operations take {total / 1e12 / profile.seconds:.1f} times the "
            f"steps' time. Of that, convolutions and products take {multiplying / total:.0%}, and would take "
            f"{least / total:.0%} at the rate of the large product. Of oneDNN's time, "
            f"{share_of_reorders(name):.1%} goes into changes of layout.\n\n| operation | share |\n|---|---|"
        )
        largest = exclusive.most_common(MOST)
        for kind, duration in largest:
            print(f"| {kind} | {duration / total:.0%} |")
        rest = 1 - sum(duration for _, duration in largest) / total
        print(f"| {len(exclusive) - MOST} others | {rest:.0%} |", flush=True)


if __name__ == "__main__":
    main()
