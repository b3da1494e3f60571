"""Scaling of a network: filters by `width`, repeated blocks by `depth`, images by `resolution`, or all by one number.

Standard library only, so that a command line can ask without waiting for Keras. The compound rule is that of Tan & Le,
"EfficientNet: rethinking model scaling for convolutional neural networks", 2019, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

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
    step = math.gcd(channels, 8)
    exact = channels * width
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


class Constants(NamedTuple):
    """The compound rule's: how depth, width and resolution grow when phi grows by 1. None is below 1."""

    alpha: float
    beta: float
    gamma: float

    @property
    def work(self) -> float:
        """alpha * beta ** 2 * gamma ** 2: the growth of a convolution's MACs, were filters and blocks not whole."""
        return self.alpha * self.beta**2 * self.gamma**2

    def __str__(self) -> str:
        return ",".join(f"{value:g}" for value in self)


EFFICIENTNET = Constants(1.2, 1.1, 1.15)  # section 3.3, step 1; its work is 1.920
MOST_VALUES = 200  # of alpha, of beta and of gamma, in compound_grid: eight million triples
TOLERANCE = 0.1  # of the work, from 2; it admits the paper's constants


class Scaling(NamedTuple):
    """Multipliers of filters and repeats, and the side of the image in pixels."""

    width: float
    depth: float
    resolution: float


def compound(phi: float, constants: Constants = EFFICIENTNET, size: float = 224) -> Scaling:
    """Equation 3: depth alpha ** phi, width beta ** phi, resolution size * gamma ** phi; about 2 ** phi times the work.

    >>> scaling = compound(1)
    >>> round(scaling.width, 2), round(scaling.depth, 2), round(scaling.resolution)
    (1.1, 1.2, 258)
    >>> compound(2, Constants(1.5, 1, 1.25), size=32)
    Scaling(width=1, depth=2.25, resolution=50.0)
    """
    alpha, beta, gamma = constants
    return Scaling(width=beta**phi, depth=alpha**phi, resolution=size * gamma**phi)


def compound_grid(step: float = 0.05, tolerance: float = TOLERANCE) -> list[Constants]:
    """Every (alpha, beta, gamma) of 1, 1 + step, 1 + 2 step, ... whose work is 2 within `tolerance`.

    >>> EFFICIENTNET in compound_grid(), EFFICIENTNET in compound_grid(tolerance=0.05)
    (True, False)
    >>> [str(constants) for constants in compound_grid(0.25)]
    ['1.25,1,1.25', '1.25,1.25,1', '2,1,1']

    Raises:
        ValueError: the step or the tolerance is not above 0, or there are more than `MOST_VALUES` of each to try.
    """
    if not (step > 0 and tolerance > 0):
        raise ValueError(f"step and tolerance must be above 0, got {step} and {tolerance}")
    count = (1 + tolerance) / step + 1e-9  # of steps, to the largest alpha alone
    if count > MOST_VALUES:
        raise ValueError(f"steps of {step:g} up to {2 + tolerance:g} are too many to try: 0.01 and above are possible")
    values = [round(1 + i * step, 9) for i in range(int(count) + 1)]
    grid = (Constants(alpha, beta, gamma) for alpha in values for beta in values for gamma in values)
    return [constants for constants in grid if abs(constants.work - 2) <= tolerance + 1e-9]


def constants_of(text: str) -> Constants | None:
    """The constants in a text such as "1.2,1.1,1.15"; None if there are not three, from 1 to 4.

    >>> constants_of("1.2,1.1,1.15").work, constants_of("0.9,1,1"), constants_of("1.2")
    (1.92027, None, None)
    """
    try:
        constants = Constants(*map(float, text.split(",")))
    except (TypeError, ValueError):
        return None
    return constants if all(1 <= value <= 4 for value in constants) else None
