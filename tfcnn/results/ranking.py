"""The worst, the median and the best examples of a split, for a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from pipelines.dataset import Data

EACH = 3  # of the worst, the median and the best


class Ranked(NamedTuple):
    """An example that a sheet shows: "worst", "median" or "best", its number in the split and its score."""

    group: str
    number: int
    score: float


def rank(scores: Sequence[float]) -> list[Ranked]:
    """Up to `EACH` of the worst, the median and the best examples, the worst first; NaN is no score.

    >>> [(row.group, row.number) for row in rank([0.5, 0.9, 0.1, 0.3, 0.7])]
    [('worst', 2), ('median', 0), ('best', 1)]
    """
    import numpy as np

    values = np.asarray(scores, float)
    order = np.argsort(values, kind="stable")  # NaN last
    if np.isfinite(values).any():
        order = order[np.isfinite(values[order])]
    count = max(1, min(EACH, len(order) // 3))
    rest = order[count:-count]
    start = (len(rest) - count + 1) // 2
    groups = {"worst": order[:count], "median": rest[start : start + count], "best": order[count:][-count:]}
    return [Ranked(name, int(number), float(values[number])) for name, numbers in groups.items() for number in numbers]


def fetch_examples(data: Data, split: str, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The inputs and targets of some examples of a split, in the order of `numbers`."""
    import numpy as np

    pairs = {}
    first = 0
    for inputs, targets in data.evaluation(split):
        for number in numbers:
            if first <= number < first + len(inputs):
                pairs[number] = inputs[number - first].numpy(), targets[number - first].numpy()
        first += len(inputs)
        if len(pairs) == len(set(numbers)):
            break
    return np.stack([pairs[number][0] for number in numbers]), np.stack([pairs[number][1] for number in numbers])
