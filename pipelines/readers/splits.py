"""Cutting missing validation and test examples from the training examples.

`cut_by_content` serves files, which come and go: the split of one does not depend on the others. `cut_by_position`
serves arrays.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "validation", "test")
PERIOD = 10  # one example in ten goes to each split that is cut
# Where the tenth of each split begins, in the places that `_place` spreads contents over, from 0 to 1.
BEGINS = {"test": 0.0, "validation": 0.1}
LEAST = 5  # different contents from which a class has some in each split


def cut_by_position(labels: np.ndarray, missing: Sequence[str]) -> dict[str, np.ndarray]:
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


def cut_by_content(labels: Sequence[str], digests: Sequence[str], missing: Sequence[str]) -> dict[str, np.ndarray]:
    """Divide training examples among "train" and the splits in `missing`: nearly 90/10, or 80/10/10 for two.

    The content of an example decides its split, so that copies stay together and an example that is added moves no
    other. Chance would leave some small classes without an example in a split: a class of at least `LEAST` contents
    then gives the content that lies nearest, and so do all classes together. A class keeps at least one content for
    training.

    Args:
        labels: the class of each example.
        digests: of the content of each example.
        missing: some of "validation", "test".

    Returns:
        For "train" and each of `missing` the positions of its examples, ascending int64.
    """
    places: dict[str, dict[str, float]] = collections.defaultdict(dict)  # by class and content
    for label, digest in zip(labels, digests, strict=True):
        places[label][digest] = _place(digest)
    chosen = {label: _choose_splits(contents, missing) for label, contents in places.items()}
    for split in missing:
        if not any(split in splits.values() for splits in chosen.values()):
            _give_nearest(places, chosen, split)
    split_of = [chosen[label][digest] for label, digest in zip(labels, digests, strict=True)]
    return {split: np.flatnonzero(np.array(split_of, object) == split) for split in ("train", *missing)}


def _place(digest: str) -> float:
    """A place from 0 to 1 that is independent of all else about the content."""
    number = hashlib.blake2b(digest.encode(), digest_size=8, key=b"tfcnn splits").digest()
    return int.from_bytes(number, "big") / 2**64


def _choose_splits(places: dict[str, float], missing: Sequence[str]) -> dict[str, str]:
    """The split of each content of one class."""
    splits = {}
    for digest, place in places.items():
        within = [split for split in missing if BEGINS[split] <= place < BEGINS[split] + 1 / PERIOD]
        splits[digest] = within[0] if within else "train"
    if "train" not in splits.values():
        splits[max(places, key=places.__getitem__)] = "train"
    for split in missing:
        if len(places) >= LEAST and split not in splits.values() and list(splits.values()).count("train") > 1:
            splits[_nearest(places, splits, split)] = split
    return splits


def _nearest(places: dict[str, float], splits: dict[str, str], split: str) -> str:
    """The training content that lies nearest to a split."""
    training = [digest for digest in places if splits[digest] == "train"]
    return min(training, key=lambda digest: (abs(places[digest] - BEGINS[split]), digest))


def _give_nearest(places: dict[str, dict[str, float]], chosen: dict[str, dict[str, str]], split: str) -> None:
    """Give an empty split one content, of a class that keeps another for training; none if there is no such class."""
    givers = [label for label in places if list(chosen[label].values()).count("train") > 1]
    nearest = {label: _nearest(places[label], chosen[label], split) for label in givers}
    distances = [(abs(places[label][digest] - BEGINS[split]), digest, label) for label, digest in nearest.items()]
    if distances:
        _, digest, label = min(distances)
        chosen[label][digest] = split
