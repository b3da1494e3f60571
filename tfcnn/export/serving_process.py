"""A process that serves a SavedModel without tfcnn: `python -I serving_process.py FOLDER`.

It reads requests from its standard input: a line "run ENDPOINT BYTES" or "time ENDPOINT BYTES", then arrays as .npz of
so many bytes, which the endpoint takes in their order. It answers with a line, the number of bytes, and then the
outputs or the times as .npz. Standard library and NumPy alone, besides TensorFlow: the file is run by its path.
"""

from __future__ import annotations

import functools
import importlib.abc
import io
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

HOUSE = ("tfcnn", "pipelines", "tuning")
CALLS = 20
WARM_UP = 3


class Milliseconds(NamedTuple):
    """What one call takes: the median of its time, and the mean of the processor's, all threads together."""

    wall: float
    cpu: float


def time_calls(call: Callable[[], Any]) -> Milliseconds:
    """The times of a call, after a few that warm up."""
    for _ in range(WARM_UP):
        call()
    walls = []
    cpu = time.process_time()
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        walls.append(time.perf_counter() - started)
    cpu = time.process_time() - cpu
    return Milliseconds(1000 * statistics.median(walls), 1000 * cpu / CALLS)


class Absent(importlib.abc.MetaPathFinder):
    """Hides the packages of this project."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        if name.split(".")[0] in HOUSE:
            raise ModuleNotFoundError(name)


def main() -> NoReturn:
    sys.meta_path.insert(0, Absent())
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # TensorFlow prints
    import tensorflow as tf

    model = tf.saved_model.load(sys.argv[1])
    while True:
        request = sys.stdin.buffer.readline().decode().split()
        if not request:
            sys.exit(0)
        what, endpoint, size = request
        serve = getattr(model, endpoint)
        with np.load(io.BytesIO(sys.stdin.buffer.read(int(size)))) as arrays:
            inputs = [tf.constant(array) for array in arrays.values()]
        if what == "time":
            outputs: dict[str, Any] = time_calls(functools.partial(serve, *inputs))._asdict()
        else:
            outputs = {name: value.numpy() for name, value in serve(*inputs).items() if value.dtype != tf.string}
        content = io.BytesIO()
        np.savez(content, **outputs)
        answers.write(f"{content.tell()}\n".encode() + content.getvalue())
        answers.flush()


if __name__ == "__main__":
    main()
