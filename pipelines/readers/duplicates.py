"""Counting examples of the same content: in two splits they make an accuracy better than it is."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any


def count_duplicates(splits: dict[str, Sequence[tuple[str | bytes, Any]]]) -> dict[str, int]:
    """Count the examples that occur more than once where they should not.

    Args:
        splits: by split, the digest and the target of each example.

    Returns:
        "test in train", "validation in train" and "test in validation": the examples of the first whose content is
        also in the second; "two targets": the contents that occur with more than one class or mask. No zeros.
    """
    contents = {split: {digest for digest, _ in examples} for split, examples in splits.items()}
    counts = {}
    for split, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        counts[f"{split} in {other}"] = sum(digest in contents[other] for digest, _ in splits[split])
    targets = collections.defaultdict(set)
    for examples in splits.values():
        for digest, target in examples:
            targets[digest].add(target)
    counts["two targets"] = sum(len(different) > 1 for different in targets.values())
    return {what: count for what, count in counts.items() if count}
