import numpy as np
import pytest

from pipelines.readers.splits import cut_by_content, cut_by_position


@pytest.mark.parametrize(
    ("lacking", "shares"),
    [
        ((), {"train": 1.0}),
        (("validation",), {"train": 0.9, "validation": 0.1}),
        (("test",), {"train": 0.9, "test": 0.1}),
        (("validation", "test"), {"train": 0.8, "validation": 0.1, "test": 0.1}),
    ],
)
def test_every_example_is_in_one_split_and_each_class_gives_its_share(lacking, shares):
    labels = np.random.RandomState(0).choice(5, 1000, p=[0.5, 0.3, 0.1, 0.07, 0.03])
    parts = cut_by_position(labels, lacking)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(1000))
    assert set(parts) == set(shares)
    for split, share in shares.items():
        assert len(parts[split]) == share * 1000
        assert (np.diff(parts[split]) > 0).all()
        assert np.abs(np.bincount(labels[parts[split]], minlength=5) - share * np.bincount(labels)).max() <= 1.2


def test_the_cut_is_always_the_same():
    """Shuffled by RandomState(0), the even before the odd: 18 8 10 ... 12 | 1 19 17 ... 15; places 5, 15 and 10, 20."""
    shuffled = np.random.RandomState(0).permutation(20).tolist()
    in_row = [number for number in shuffled if number % 2 == 0] + [number for number in shuffled if number % 2 == 1]
    parts = cut_by_position(np.arange(20) % 2, ("validation", "test"))
    assert sorted(in_row[9::10]) == parts["validation"].tolist() == [12, 15]
    assert sorted(in_row[4::10]) == parts["test"].tolist() == [4, 5]


def test_neighbours_are_not_taken_at_one_distance():
    """Ten views of each object, in order: every tenth would always be the same view."""
    rows = cut_by_position(np.zeros(1000, int), ("test",))["test"]
    assert len(set(rows % 10)) == 10


@pytest.mark.parametrize("counts", [(1, 19), (2,) * 15, (1,) * 9 + (30,), (3, 1, 2) * 10])
def test_each_class_keeps_a_training_example(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    parts = cut_by_position(labels, ("validation", "test"))
    assert (np.bincount(labels[parts["train"]], minlength=len(counts)) >= 1).all()
    assert len(parts["validation"]) > 0
    assert len(parts["test"]) > 0


def test_too_few_examples_give_nothing():
    parts = cut_by_position(np.array([0, 0, 1, 1]), ("validation", "test"))
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 4, "validation": 0, "test": 0}


# By content

BOTH = ("validation", "test")


def splits_of(labels, digests, missing=BOTH):
    """The split of each digest of each class."""
    parts = cut_by_content(labels, digests, missing)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    return {(labels[row], digests[row]): split for split, rows in parts.items() for row in rows}


def digests(count, first=0):
    return [f"{number:032x}" for number in range(first, first + count)]


@pytest.mark.parametrize("missing", [(), ("validation",), ("test",), BOTH])
def test_contents_are_spread_in_shares(missing):
    parts = cut_by_content(["a"] * 10_000, digests(10_000), missing)
    assert set(parts) == {"train", *missing}
    for split in missing:
        assert abs(len(parts[split]) - 1000) < 4 * 30  # four deviations of a binomial


def test_contents_that_are_added_move_no_other():
    labels = [*"ab" * 100]
    before = splits_of(labels, digests(200))
    after = splits_of(labels + ["a"] * 50, digests(250))
    assert {key: after[key] for key in before} == before


def test_a_split_that_is_there_does_not_move_the_other():
    labels = ["a"] * 200
    both = splits_of(labels, digests(200))
    alone = splits_of(labels, digests(200), ("validation",))
    assert {key for key in both if both[key] == "validation"} == {key for key in alone if alone[key] == "validation"}


def test_copies_stay_together():
    parts = cut_by_content(["a"] * 60, digests(20) * 3, BOTH)
    assert all(set(rows % 20) == set(rows[rows < 20]) for rows in parts.values())


@pytest.mark.parametrize("seed", range(30))
def test_a_class_of_a_few_contents_is_in_each_split(seed):
    splits = splits_of(["a"] * 5 + ["b"] * 7, digests(12, 100 * seed))
    for label in "ab":
        assert {split for (of, _), split in splits.items() if of == label} == {"train", *BOTH}


@pytest.mark.parametrize("seed", range(10))
def test_every_class_keeps_a_content_for_training(seed):
    splits = splits_of([*"abcdefgh" * 2], digests(16, 100 * seed))
    assert {label for (label, _), split in splits.items() if split == "train"} == set("abcdefgh")
    assert {split for split in splits.values()} == {"train", *BOTH}


def test_one_content_of_each_class_gives_nothing():
    parts = cut_by_content([*"abcd"], digests(4), BOTH)
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 4, "validation": 0, "test": 0}
