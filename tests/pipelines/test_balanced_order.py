"""The order in which classes have equal shares: its shares, its turns, and that it resumes anywhere."""

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines.balanced_order import BalancedOrder

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 3], [50, 7, 3]))  # class 2 has no example


def orders(epochs, seed=0, labels=LABELS):
    order = BalancedOrder(labels, seed)
    return [order.of_epoch(tf.constant(epoch, tf.int64)).numpy() for epoch in range(epochs)]


def test_classes_have_equal_shares():
    for rows in orders(5):
        assert np.bincount(LABELS[rows], minlength=4).tolist() == [20, 20, 0, 20]


def test_shares_differ_by_one_where_classes_do_not_divide_an_epoch():
    labels = np.repeat([0, 1, 2], [50, 7, 2])
    for rows in orders(5, labels=labels):
        assert set(np.bincount(labels[rows])) == {19, 20}


@pytest.mark.parametrize(("label", "size"), [(0, 50), (1, 7), (3, 3)])
def test_every_example_of_a_class_comes_before_any_comes_again(label, size):
    """Counts of the examples over several epochs differ by at most one where the epochs end between two rounds."""
    rows = np.concatenate(orders(5))
    counts = np.bincount(rows, minlength=len(LABELS))[label == LABELS]
    assert counts.sum() == 100
    assert counts.max() - counts.min() <= (100 % size != 0)


def test_rounds_and_epochs_have_different_orders():
    first, second = orders(2)
    assert not np.array_equal(first, second)
    small = np.concatenate([first, second])
    small = small[LABELS[small] == 3]
    assert len({tuple(small[i : i + 3]) for i in range(len(small) - 2)}) > 3


def test_seeds_have_different_orders():
    assert not np.array_equal(orders(1, seed=0)[0], orders(1, seed=1)[0])


def test_places_of_classes_are_mixed():
    rows = orders(1)[0]
    changes = np.count_nonzero(np.diff(LABELS[rows]))
    assert 25 < changes < 55  # 40 on average


@pytest.fixture(scope="module")
def imbalanced(tmp_path_factory):
    """Images of noise; class 1 has one in ten of them."""
    path = tmp_path_factory.mktemp("data") / "squares.npz"
    numbers = np.arange(120)
    images = np.random.default_rng(0).integers(0, 256, (120, 32, 32, 1)).astype("uint8")
    np.savez(path, x_train=images, y_train=(numbers % 10 == 0).astype(int), x_test=images[:20], y_test=numbers[:20] % 2)
    return str(path)


def load(path, augmentation="none"):
    return pipelines.load(path, batch_size=8, augmentation=augmentation, class_sampling="balanced")


def batches(data, *arguments):
    return list(data.train(*arguments).as_numpy_iterator())


def test_batches_of_a_data_set_are_balanced(imbalanced):
    targets = np.concatenate([targets for _, targets in batches(load(imbalanced))])
    assert abs(targets.mean(0) - 0.5).max() < 0.06


def test_batches_do_not_depend_on_where_reading_begins(imbalanced):
    data = load(imbalanced, "light")
    whole = batches(data, 2)
    for epoch, step in ((0, 5), (1, 0), (1, 3)):
        rest = batches(data, 2 - epoch, epoch, step)
        for (a, b), (x, y) in zip(rest, whole[epoch * data.steps_per_epoch + step :], strict=True):
            assert a.tobytes() == x.tobytes()
            assert b.tobytes() == y.tobytes()


def test_copies_in_an_epoch_are_augmented_differently(imbalanced):
    """More images differ than there are examples of the small class."""
    images, targets = (np.concatenate(part) for part in zip(*batches(load(imbalanced, "light")), strict=True))
    copies = images[targets[:, 1] == 1]
    assert len({image.tobytes() for image in copies}) > 0.9 * len(copies) > 12


def test_an_order_of_another_task_is_refused():
    with pytest.raises(pipelines.BadData, match="class_sampling balanced is for classification"):
        pipelines.load("digits", task="reconstruction", class_sampling="balanced")
