"""Numbers as Python's own, from whichever library they come. Standard library only.

Sizes and counts that come from arrays are NumPy integers: not `int`, and not written by JSON.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Iterable, Sequence
from typing import Any

PerAxis = int | Sequence[int]  # one integer for all axes, or one for each


def as_int(value: Any, name: str, minimum: int = 1) -> int:
    """`value` as a Python integer; True and False are none.

    >>> as_int(3, "filters")
    3

    Raises:
        ValueError: `value` is no integer, or below `minimum`; the message starts with `name`.
    """
    try:
        integer = operator.index(value)
    except TypeError:
        integer = None
    if integer is None or isinstance(value, bool) or integer < minimum:
        raise ValueError(f"{name} must be an integer, {minimum} or more, got {value!r}")
    return integer


def as_tuple(value: Any, rank: int, name: str, minimum: int = 1) -> tuple[int, ...]:
    """One integer for all of `rank` axes, or a sequence of one for each, as Python integers.

    >>> as_tuple(2, 3, "strides"), as_tuple([2, 1], 2, "strides")
    ((2, 2, 2), (2, 1))

    Raises:
        ValueError: `value` is neither, or an integer is below `minimum`; the message starts with `name`.
    """
    try:
        axes = list(value) if isinstance(value, Iterable) else [value] * rank
        values = tuple(as_int(axis, name, minimum) for axis in axes)
    except (TypeError, ValueError):
        values = ()
    if len(values) != rank:
        raise ValueError(f"{name} must be one integer or {rank}, each {minimum} or more, got {value!r}")
    return values


def as_number(value: Any) -> Any:
    """An integer or a real number as Python's `int` or `float`; anything else, True and False included, as it is.

    >>> as_number(2), as_number(0.5), as_number("half")
    (2, 0.5, 'half')
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return operator.index(value)
    return float(value) if isinstance(value, numbers.Real) else value
