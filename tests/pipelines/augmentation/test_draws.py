import numpy as np
import scipy.stats
import tensorflow as tf

from pipelines.augmentation import draws


def test_the_columns_do_not_overlap():
    others = ("TRIES", "MOST_OPERATIONS", "STRETCH", "ANGLE_X", "ANGLE_Y")  # volumes turn where images are cropped
    names = [value for name, value in vars(draws).items() if name.isupper() and name not in others]
    columns = []
    for value in names:
        if isinstance(value, slice):
            columns += range(value.start, value.stop)
        else:
            columns += value if isinstance(value, range) else [value]
    assert sorted(columns) == list(range(draws.DRAWS + 1))  # and DRAWS itself


def test_uniform_and_independent():
    table = draws.draw_epoch(3, 5, 2000).numpy()
    single = np.stack([draws.draw_example(3, 5, example) for example in range(300)])
    for numbers in (table, single):
        assert scipy.stats.kstest(numbers.ravel(), "uniform").statistic < 0.01
        assert ((numbers >= 0) & (numbers < 1)).all()
    correlation = np.corrcoef(table.T) - np.eye(draws.DRAWS)
    assert np.abs(correlation).max() < 0.12
    assert len({row.tobytes() for row in single}) == 300
    assert len(np.unique(single)) > 0.995 * single.size  # no example's numbers are a part of its neighbour's


def test_a_function_of_seed_epoch_and_example():
    traced = tf.function(draws.draw_example)
    tf.random.set_seed(1)  # the seed of the process is none of it
    first = draws.draw_example(1, 2, 3).numpy()
    tf.random.set_seed(2)
    numbers = (tf.constant(number, tf.int64) for number in (1, 2, 3))
    np.testing.assert_array_equal(traced(*numbers), first)
    for other in ((0, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3), (1, 3, 2)):
        assert (draws.draw_example(*other).numpy() != first).all()
    table = draws.draw_epoch(1, 2, 6).numpy()
    np.testing.assert_array_equal(draws.draw_epoch(tf.constant(1), tf.constant(2, tf.int64), 6), table)
    for other in ((0, 2), (1, 1), (2, 1)):
        assert (draws.draw_epoch(*other, 6).numpy() != table).any(axis=1).all()


def test_a_batch_key_is_no_examples():
    keys = {tuple(draws.batch_key(seed, epoch, n).numpy()) for seed in (0, 1) for epoch in (0, 1) for n in range(9)}
    assert len(keys) == 36
    numbers = tf.constant(range(9), tf.int64)
    examples = {
        tuple(tf.random.experimental.stateless_fold_in(tf.constant([0, 1], tf.int64), n).numpy()) for n in numbers
    }
    assert not keys & examples
