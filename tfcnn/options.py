"""The fields of a configuration as options of a command line: help, bounds, conversion. Standard library only."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

from tfcnn.errors import BadInput


class Rules(NamedTuple):
    """The help of a field and its values: one of `choices`, or a number above `above`, from `low` to `high`."""

    help: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf

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
) -> Any:
    """A field of `Config` with its `Rules`."""
    metadata = {"rules": Rules(help, choices, low, high, above)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def rules_of(field: dataclasses.Field) -> Rules:
    """The rules of a field of `Config`."""
    return field.metadata["rules"]


def flag_of(name: str) -> str:
    """The flag of a field: batch_size -> --batch-size."""
    return "--" + name.replace("_", "-")


KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "dict": "key=value pairs",
}
TYPES = {"str": str, "bool": bool, "dict": dict}


def convert(field: dataclasses.Field, value: Any) -> Any:
    """The value in the type of its field; text becomes a number where the field is one. Raises BadInput."""
    flag = flag_of(field.name)
    kind = field.type.removesuffix(" | None")
    if value is None and field.type != kind:
        return None
    rules = rules_of(field)
    refusal = BadInput(f"{flag} must be {KINDS[kind]} {rules.bounds}".rstrip() + f", got '{value}'")

    if kind in ("int", "float"):
        number = number_of(value)
        if number is None or not rules.allow(number) or (kind == "int" and number != int(number)):
            raise refusal
        return int(number) if kind == "int" else float(number)
    if not isinstance(value, TYPES[kind]):
        raise refusal
    if rules.choices and value not in rules.choices:
        raise BadInput(f"{flag} must be one of {', '.join(rules.choices)}, got '{value}'")
    return value


def number_of(value: Any) -> float | int | None:
    """A finite number from a number or its text, or None."""
    try:
        number = value
        if isinstance(value, str):  # a whole number is exact at any size
            number = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
        return number if not isinstance(number, bool) and math.isfinite(number) else None
    except (TypeError, ValueError):
        return None
