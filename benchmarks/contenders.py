"""Contenders of one interleaved run, each in its process: a line on its standard input is a number of repetitions."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tfcnn.training.provenance import peak_memory

ENVIRONMENT = dict(os.environ)  # as it is before TensorFlow is imported, which sets some of it
READY = "ready"
REST = 0.1  # seconds before each turn: threads of ONNX Runtime spin for 40 ms after a call, on the next one's core


def forget_peak() -> int:
    """Let the peak of memory begin at what this process holds now, in MiB, which is the answer. Linux alone."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def serve(repeat: Callable[[int], None], fact: int = 0, imported: int = 0) -> None:
    """Call `repeat` with each number on standard input; answer with wall and CPU seconds and the peak of memory in MiB.

    Args:
        repeat: does what is measured a number of times. It has run already, so that nothing is left to compile.
        fact: a number that the other process keeps, as the parameters of a network.
        imported: MiB that the peak leaves out, of `forget_peak`.
    """
    print(READY, fact, flush=True)
    for line in sys.stdin:
        wall_start = time.perf_counter()
        cpu_start = time.process_time()
        repeat(int(line))
        peak = peak_memory() - imported
        print(time.perf_counter() - wall_start, time.process_time() - cpu_start, peak, flush=True)


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not."""
    return importlib.util.find_spec(module) is not None


class Child:
    """A contender in its process, which calls `serve`.

    Args:
        module: that is run.
        arguments: of its command line.
        environment: variables besides those of this process.

    Attributes:
        fact: of `serve`.
        wall: seconds of one repetition, a number for each call of `repeat`.
        cpu: the same of the processors' time.
        peak: of memory, in MiB.
    """

    def __init__(self, module: str, arguments: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (a pipe that nobody reads would fill)
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
            env=ENVIRONMENT | {"TF_CPP_MIN_LOG_LEVEL": "3"} | (environment or {}),
        )
        self.name = " ".join(arguments)
        fact = next((int(line.split()[1]) for line in self.process.stdout if line.startswith(READY)), None)
        if fact is None:
            raise self._failure()
        self.fact = fact
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.peak = 0.0

    def repeat(self, count: int) -> float:
        """Seconds of one repetition of `count`. Raises SystemExit if the process has ended."""
        with contextlib.suppress(BrokenPipeError):
            print(count, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise self._failure()
        wall, cpu, self.peak = map(float, answer.split())
        self.wall.append(wall / count)
        self.cpu.append(cpu / count)
        return wall / count

    def _failure(self) -> SystemExit:
        self.process.wait()
        self.errors.seek(0)
        return SystemExit(f"error: {self.name} ended with {self.process.returncode}: {self.errors.read()}")

    def forget(self) -> None:
        """Drop what was measured."""
        self.wall.clear()
        self.cpu.clear()

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def interleave(children: Collection[Child], rounds: int, seconds: float) -> None:
    """Let contenders repeat in turn, each as often in a round as it does in `seconds`."""
    counts = [max(1, round(seconds / child.repeat(2))) for child in children]
    for child in children:
        child.forget()
    for _ in range(rounds):
        for child, count in zip(children, counts, strict=True):
            time.sleep(REST)
            child.repeat(count)
