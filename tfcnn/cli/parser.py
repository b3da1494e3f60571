"""The parser, the one-line errors and the exit codes of every command.

Standard library only. Exit codes: 0 done, 2 bad input, 3 training failed, 130 / 143 interrupted. An exception with an
`exit_code` is the user's to mend and becomes one line on stderr; any other is a defect of this package and keeps its
traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import signal
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, NoReturn

from tfcnn.cli.signals import Terminated
from tfcnn.errors import BadInput
from tfcnn.tables import printable


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are BadInput, which names the nearest flag for an unknown one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see --help)")

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        namespace, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = difflib.get_close_matches(unknown[0].split("=")[0], self._option_string_actions, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]}?" if near else " (see --help)"
            raise BadInput(f"unknown argument '{unknown[0]}'{hint}")
        return namespace


def parse_count(flag: str, text: str) -> int:
    """The value of a flag for a whole number from 1 up. Raises BadInput."""
    if not text.isdecimal() or int(text) < 1:
        raise BadInput(f"{flag} must be a whole number at least 1, got '{text}'")
    return int(text)


def run_main(main: Callable[[], None]) -> int:
    """Call a command's main function, print its error in one line on stderr, and return the exit code."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    with contextlib.suppress(ValueError):  # outside the main thread no handler can be set
        signal.signal(signal.SIGTERM, terminate)
    try:
        main()
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # the pipe's reader has ended, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as interrupt:
        print("\ninterrupted", file=sys.stderr)
        return 143 if isinstance(interrupt, Terminated) else 130
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        print(f"error: {printable(' '.join(str(error).split()))}", file=sys.stderr)
        return error.exit_code
