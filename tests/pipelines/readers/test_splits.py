import numpy as np
import pytest

from pipelines.readers.splits import cut


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
    parts = cut(labels, lacking)
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
    parts = cut(np.arange(20) % 2, ("validation", "test"))
    assert sorted(in_row[9::10]) == parts["validation"].tolist() == [12, 15]
    assert sorted(in_row[4::10]) == parts["test"].tolist() == [4, 5]


def test_neighbours_are_not_taken_at_one_distance():
    """Ten views of each object, in order: every tenth would always be the same view."""
    taken = cut(np.zeros(1000, int), ("test",))["test"]
    assert len(set(taken % 10)) == 10


@pytest.mark.parametrize("counts", [(1, 19), (2,) * 15, (1,) * 9 + (30,), (3, 1, 2) * 10])
def test_each_class_keeps_a_training_example(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    parts = cut(labels, ("validation", "test"))
    assert (np.bincount(labels[parts["train"]], minlength=len(counts)) >= 1).all()
    assert len(parts["validation"]) > 0
    assert len(parts["test"]) > 0


def test_too_few_examples_give_nothing():
    parts = cut(np.array([0, 0, 1, 1]), ("validation", "test"))
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 4, "validation": 0, "test": 0}
