"""Where the time of a training step goes: `python -m benchmarks.step_profile > docs/step_profile.md`.

TensorFlow's profiler over some steps of `tfcnn.train`. An operation's time is its own, without that of what it calls,
summed over threads; what TensorFlow does between operations is not in it.
"""

from __future__ import annotations

import argparse
import collections
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.train_step import ROWS, of_keras
from tfcnn.cli.startup import import_tensorflow

NETWORKS = ("lenet5@28", "mobilenet-0.25@32", "mobilenet@96", "resnet50@64", "unet-0.25@96", "vgg11@32")
STEPS = 10
MOST = 8  # operations in a table
HEAD = """# Where a training step's time goes

Written by `python -m benchmarks.step_profile` on {device}. Shares of the time that TensorFlow
spends in operations, by their type; {steps} steps in float32. What the step takes as a whole, and beside
which others: [training_step.md](training_step.md)."""


class Profile(NamedTuple):
    """Of some steps: their seconds, and picoseconds by the type of operation."""

    seconds: float
    whole: collections.Counter  # with that of what the operation calls or waits for
    own: collections.Counter  # without


def profiled(steps: Callable[[], None]) -> Profile:
    """Do `steps` under TensorFlow's profiler."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space, whole, own = xplane_pb2.XSpace(), collections.Counter(), collections.Counter()
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
            open_ones = []  # end and type of the events around this one
            for event in sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps)):
                while open_ones and open_ones[-1][0] <= event.offset_ps:
                    open_ones.pop()
                if open_ones:
                    own[open_ones[-1][1]] -= event.duration_ps
                kind = type_of(plane.event_metadata[event.metadata_id])
                whole[kind] += event.duration_ps
                own[kind] += event.duration_ps
                open_ones.append((event.offset_ps + event.duration_ps, kind))
    return Profile(seconds, whole, own)


def type_of(event) -> str:
    """The type of an operation, as "Conv2D", oneDNN's by that of what it replaces; the runtime's events have "::"."""
    name = (event.display_name or event.name).removesuffix("Op::DoCompute")  # of those that wait
    for prefix in ("_MklNative", "_Mkl"):
        name = name.removeprefix(prefix)
    return name if name.isidentifier() else "no operation"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="+", default=NETWORKS, choices=list(ROWS), help="networks [%(default)s]")
    given = parser.parse_args()
    import_tensorflow()
    from tfcnn.training.provenance import device

    print(HEAD.format(device=device(), steps=STEPS))
    for name in given.rows:
        steps, _ = of_keras(ROWS[name], "ours")
        steps(2 * STEPS)
        own = profiled(functools.partial(steps, STEPS)).own
        print(f"\n**{name}**, batches of {ROWS[name].batch}\n\n| operation | share |\n|---|---|")
        own.pop("no operation", 0)
        total, largest = sum(own.values()), own.most_common(MOST)
        for kind, taken in largest:
            print(f"| {kind} | {taken / total:.0%} |")
        print(f"| {len(own) - MOST} others | {1 - sum(taken for _, taken in largest) / total:.0%} |", flush=True)


if __name__ == "__main__":
    main()
