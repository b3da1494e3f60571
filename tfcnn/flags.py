"""The flags of a command for the fields of `tfcnn.config.Config`. Standard library only."""

from __future__ import annotations

import argparse
import ast
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from tfcnn.cli.parser import Parser
from tfcnn.config import Config
from tfcnn.errors import BadInput, shorten
from tfcnn.options import flag_of, rules_of

# Flags of timm and of Keras' users that are no flags here, or have another meaning: what to do instead.
ELSEWHERE = {
    "--amp": "mixed precision is --precision mixed_float16 or mixed_bfloat16; by default it is used where it is faster",
    "--checkpoint-hist": "the newest checkpoints and that of the best epoch are kept",
    "--crop-pct": "images are evaluated at the largest square of their middle, as with a --crop-pct of 1",
    "--decay-epochs": "--sched step divides the rate by 10 at 50 % and at 75 % of the run",
    "--decay-rate": "--sched step divides the rate by 10 at 50 % and at 75 % of the run",
    "--dropout": "--drop RATE is that of the network, where it has dropout",
    "--eval-metric": "the epoch of the lowest validation loss is kept, of detectors that of the highest mAP",
    "--experiment": "--name NAME is for the run directory runs/NAME",
    "--interpolation": "images are resized bilinearly, smoothed where they shrink",
    "--learning-rate": "the peak learning rate is --lr",
    "--lr-decay": "see --sched for the learning rate by epoch, and --layer-decay for that by layer",
    "--model-ema-decay": "--model-ema DECAY switches the moving average on",
    "--momentum": "it is 0.9 with --opt sgd, momentum and rmsprop",
    "--no-aug": "--aa none leaves the images as they are",
    "--train-interpolation": "images are resized bilinearly, smoothed where they shrink",
    "--workers": "files are read by all cores",
}

# Names in a file of flags: of fields, and of timm's flags of the same meaning.
FIELDS = {field.name: field.name for field in dataclasses.fields(Config)} | {
    alias.lstrip("-").replace("-", "_"): field.name
    for field in dataclasses.fields(Config)
    for alias in rules_of(field).aliases
    if alias.startswith("--") and "=" not in alias
}


def add_flags(parser: Parser, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Add to `parser` a flag for each field of `Config`, or for those in `names`, under the fields' headings.

    The parsed namespace holds the flags of the command line alone: no defaults, and text that `Config` converts.

    Returns:
        dict: argparse's groups by heading.
    """
    parser.elsewhere |= ELSEWHERE
    heading = ""
    groups: dict[str, Any] = {}
    for field in dataclasses.fields(Config):
        heading = rules_of(field).group or heading
        if names is None or field.name in names:
            if heading not in groups:
                groups[heading] = parser.add_argument_group(heading)
            _add_flag(groups[heading], field)
    return groups


def _add_flag(group: Any, field: dataclasses.Field) -> None:
    rules = rules_of(field)
    names = [flag_of(field.name), *(alias for alias in rules.aliases if "=" not in alias)]
    help = rules.help.replace("%", "%%")
    absent = argparse.SUPPRESS
    if field.type == "bool":
        group.add_argument(*names, help=help, default=absent, action="store_true")
    elif field.type == "dict":
        group.add_argument(*names, help=help, default=absent, action=_CollectPairs, nargs="+", metavar="KEY=VALUE")
    else:
        metavar = "{" + ",".join(rules.choices) + "}" if rules.choices else field.name.upper()
        default = "" if field.default is None else f" [{field.default}]"
        numbers = field.type.startswith("str") and bool(rules.bounds)
        joined = _JoinTexts if rules.several else "store"
        group.add_argument(
            *names,
            help=help + default,
            default=absent,
            metavar=metavar,
            action=_JoinNumbers if numbers else joined,
            nargs="+" if numbers else None,
        )
    for alias in rules.aliases:
        switch, equals, value = alias.partition("=")
        if equals and field.type == "dict":
            group.add_argument(
                switch,
                help=f"as {names[0]} {value}=RATE",
                default=absent,
                action=_CollectPairs,
                const=value,
                dest=field.name,
                metavar="RATE",
            )
        elif equals:
            help = f"as {names[0]} {value}"
            group.add_argument(switch, help=help, default=absent, action="store_const", const=value, dest=field.name)


class _JoinNumbers(argparse.Action):
    """Takes several numbers as one word, 0.5,0.6,0.7, or as several."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, ",".join(values or ()))


class _CollectPairs(argparse.Action):
    """Adds key=value pairs to the dict of a flag; with a key as `const`, that of a value alone."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        pairs = getattr(namespace, self.dest, {})
        texts = (values or ()) if self.const is None else [f"{self.const}={values}"]
        setattr(namespace, self.dest, pairs | dict(_parse_pair(text) for text in texts))


class _JoinTexts(argparse.Action):
    """Joins the texts of a flag that occurs several times, with commas."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        texts = [getattr(namespace, self.dest, None), values]
        setattr(namespace, self.dest, ",".join(str(text) for text in texts if text is not None))


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
