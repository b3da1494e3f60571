"""How far the probabilities of a classifier are shares of right answers.

Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks" (2017), section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

BINS = 15  # of equal width, as in the paper's tables


class Bin(NamedTuple):
    """The examples whose confidence is above `low` and at most `high`.

    Attributes:
        low, high: the ends, 0 ... 1.
        examples: their number.
        confidence: the mean probability of the first guess; None without an example.
        accuracy: the share of right first guesses; None without an example.
    """

    low: float
    high: float
    examples: int
    confidence: float | None
    accuracy: float | None


def bin_confidences(confidence: np.ndarray, hits: np.ndarray, bins: int = BINS) -> list[Bin]:
    """The examples by their confidence, in bins of equal width.

    Args:
        confidence: float (examples,), the probability of the first guess.
        hits: bool (examples,), whether the first guess is right.
        bins: their number.

    >>> import numpy as np
    >>> for row in bin_confidences(np.array([0.5, 0.75, 1.0]), np.array([True, False, True]), bins=2):
    ...     print(*row)
    0.0 0.5 1 0.5 1.0
    0.5 1.0 2 0.875 0.5
    """
    import numpy as np

    edges = np.arange(bins + 1) / bins
    places = np.searchsorted(edges[1:-1], confidence, side="left")
    rows = []
    for number in range(bins):
        inside = places == number
        count = int(inside.sum())
        mean_confidence = float(confidence[inside].mean()) if count else None
        accuracy = float(hits[inside].mean()) if count else None
        rows.append(Bin(float(edges[number]), float(edges[number + 1]), count, mean_confidence, accuracy))
    return rows


def expected_calibration_error(rows: Sequence[Bin]) -> float:
    """The mean distance of accuracy and confidence over the bins, weighted with their examples: equation 3.

    >>> round(expected_calibration_error([Bin(0.0, 0.5, 1, 0.5, 1.0), Bin(0.5, 1.0, 3, 0.9, 1.0)]), 6)
    0.2
    """
    total = sum(row.examples for row in rows)
    distance = 0.0
    for row in rows:
        if row.confidence is not None and row.accuracy is not None:
            distance += row.examples * abs(row.accuracy - row.confidence)
    return distance / total
