"""Panels of what is no image."""

import numpy as np

from tfcnn.visualize.sheet import as_picture


def test_a_tone_is_a_line_at_its_frequency():
    """Of 128 frequencies from 0 Hz, below, to half the sample rate: a quarter of that is row 32 from below."""
    tone = np.sin(2 * np.pi * np.arange(8000) / 8)
    picture = as_picture(tone[:, None])
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert (picture.argmax(0) == len(picture) - 1 - 32).all()


def test_a_volume_is_its_slice_of_most_contrast():
    volume = np.zeros((6, 8, 8, 1))
    volume[4, 2:6, 2:6] = 1
    np.testing.assert_array_equal(as_picture(volume), volume[4, ..., 0])
