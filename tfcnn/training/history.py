"""What follows from the history of a run: its best epoch, early stopping, plateaus. Standard library only.

All are functions of the rows of history.csv, so that there is no other state to keep or to lose.
"""

from __future__ import annotations

import math


def best_epoch(rows: list[dict[str, float]]) -> int | None:
    """Index of the row with the lowest finite val_loss, the first among equals; None if there is none.

    Loss and not accuracy: on a validation split of a few hundred images accuracy moves in steps of half a percent, and
    an early epoch that is lucky by one image would be kept for a worse model (seen on `digits`: 97.2 % in the place
    of 98.9 % on the test split).
    """
    finite = [i for i, row in enumerate(rows) if math.isfinite(row["val_loss"])]
    return min(finite, key=lambda i: rows[i]["val_loss"], default=None)


def out_of_patience(rows: list[dict[str, float]], patience: int) -> bool:
    """Whether the last `patience` epochs brought none better than those before. Never, if `patience` is 0."""
    best = best_epoch(rows)
    return patience > 0 and len(rows) - 1 - (-1 if best is None else best) >= patience


def plateaus(rows: list[dict[str, float]], patience: int) -> int:
    """How often `patience` epochs in a row brought no val_loss below all before them, counted anew after each time."""
    lowest, waited, count = math.inf, 0, 0
    for row in rows:
        if row["val_loss"] < lowest:
            lowest, waited = row["val_loss"], 0
        else:
            waited += 1
            if waited == patience:
                waited, count = 0, count + 1
    return count
