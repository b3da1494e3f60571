"""The flags of a command for the fields of `tfcnn.config.Config`. Standard library only."""

from __future__ import annotations

import argparse
import ast
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from tfcnn.config import Config
from tfcnn.errors import BadInput, shorten
from tfcnn.options import flag_of, rules_of


def add_flags(parser: argparse.ArgumentParser, names: Iterable[str] | None = None) -> None:
    """Add to `parser` a flag for each field of `Config`, or for those in `names`.

    The parsed namespace holds the flags of the command line alone: no defaults, and text that `Config` converts.
    """
    for field in dataclasses.fields(Config):
        if names is None or field.name in names:
            _add_flag(parser, field)


def _add_flag(parser: argparse.ArgumentParser, field: dataclasses.Field) -> None:
    rules = rules_of(field)
    flag = flag_of(field.name)
    help = rules.help.replace("%", "%%")
    absent = argparse.SUPPRESS
    if field.type == "bool":
        parser.add_argument(flag, help=help, default=absent, action="store_true")
    elif field.type == "dict":
        parser.add_argument(flag, help=help, default=absent, action=_CollectPairs, nargs="+", metavar="KEY=VALUE")
    else:
        metavar = "{" + ",".join(rules.choices) + "}" if rules.choices else field.name.upper()
        default = "" if field.default is None else f" [{field.default}]"
        parser.add_argument(flag, help=help + default, default=absent, metavar=metavar)


class _CollectPairs(argparse.Action):
    """Adds key=value pairs to the dict of a flag."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        pairs = getattr(namespace, self.dest, {})
        setattr(namespace, self.dest, pairs | dict(_parse_pair(text) for text in values or ()))


def _parse_pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key.isidentifier() and equals):
        raise BadInput(f"--arch-args takes key=value pairs, got '{text}'")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value
    except (MemoryError, RecursionError):
        raise BadInput(f"--arch-args {key} is nested too deeply, got '{shorten(value)}'") from None
