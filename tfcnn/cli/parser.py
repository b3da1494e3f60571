"""The parser, the one-line errors and the exit codes of every command.

Standard library only. Exit codes: 0 done, 2 bad input, 3 training or export failed, 130 / 143 interrupted. An exception
with an `exit_code` is the user's to mend and becomes one line on stderr, and so do a full disk and an OSError that
names a file; any other is a defect of this package and keeps its traceback.
"""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from tfcnn.cli.signals import Interrupted, RaisedSignals, Terminated, raise_received
from tfcnn.errors import BadInput, flags_in_messages, shorten
from tfcnn.files import DiskFull, full_disk
from tfcnn.tables import printable

LARGEST_DIGITS = 9  # of a count
SIMILAR = 0.765  # of 1: --output is near --out (0.77), and --train-dir is not near --data-dir (0.76)
SHORTEST = len("--bat")  # of a flag's beginning
LONGEST_WORD = 200  # of a message; a longer one is cut in the middle


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are BadInput, which names the nearest flag for an unknown one.

    Attributes:
        elsewhere: flags of other programs, and what to do instead.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Formatter, **kwargs)
        self.elsewhere: dict[str, str] = {}

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see --help)")

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        check_words(words)
        for name in (word.partition("=")[0] for word in words):
            if len(name) > 2 and f"-{name}" in self._option_string_actions:  # argparse would read -out as -o ut
                raise BadInput(f"unknown argument '{name}'; did you mean -{name}?")
        namespace, unknown = self.parse_known_args(words, namespace)
        if unknown:
            raise BadInput(f"unknown argument '{unknown[0]}'{self._hint(unknown[0].partition('=')[0])}")
        return namespace

    def _hint(self, flag: str) -> str:
        """What to write in place of an unknown flag: another program's, a misspelt one, or the beginning of one."""
        if flag in self.elsewhere and flag not in self._option_string_actions:
            return f": {self.elsewhere[flag]}"
        flags = [name for name in self._option_string_actions if name.startswith("--")]
        near = sorted((name for name in flags if name.startswith(flag)), key=len) if len(flag) >= SHORTEST else []
        near = near or difflib.get_close_matches(flag, flags, n=1, cutoff=SIMILAR)
        return f"; did you mean {' or '.join(near)}?" if near else " (see --help)"


class Formatter(argparse.HelpFormatter):
    """Writes the value of a flag once, behind its last name, as Python does from 3.13 on, and breaks no flag's name."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, action.dest.upper())
        return f"{', '.join(action.option_strings)} {value}"


def check_words(words: Sequence[str]) -> None:
    """Raises BadInput for a value that no flag takes: an empty one, or one with the character NUL."""
    flag = "the first argument"
    for word in words:
        if "\0" in word:
            raise BadInput(f"a command line cannot hold the character NUL, got {word!r}")
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            flag = name
        if not word or (word.startswith("--") and equals and not value):
            raise BadInput(f"{flag} must not be empty, got ''")


def parse_count(flag: str, text: str) -> int:
    """The value of a flag for a whole number from 1 up. Raises BadInput."""
    digits = text.lstrip("0")
    if not (text.isascii() and text.isdecimal() and digits):
        raise BadInput(f"{flag} must be a whole number at least 1, got '{text}'")
    if len(digits) > LARGEST_DIGITS:  # Python refuses to read thousands of digits
        raise BadInput(f"{flag} must be a whole number of at most {LARGEST_DIGITS} digits, got '{text}'")
    return int(digits)


def run_main(main: Callable[[], None]) -> int:
    """Call a command's main function, print its error in one line on stderr, and return the exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as for a daemon
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold bytes that are no text
    with flags_in_messages(), RaisedSignals() as signals:
        try:
            main()
            sys.stdout.flush()
            raise_received()
            return 0
        except BrokenPipeError:  # the pipe's reader has ended, as in `... | head`
            _discard_output()
            return 0
        except (Exception, KeyboardInterrupt) as error:
            signals.end_at_once()
            try:
                sys.stdout.flush()
            except OSError:  # stdout is a file on a full disk
                _discard_output()
            return report_error(error, signals.received)


def _discard_output() -> None:
    """Drop what stdout holds, which Python would try to write once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report_error(error: Exception | KeyboardInterrupt, received: KeyboardInterrupt | None = None) -> int:
    """Print an error in one line on stderr, and return its exit code. Raises a defect of this package again.

    Args:
        error: what a command raised.
        received: the signal that came before. Code in C can make any exception of a signal's.
    """
    stop = error if isinstance(error, KeyboardInterrupt) else received
    if stop is not None and not isinstance(error, Interrupted):
        print("\ninterrupted", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    problem = None if hasattr(error, "exit_code") else full_disk(error)
    if problem is not None:
        file = getattr(error, "filename", None)
        what = f"'{os.fsdecode(file)}'" if isinstance(file, str | bytes) else "a file or the output"
        error = DiskFull(f"{what} cannot be written: {problem}")
    if hasattr(error, "exit_code"):
        message = getattr(error, "message", str(error))
    elif isinstance(error, OSError) and error.filename is not None:
        message = describe_os_error(error)
    else:
        raise error
    print("error:", *(shorten(printable(word), LONGEST_WORD) for word in message.split()), file=sys.stderr)
    return getattr(error, "exit_code", 2)


def describe_os_error(error: OSError) -> str:
    """The path of a failed operation and the reason: "'a/b': Not a directory"."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    return f"'{path}': {error.strerror or type(error).__name__}"
