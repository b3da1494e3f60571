"""What convolutions and pooling make of an image that is shifted, turned or scaled."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.tfcnn.visualize.small_networks import classifier, images, network
from tfcnn.layers import BlurPooling2D
from tfcnn.visualize import invariance


def test_a_convolution_is_equivariant_to_shifts():
    """The map of the shifted image is the shifted map, at the precision of the machine."""
    model = keras.Sequential([keras.Input((16, 16, 2)), layers.Conv2D(3, 5, dtype="float64")])
    image = np.random.default_rng(0).normal(size=(1, 16, 16, 2))
    maps = model(image).numpy()
    shifted = model(np.roll(image, (2, 3), (1, 2))).numpy()
    np.testing.assert_allclose(shifted[:, 2:, 3:], maps[:, :-2, :-3], rtol=0, atol=1e-13)


def test_blurred_pooling_changes_less_with_a_shift_by_a_pixel():
    """Zhang 2019: the strided maximum against the maximum with stride 1, blurred."""
    noise = images(4, (33, 33, 2))
    mean = layers.GlobalAveragePooling2D
    strided = network(layers.MaxPooling2D(2, 2), mean(name="mean"), shape=(33, 33, 2))
    blurred = network(layers.MaxPooling2D(2, 1), BlurPooling2D(), mean(name="mean"), shape=(33, 33, 2))

    def roll(image, amount):
        return np.roll(image, amount, 1)

    changes = [invariance.distances(model, noise, ["mean"], roll, [1])[0, 0] for model in (strided, blurred)]
    assert changes[1] < 0.5 * changes[0]


@pytest.mark.parametrize(("name", "none"), [("shift", 0), ("turn", 0), ("scale", 1)])
def test_no_change_is_distance_0_and_more_change_is_further(name, none):
    model = classifier()
    smooth = np.cumsum(np.cumsum(images(3), 1), 2)
    amounts = [none, none + 0.3, none + 3]
    rows = invariance.distances(model, smooth, ["first", "second"], invariance.CHANGES[name], amounts)
    assert rows.shape == (2, 3)
    assert rows[:, 0] == pytest.approx([0, 0], abs=1e-5)
    assert (rows[:, 2] > rows[:, 1]).all()
    assert (rows[:, 1] > 0).all()


def test_scale_enlarges_about_the_centre():
    image = np.zeros((9, 9, 1))
    image[4, 6] = 1
    assert np.unravel_index(invariance.scale(image, 2).argmax(), (9, 9)) == (4, 8)
