"""Scaling of a network: filters by `width`, repeated blocks by `depth`.

Standard library only, so that a command line can ask without waiting for Keras.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")


def scale_width(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to a multiple of 8 and at least 90 % of the exact product.

    The rule of MobileNet's and EfficientNet's authors. `channels` that 8 does not divide are rounded to what they share
    with it, LeNet's 6 to even numbers and DenseNet's 12 to multiples of 4: a lower width never gives more of them.

    >>> scale_width(64, 0.5), scale_width(24, 0.6), scale_width(8, 0.1)
    (32, 16, 8)
    >>> scale_width(6, 1.0), scale_width(6, 0.5), scale_width(12, 0.75)
    (6, 4, 12)

    Raises:
        ValueError: `width` is not above 0.
    """
    if width <= 0:
        raise ValueError(f"width must be above 0, got {width}")
    step, exact = math.gcd(channels, 8), channels * width
    rounded = max(step, int(exact + step / 2) // step * step)
    return rounded if rounded >= 0.9 * exact else rounded + step


def scale_depth(repeats: int, depth: float) -> int:
    """`repeats` of a block times `depth`, rounded up, as EfficientNet does.

    >>> scale_depth(3, 1.0), scale_depth(3, 1.4), scale_depth(2, 0.1)
    (3, 5, 1)
    """
    if depth <= 0:
        raise ValueError(f"depth must be above 0, got {depth}")
    return math.ceil(round(repeats * depth, 6))


def scale_rows(rows: Sequence[Row], depth: float) -> list[Row]:
    """The rows of a stage whose blocks differ, `scale_depth(len(rows), depth)` of them, in order.

    Rows are repeated or left out evenly; the last one stays, with the filters that the next stage expects.

    >>> scale_rows("abcde", 1.0), scale_rows("abcde", 1.4), scale_rows("abcde", 0.5)
    (['a', 'b', 'c', 'd', 'e'], ['a', 'b', 'c', 'c', 'd', 'e', 'e'], ['b', 'd', 'e'])
    """
    count = scale_depth(len(rows), depth)
    return [rows[-(-(i + 1) * len(rows) // count) - 1] for i in range(count)]
