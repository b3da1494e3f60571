"""The time of the parts of a run, from the command on (`tfcnn.train --verbose`). Standard library only."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Stages:
    """A clock that prints a line at the end of each part of a run: wall and processor seconds, all threads together.

    Args:
        verbose: whether it prints.
        elapsed: wall seconds between the command and now.
    """

    def __init__(self, verbose: bool, elapsed: float = 0.0) -> None:
        self.verbose = verbose
        self.started = time.monotonic() - elapsed
        self.wall = self.started
        self.processor = 0.0  # of the process, which counts from its start

    def begin(self) -> None:
        """Leave what was done since the last part out of the next one."""
        self.wall = time.monotonic()
        self.processor = time.process_time()

    def end(self, name: str) -> None:
        """Print the time since the last part ended or the next began."""
        if self.verbose:
            wall = time.monotonic()
            seconds = f"{wall - self.wall:.2f} s, {time.process_time() - self.processor:.2f} s of processors"
            print(f"time       {name}: {seconds}; {wall - self.started:.2f} s since the command", flush=True)
        self.begin()

    def time(
        self, name: str, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """Call a function as the part of this name."""
        self.begin()
        result = function(*args, **kwargs)
        self.end(name)
        return result


def age_of_process() -> float:
    """Wall seconds since this process was started."""
    import psutil

    return time.time() - psutil.Process().create_time()
