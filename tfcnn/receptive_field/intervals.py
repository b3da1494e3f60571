"""What the positions of a map see along one axis, as intervals that repeat."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from tfcnn.receptive_field.rules import Reads, reads_of


class Axis(NamedTuple):
    """What the positions of a map see along one axis: (first, last) pixel or None, for one period of positions."""

    shift: int  # pixels from one period to the next
    cells: tuple[tuple[float, float] | None, ...]

    def cell(self, position: int) -> tuple[float, float] | None:
        turns, place = divmod(position, len(self.cells))
        first_last = self.cells[place]
        return first_last and (first_last[0] + turns * self.shift, first_last[1] + turns * self.shift)


PIXEL, EVERYTHING, NOTHING = Axis(1, ((0, 0),)), Axis(0, ((-math.inf, math.inf),)), Axis(0, (None,))


def through(axis: Axis, row) -> Axis:
    """What positions see that read positions of `axis` by a row of windows, or are an axis as it is."""
    if isinstance(row, Axis) or axis in (EVERYTHING, NOTHING):
        return row if isinstance(row, Axis) else axis
    reads, period = row if isinstance(row, Reads) else reads_of(row), len(axis.cells)
    turns = period // math.gcd(period, reads.shift)  # periods of the layer until the input's comes round
    taps = reads.taps if None in axis.cells else [t and (min(t), max(t)) for t in reads.taps]  # what is between is seen
    cells = [hull(axis.cell(turn * reads.shift + tap) for tap in each) for turn in range(turns) for each in taps]
    return shortest(Axis(reads.shift * turns // period * axis.shift, tuple(cells)))


def hull(cells: Iterable) -> tuple[float, float] | None:
    seen = [cell for cell in cells if cell]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None


def joined(axes: Iterable[Axis]) -> Axis | None:
    """What positions see that read the same position of several maps; None where these have different strides."""
    seen = {axis for axis in axes if axis != NOTHING}
    if len(seen) < 2:
        return seen.pop() if seen else NOTHING
    if EVERYTHING in seen:
        return EVERYTHING
    if len({Fraction(axis.shift, len(axis.cells)) for axis in seen}) > 1:
        return None
    period = math.lcm(*(len(axis.cells) for axis in seen))
    cells = tuple(hull(axis.cell(place) for axis in seen) for place in range(period))
    one = seen.pop()
    return shortest(Axis(one.shift * period // len(one.cells), cells))


def shortest(axis: Axis) -> Axis:
    """The same with the shortest period."""
    period = len(axis.cells)
    for length in range(1, period):
        if period % length == 0 and axis.shift * length % period == 0:
            shorter = Axis(axis.shift * length // period, axis.cells[:length])
            if all(shorter.cell(place) == cell for place, cell in enumerate(axis.cells)):
                return shorter
    return axis
