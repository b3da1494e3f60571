import numpy as np
import tensorflow as tf

from pipelines import decoding


def test_jpegs_are_decoded_small_where_that_is_enough():
    file = tf.io.encode_jpeg(np.random.default_rng(0).integers(0, 256, (601, 799, 3), np.uint8))
    for side, area, ratio, shape in ((224, 1.0, 1, (301, 400)), (48, 0.25, 2, (151, 200)), (300, 0.25, 0, (601, 799))):
        index, reduced = decoding.choose_ratio(tf.constant([601, 799]), (side, side), area)
        assert (int(index), tuple(reduced.numpy())) == (ratio, shape)
        whole = decoding.decode_reduced(file, index, 3)
        assert whole.shape == (*shape, 3)
        assert min(shape) * area**0.5 >= side or ratio == 0
        part = decoding.decode_crop(file, index, tf.constant([11, 13, 50, 60]), 3)
        np.testing.assert_array_equal(part, whole[11:61, 13:73])


def test_resizing_a_crop_is_smooth():
    """A crop that shrinks to less than half has every pixel in its result: a fine checkerboard becomes grey."""
    board = (np.indices((300, 300)).sum(0) % 2 * 255).astype("uint8")[..., None]
    assert decoding.resize_crop(board, (100, 100)).numpy()[5:-5, 5:-5].std() < 10
