"""Cutting missing validation and test examples from the training examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "validation", "test")
PERIOD = 10  # one example in ten goes to each split that is cut


def cut(labels: np.ndarray, missing: Sequence[str]) -> dict[str, np.ndarray]:
    """Divide training examples among "train" and the splits in `missing`: 90/10, or 80/10/10 for two.

    The rule depends on the order and the labels alone: a fixed seed shuffles the examples of each class, the classes
    are laid end to end, and every tenth example is taken. So each class gives its share, to within one example, and
    keeps at least one for training; a class of one example gives none.

    Args:
        labels: integers (n,), the class of each example, in an order that is always the same.
        missing: some of "validation", "test".

    Returns:
        For "train" and each of `missing` the positions of its examples, ascending int64.
    """
    random = np.random.RandomState(0)  # unlike default_rng, NumPy promises that its numbers stay
    rows = random.permutation(len(labels))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    counts = np.unique_counts(labels)
    single = counts.values[counts.counts == 1]
    givers = rows[~np.isin(labels[rows], single)]
    parts = {split: np.sort(givers[first::PERIOD]) for split, first in zip(missing, (9, 4), strict=False)}
    cut_off = np.concatenate([*parts.values(), np.empty(0, np.int64)])
    return {"train": np.setdiff1d(np.arange(len(labels)), cut_off)} | parts
