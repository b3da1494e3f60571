"""The places of nonzero weights as the number of zeros before each.

Han, Mao & Dally 2015, "Deep Compression" (arXiv:1510.00149), section 2 and figure 2: a number of few bits holds the
distance to the weight before; where the distance is larger, a zero is stored as a filler. With no bits every place is
stored, which is the dense form.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Gaps(NamedTuple):
    """Stored weights, fillers among them.

    Attributes:
        zeros: int64 (entries,), the zeros before each that are not stored, below 2 ** bits.
        is_weight: bool (entries,), false for a filler.
    """

    zeros: np.ndarray
    is_weight: np.ndarray


def gaps_of(places: np.ndarray, bits: int) -> Gaps:
    """The gaps before ascending places, int (weights,), as numbers of `bits` bits.

    >>> gaps_of(np.array([1, 4, 15]), bits=3)  # the last comes after 10 zeros: a filler takes 8 places
    Gaps(zeros=array([1, 2, 7, 2]), is_weight=array([ True,  True, False,  True]))
    """
    span = 2**bits  # places up to a filler, the filler's included
    skipped = np.diff(places, prepend=-1) - 1
    last = np.cumsum(skipped // span + 1) - 1  # the entry of each weight, after its fillers
    entries = int(last[-1]) + 1 if len(last) else 0
    zeros = np.full(entries, span - 1)
    zeros[last] = skipped % span
    is_weight = np.zeros(entries, bool)
    is_weight[last] = True
    return Gaps(zeros, is_weight)


def places_of(zeros: np.ndarray) -> np.ndarray:
    """The place of each stored weight, fillers included: int64 (entries,).

    >>> places_of(np.array([1, 2, 7, 2]))
    array([ 1,  4, 12, 15])
    """
    return np.cumsum(zeros + 1) - 1
