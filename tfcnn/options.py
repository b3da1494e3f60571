"""The rules of an option, and the conversion of what a user gave for it. Standard library only."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

from tfcnn.errors import BadInput, shorten

LARGEST = 2**31 - 1  # of whole numbers
LARGEST_FLOAT = 3.4e38  # of float32
SIZE = "int | str"  # the annotation of a size: the side of a square, or HEIGHTxWIDTH
KINDS = {
    "int": "a whole number",
    SIZE: "a whole number, or HEIGHTxWIDTH, each",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "dict": "key=value pairs",
}
TYPES = {"str": str, "bool": bool, "dict": dict}


class Rules(NamedTuple):
    """The help of a field and its values: one of `choices`, or a number above `above`, from `low` to `high`.

    A text with bounds is several numbers.

    Attributes:
        aliases: other names of the flag; "--pretrained=imagenet" is a switch that sets a value, and "--drop=dropout" a
            flag for one key of key=value pairs.
        group: the heading in --help that this field begins; the fields after it have the same.
        words: texts that stand for a number.
        several: the value is one or more choices, separated by commas.
    """

    help: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    aliases: tuple[str, ...] = ()
    group: str = ""
    words: tuple[str, ...] = ()
    several: bool = False

    @property
    def bounds(self) -> str:
        """In words: "at least 0 and at most 1"."""
        limits = {"above": self.above, "at least": self.low, "at most": self.high}
        return " and ".join(f"{words} {limit}" for words, limit in limits.items() if math.isfinite(limit))

    def allow(self, number: float) -> bool:
        """Whether a number is within the bounds."""
        return self.above < number and self.low <= number <= self.high


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    aliases: tuple[str, ...] = (),
    group: str = "",
    words: tuple[str, ...] = (),
    several: bool = False,
) -> Any:
    """A field of `Config` with its `Rules`."""
    metadata = {"rules": Rules(help, choices, low, high, above, aliases, group, words, several)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def rules_of(field: dataclasses.Field) -> Rules:
    """The rules of a field of `Config`."""
    return field.metadata["rules"]


def flag_of(name: str) -> str:
    """The flag of a field: batch_size -> --batch-size."""
    return "--" + name.replace("_", "-")


def convert(flag: str, annotation: str, rules: Rules, value: Any) -> Any:
    """The value of an option in its type; text becomes a number where the option is one.

    Args:
        flag: for messages.
        annotation: "int", "float", "str", "bool", "dict" or SIZE, alone or before " | None"; `words` add " | str".
        rules: of the option.
        value: as received.

    Raises:
        BadInput: another type, a number out of bounds, none of the choices, or an empty text.
    """
    kind = annotation.removesuffix(" | None")
    if value is None and annotation != kind:
        return None
    if rules.words:
        kind = kind.removesuffix(" | str")
    if value in rules.words:
        return value
    if kind in ("int", "float"):
        return _convert_number(flag, kind, rules, value)
    if kind == SIZE:
        return _convert_size(flag, rules, value)
    if not isinstance(value, TYPES[kind]):
        raise _refusal(flag, kind, rules, value)
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise BadInput(f"{flag} must be text without the character NUL, and not empty, got {shorten(value)!r}")
    if rules.several:
        return ",".join(_convert_names(flag, rules, str(value)))
    if rules.choices and value not in rules.choices:
        raise BadInput(f"{flag} must be one of {', '.join(rules.choices)}, got '{shorten(str(value))}'")
    return value


def _convert_names(flag: str, rules: Rules, text: str) -> list[str]:
    """The choices in a text, each once."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in rules.choices:
            raise BadInput(f"{flag} must be one or more of {', '.join(rules.choices)}, got '{shorten(text)}'")
    return names


def _convert_number(flag: str, kind: str, rules: Rules, value: Any) -> float | int:
    number = number_of(value)
    if number is None or not rules.allow(number) or (kind == "int" and number != int(number)):
        raise _refusal(flag, kind, rules, value)
    if kind == "float":
        if abs(number) > LARGEST_FLOAT:
            raise BadInput(f"{flag} must be a number at most {LARGEST_FLOAT:g}, got '{shorten(str(value))}'")
        return float(number)
    if abs(number) > LARGEST:
        raise BadInput(f"{flag} must be a whole number at most {LARGEST}, got '{shorten(str(value))}'")
    return int(number)


def _convert_size(flag: str, rules: Rules, value: Any) -> int | str:
    """The side of a square, or "HEIGHTxWIDTH" of another rectangle, from a number, such a text or a pair."""
    sides = value.lower().split("x") if isinstance(value, str) else value
    pair = list(sides) if isinstance(sides, list | tuple) else [sides]
    numbers = [number_of(side) for side in pair]
    whole = [int(number) for number in numbers if number is not None and rules.allow(number) and number == int(number)]
    if len(whole) != len(pair) or len(pair) not in (1, 2):
        raise _refusal(flag, SIZE, rules, value)
    return whole[0] if len(set(whole)) == 1 else "x".join(map(str, whole))


def _refusal(flag: str, kind: str, rules: Rules, value: Any) -> BadInput:
    allowed = " or ".join([*rules.words, f"{KINDS[kind]} {rules.bounds}".rstrip()])
    return BadInput(f"{flag} must be {allowed}, got '{_shown(value)}'")


def _shown(value: Any) -> str:
    try:
        return shorten(str(value))
    except ValueError:  # Python writes no whole number of thousands of digits
        return "a number of thousands of digits"


def number_of(value: Any) -> float | int | None:
    """A finite number from a number or its text, or None."""
    try:
        number = value
        if isinstance(value, str):  # a whole number is exact at any size
            number = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
        return number if not isinstance(number, bool) and math.isfinite(number) else None
    except (TypeError, ValueError, OverflowError):  # the last: a whole number that no float can hold
        return None
