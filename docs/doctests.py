"""An extension of griffe for the Python reference: the examples of docstrings become blocks of code."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^( *)>>> .*(?:\n\1\S.*)*", re.MULTILINE)


def fenced(match: re.Match[str]) -> str:
    indentation = match.group(1)
    return f"{indentation}```pycon\n{match.group(0)}\n{indentation}```"


class FencedDoctests(griffe.Extension):
    """Fences what begins with >>> and ends with an empty line."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(fenced, obj.docstring.value)
