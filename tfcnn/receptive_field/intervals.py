"""What the positions of a map see along one axis, as intervals that repeat."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from tfcnn.receptive_field.reads import Reads

Interval = tuple[float, float]  # first and last pixel


class Intervals(NamedTuple):
    """What the positions of a map see along one axis: an interval or None for each, for one period of positions."""

    shift: int  # pixels from one period to the next
    period: tuple[Interval | None, ...]

    def at(self, position: int) -> Interval | None:
        """What one position sees."""
        turns, place = divmod(position, len(self.period))
        interval = self.period[place]
        return interval and (interval[0] + turns * self.shift, interval[1] + turns * self.shift)


PIXEL = Intervals(1, ((0, 0),))
EVERYTHING = Intervals(0, ((-math.inf, math.inf),))
NOTHING = Intervals(0, (None,))


def compose(intervals: Intervals, reads: Reads) -> Intervals:
    """What positions see that read positions which see `intervals`."""
    if intervals in (EVERYTHING, NOTHING):
        return intervals
    period = len(intervals.period)
    turns = period // math.gcd(period, reads.shift)  # periods of the layer until the input's comes round
    taps = reads.taps
    if None not in intervals.period:  # what lies between two taps is seen as well
        taps = tuple(each and (min(each), max(each)) for each in taps)
    hulls = [hull(intervals.at(turn * reads.shift + tap) for tap in each) for turn in range(turns) for each in taps]
    return reduce_period(Intervals(reads.shift * turns // period * intervals.shift, tuple(hulls)))


def hull(intervals: Iterable[Interval | None]) -> Interval | None:
    """The smallest interval around all; None where there is none."""
    seen = [interval for interval in intervals if interval]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None


def join(maps: Iterable[Intervals]) -> Intervals | None:
    """What positions see that read the same position of several maps; None where these have different strides."""
    seen = {intervals for intervals in maps if intervals != NOTHING}
    if len(seen) < 2:
        return seen.pop() if seen else NOTHING
    if EVERYTHING in seen:
        return EVERYTHING
    if len({Fraction(intervals.shift, len(intervals.period)) for intervals in seen}) > 1:
        return None
    period = math.lcm(*(len(intervals.period) for intervals in seen))
    hulls = tuple(hull(intervals.at(place) for intervals in seen) for place in range(period))
    one = seen.pop()
    return reduce_period(Intervals(one.shift * period // len(one.period), hulls))


def reduce_period(intervals: Intervals) -> Intervals:
    """The same with the shortest period."""
    period = len(intervals.period)
    for length in range(1, period):
        if period % length == 0 and intervals.shift * length % period == 0:
            shorter = Intervals(intervals.shift * length // period, intervals.period[:length])
            if all(shorter.at(place) == interval for place, interval in enumerate(intervals.period)):
                return shorter
    return intervals
