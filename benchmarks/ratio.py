"""How every benchmark here compares two contenders of one interleaved run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Ratio(NamedTuple):
    """The ratio of the medians, and the middle half of the ratios of single rounds."""

    ratio: float
    low: float
    high: float


def compare(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """The seconds of `first` over those of `second`, two rounds or more of each, in their order.

    >>> compare([4.0, 4.0, 6.0, 8.0, 4.0], [2.0, 1.0, 2.0, 2.0, 1.0])
    Ratio(ratio=2.0, low=3.0, high=4.0)
    """
    low, _, high = statistics.quantiles([a / b for a, b in zip(first, second, strict=True)], method="inclusive")
    return Ratio(statistics.median(first) / statistics.median(second), low, high)
