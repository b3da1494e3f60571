"""What a command refuses, and how it says so. Standard library only."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection


class BadInput(ValueError):
    """What the user gave cannot be used; the message says what was received, what is allowed, which flag to change."""

    exit_code = 2


class TrainingFailed(Exception):
    """Training cannot go on; the run directory keeps what was good."""

    exit_code = 3


def choose(what: str, value: str, allowed: Collection[str], flag: str = "--arch-args") -> str:
    """`value` if it is one of `allowed`. Raises BadInput, naming the nearest ones, if not."""
    if value in allowed:
        return value
    near = difflib.get_close_matches(str(value), allowed, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(allowed)}"
    raise BadInput(f"unknown {what} '{value}'; {hint} ({flag})")


def first_line(error: Exception) -> str:
    """The first line of an error's message, without TensorFlow's operation names; its type where it has no message."""
    line = (str(error).strip().splitlines() or [""])[0]
    return re.sub(r"^\{\{.*?\}\} | \[Op:\w+\]$", "", line) or type(error).__name__
