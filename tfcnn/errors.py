"""The errors that a command reports in one line, with their exit codes. Standard library only."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Collection


class BadInput(ValueError):
    """The user's input cannot be used; the message says what was received, what is allowed, which flag to change."""

    exit_code = 2


class TrainingFailed(Exception):
    """Training cannot continue; the run directory keeps the last good state."""

    exit_code = 3


class ExportFailed(Exception):
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
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
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
