"""train.log: what a run has printed, line by line. Standard library only."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO


def command_line() -> str:
    """The command that started this process, quoted for a shell."""
    return shlex.join(["python", *sys.orig_argv[1:]])


class RunLog:
    """A context in which what is printed is also kept, and written to a file once there is one.

    Of a line that was overwritten on a terminal the last form is kept. A file that cannot be written gets a warning and
    ends nothing. An error with an exit code that leaves the context is the last line, as the command then prints it.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []  # until there is a file
        self.ended = False
        self.file: TextIO | None = None
        self.streams = contextlib.ExitStack()

    def __enter__(self) -> RunLog:
        self.stderr = sys.stderr
        self.streams.enter_context(contextlib.redirect_stdout(_Copied(sys.stdout, self)))
        self.streams.enter_context(contextlib.redirect_stderr(_Copied(sys.stderr, self)))
        return self

    def begin(self, path: Path) -> None:
        """Append the command line, the lines so far and all further ones to a file."""
        with self._warning():
            self.file = path.open("a", encoding="utf-8")
        lines = [command_line(), *self.lines]
        self.lines = []
        for line in lines:
            self.add(line)

    def add(self, line: str) -> None:
        """Keep a line."""
        if self.file is not None:
            with self._warning():
                print(line, file=self.file, flush=True)
        elif not self.ended:
            self.lines.append(line)

    @contextlib.contextmanager
    def _warning(self) -> Any:
        try:
            yield
        except OSError as error:
            self.file = None
            print(f"warning: the log cannot be written: {error.strerror or error}", file=self.stderr)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.streams.close()
        if hasattr(error, "exit_code"):
            self.add(f"error: {getattr(error, 'message', error)}")
        if self.file is not None:
            with self._warning():
                self.file.close()
        self.file = None
        self.ended = True


class _Copied:
    """A stream whose lines are also kept; otherwise as it is."""

    def __init__(self, stream: TextIO, log: RunLog):
        self.stream = stream
        self.log = log
        self.rest = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.log.add(line.rstrip("\r").rpartition("\r")[2].removeprefix("\x1b[K"))
        return self.stream.write(text)
