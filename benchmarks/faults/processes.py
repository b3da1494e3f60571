"""Processes that start with TensorFlow imported: forks of a process that has imported it and done nothing else.

The import takes four seconds, which is more than most of the runs here.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["benchmarks.faults.preloaded"])
COMMAND = "import runpy; runpy.run_module({!r}, run_name='__main__', alter_sys=True)"


class Program:
    """A program in a process, as of `python -c`.

    Args:
        code: the program.
        *arguments: its sys.argv from 1 on; written as text.
        **environment: variables besides those of this process.
    """

    def __init__(self, code: str, *arguments: object, **environment: str) -> None:
        self.arguments = [str(argument) for argument in arguments]
        pipes = [FORKS.Pipe(duplex=False) for _ in ("stdout", "stderr")]
        writers = [writer for _, writer in pipes]
        values = (code, self.arguments, os.environ | environment, writers)
        self.process = FORKS.Process(target=_run, args=values, daemon=True)
        self.process.start()
        for writer in writers:
            writer.close()
        self.threads = ThreadPoolExecutor(len(pipes))
        self.texts = [self.threads.submit(_read, reader) for reader, _ in pipes]

    def wait(self, seconds: float | None = None) -> subprocess.CompletedProcess:
        """Its exit code, or minus the signal that ended it, and its output; after so many seconds it is killed."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        output, errors = (text.result() for text in self.texts)
        self.threads.shutdown()
        return subprocess.CompletedProcess(self.arguments, self.process.exitcode, output, errors)


def _read(pipe: Connection) -> str:
    with pipe, open(pipe.fileno(), closefd=False) as file:
        return file.read()


def _run(code: str, arguments: list[str], environment: dict[str, str], writers: list[Connection]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, name, writer in zip((1, 2), ("stdout", "stderr"), writers, strict=True):
        os.dup2(writer.fileno(), number)
        writer.close()
        setattr(sys, name, os.fdopen(number, "w", buffering=1, closefd=False))
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})
