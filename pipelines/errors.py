"""The error that every reader raises."""

from __future__ import annotations


class BadData(ValueError):
    """The data set cannot be used; the message says what was received, what is allowed, which flag to change."""

    exit_code = 2
