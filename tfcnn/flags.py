"""A command's flags for the fields of `tfcnn.config.Config`. Standard library only."""

from __future__ import annotations

import argparse
import ast
import dataclasses
from collections.abc import Iterable
from typing import Any

from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput


def add_flags(parser: argparse.ArgumentParser, names: Iterable[str] | None = None) -> None:
    """Give `parser` a flag for each field of `Config`, or for those in `names`.

    Values stay text for `Config` to read, and a flag that is not given leaves no trace, so that the parsed
    namespace holds what the user said and nothing else.
    """
    for field in dataclasses.fields(Config):
        if names is not None and field.name not in names:
            continue
        rules = field.metadata
        shown = rules["help"]
        if field.type == "bool":
            how = {"action": "store_true"}
        elif field.type == "dict":
            how = {"nargs": "+", "action": _Pairs, "metavar": "KEY=VALUE"}
        else:
            how = {"metavar": "{" + ",".join(rules["choices"]) + "}" if "choices" in rules else field.name.upper()}
            if field.default is not None:
                shown += f" [{field.default}]"
        parser.add_argument(flag_of(field.name), help=shown.replace("%", "%%"), default=argparse.SUPPRESS, **how)


class _Pairs(argparse.Action):
    """Collects key=value pairs into one dict."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, getattr(namespace, self.dest, {}) | dict(map(_pair, values)))


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key.isidentifier() and equals):
        raise BadInput(f"--arch-args takes key=value pairs, got '{text}'")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value
