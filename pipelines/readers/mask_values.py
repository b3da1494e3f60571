"""Which class each value of a data set's masks stands for.

A value is its class where the values are 0 ... k without a gap; 255 is ignored. Where all masks hold 0 and 255 alone,
as most binary ones do, 255 is class 1. All else, grey edges above all, is refused unless the values are listed or the
classes are named.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.errors import BadData
from pipelines.targets import IGNORE_LABEL

MOST_UNNAMED = 64  # classes without names: more values are grey levels
SHOWN = 6  # values in a message
BINARY = "masks of 0 and 255: 255 is class 1, nothing is ignored"


class Numbering(NamedTuple):
    """The class of each value."""

    classes: int  # their number
    table: tuple[int, ...] | None  # the class of each of the 256 values; None: the value is the class
    note: str = ""  # what the user should know


class MaskValues:
    """The values found in masks.

    Args:
        values_of_masks: for each mask the values in it.
    """

    def __init__(self, values_of_masks: Iterable[Iterable[int]]) -> None:
        self.counts: collections.Counter[int] = collections.Counter()
        self.masks = 0
        for values in values_of_masks:
            self.counts.update(values)
            self.masks += 1

    def __str__(self) -> str:
        """How many masks hold which value: "0 in 24 masks, 255 in 24"."""
        most = sorted(value for value, _ in self.counts.most_common(SHOWN))
        shown = ", ".join(f"{value} in {self.counts[value]:,}" for value in most)
        more = f" and {len(self.counts) - len(most)} more values" if len(self.counts) > len(most) else ""
        return f"{shown} of {self.masks:,} masks{more}"


def number_values(
    values: MaskValues, where: str, *, listed: Sequence[int] | None = None, names: int | None = None
) -> Numbering:
    """Number the classes of masks.

    Args:
        values: of all masks.
        where: the data set, for messages.
        listed: the value of each class, in order; others but 255 are refused.
        names: number of the classes' names, if they have any.

    Raises:
        BadData: values that are not listed, or that are no class numbers.
    """
    distinct = set(values.counts)
    ignored = ""
    if IGNORE_LABEL in distinct:
        ignored = f"masks, of which {values.counts[IGNORE_LABEL]:,} have pixels of {IGNORE_LABEL}, which are ignored"
    if listed is not None:
        unknown = distinct - set(listed) - {IGNORE_LABEL}
        if unknown:
            raise BadData(
                f"the masks of {where} hold {values}, but --mask-values lists {', '.join(map(str, listed))}: list all "
                f"values, or write masks without grey edges (--mask-values)"
            )
        return Numbering(len(listed), number_listed(listed), "" if IGNORE_LABEL in listed else ignored)
    if distinct == {0, IGNORE_LABEL} and names in (None, 2):
        return Numbering(2, number_listed((0, IGNORE_LABEL)), BINARY)
    if names is not None:
        return Numbering(names, None, ignored)
    count = max(distinct - {IGNORE_LABEL}, default=0) + 1
    if len(distinct - {IGNORE_LABEL}) == count <= MOST_UNNAMED or not distinct - {IGNORE_LABEL}:
        return Numbering(count, None, ignored)
    many = len(distinct) > MOST_UNNAMED
    kind = f"more than {MOST_UNNAMED} values, as grey edges give" if many else "values with gaps"
    raise BadData(
        f"the masks of {where} hold {kind}: {values}; classes are 0 ... k, with {IGNORE_LABEL} to ignore: list the "
        f"value of each class (--mask-values 0,255), or name all classes in classes.txt (--dataset)"
    )


def number_listed(listed: Sequence[int], first: int = 0) -> tuple[int, ...]:
    """The class of each of the 256 values: its place in `listed`, counted from `first`; IGNORE_LABEL for the others."""
    table = np.full(256, IGNORE_LABEL)
    table[list(listed)] = np.arange(first, first + len(listed))
    return tuple(table.tolist())


def apply_table(masks: np.ndarray, table: Sequence[int] | None) -> np.ndarray:
    """Masks of values 0 ... 255 as class numbers, uint8."""
    return masks.astype(np.uint8) if table is None else np.asarray(table, np.uint8)[masks.astype(np.uint8)]
