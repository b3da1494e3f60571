"""The errors that a command reports in one line, with their exit codes. Standard library only.

Messages are written with flags: "--batch-size must be ...". In a command they are printed so; to a caller in Python
they speak of arguments: "batch_size must be ...".
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import re
from collections.abc import Collection, Iterator, Mapping

_in_command = False


@contextlib.contextmanager
def flags_in_messages(spoken: bool = True) -> Iterator[None]:
    """Within this context messages speak of flags, as the user of a command has them, or of arguments."""
    global _in_command
    before = _in_command
    _in_command = spoken
    try:
        yield
    finally:
        _in_command = before


class _Refusal(Exception):
    """An error whose message names flags.

    Attributes:
        argument_names: of a function in Python, by the names of Config's fields, where these differ.
    """

    argument_names: Mapping[str, str] = {}

    def __str__(self) -> str:
        return self.message if _in_command else as_arguments(self.message, self.argument_names)

    @property
    def message(self) -> str:
        """The message with flags."""
        return super().__str__()


def as_arguments(message: str, names: Mapping[str, str]) -> str:
    """A message with arguments of Python in place of flags.

    `names` are those of Config's fields that the function calls otherwise.

    >>> as_arguments("--batch-size must be a whole number, got 'a'", {})
    "batch_size must be a whole number, got 'a'"
    >>> as_arguments("images are too small (--image-size); --arch-args levels=3 helps", {"image_size": "input_shape"})
    'images are too small (input_shape); levels=3 helps'
    """
    message = re.sub(r" \(--arch-args\)|--arch-args (?=\w+=)", "", message)

    def argument(match: re.Match[str]) -> str:
        field = match[1].replace("-", "_")
        return names.get(field, field)

    return re.sub(r"(?<![\w-])--([a-z][a-z0-9-]*)", argument, message)


class BadInput(_Refusal, ValueError):
    """The user's input cannot be used; the message says what was received, what is allowed, which flag to change."""

    exit_code = 2


class TrainingFailed(_Refusal):
    """Training cannot continue; the run directory keeps the last good state."""

    exit_code = 3


class ExportFailed(_Refusal):
    """An exported file does not run, or is too far from its network; what was at its place before is still there."""

    exit_code = 3


def choose(kind: str, value: str, allowed: Collection[str], *, flag: str = "--arch-args") -> str:
    """`value`, if it is one of `allowed`.

    Args:
        kind: what the value names, "split" for example.
        value: as received.
        allowed: the names to choose from.
        flag: the flag to change; default: that of the arguments of an architecture's builder.

    Raises:
        BadInput: with the nearest of the allowed names.
    """
    if value in allowed:
        return value
    near = difflib.get_close_matches(str(value), allowed, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(allowed)}"
    raise BadInput(f"unknown {kind} '{value}'; {hint} ({flag})")


def check_packages(subject: str, packages: Collection[str], *, extra: str) -> None:
    """Raises BadInput, which says what to install, where one of the packages that `subject` needs is missing.

    Args:
        subject: "--format onnx" for example.
        packages: by their names in Python.
        extra: requirements-EXTRA.txt has them.
    """
    specs = {package: importlib.util.find_spec(package) for package in packages}
    # Without an origin it is a folder of that name in the present one, as wandb makes it.
    missing = [package for package, spec in specs.items() if spec is None or spec.origin is None]
    if missing:
        raise BadInput(f"{subject} needs {' and '.join(missing)}: pip install -r requirements-{extra}.txt")


def shorten(text: str, longest: int = 100) -> str:
    """A text for a message: one that is longer is cut in the middle.

    >>> shorten("1" * 300, 10)
    '1111...111'
    """
    if len(text) <= longest:
        return text
    left = (longest - 2) // 2
    return f"{text[:left]}...{text[left + 3 - longest :]}"


def quote_names(names: list[str], most: int = 10) -> str:
    """
    >>> quote_names(["cat", "dog", "emu"], most=2)
    "'cat', 'dog' and 1 more"
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + more


def first_line(error: Exception) -> str:
    """The first line of an error's message, without TensorFlow's operation names; its type where it has no message."""
    line = str(error).strip().partition("\n")[0]
    return re.sub(r"^\{\{.*?\}\} | \[Op:\w+\]$", "", line) or type(error).__name__
