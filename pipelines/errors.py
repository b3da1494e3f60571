"""What is wrong with a data set: the error that every reader raises, and a file that cannot be used."""

from __future__ import annotations

import dataclasses


class BadData(ValueError):
    """The data set cannot be used; the message says what was received, what is allowed, which flag to change."""

    exit_code = 2


@dataclasses.dataclass(frozen=True)
class BadFile:
    """A file that cannot be used, and why."""

    path: str
    class_name: str  # "" if it has none
    reason: str
