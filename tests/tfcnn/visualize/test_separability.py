"""Classes that a layer makes linearly separable."""

import numpy as np
import pytest
from keras import layers

from tests.tfcnn.visualize.small_networks import network
from tfcnn.visualize.separability import flatten, probe


def test_a_layer_separates_what_the_image_does_not():
    """Exclusive or: no line divides it, but the products' rectifiers do."""
    parts = [layers.Conv2D(2, 1, name="raw"), layers.Conv2D(2, 1, activation="relu", name="apart")]
    model = network(*parts, shape=(1, 1, 2))
    identity = np.eye(2).reshape(1, 1, 2, 2)
    difference = np.array([[1.0, -1], [-1, 1]]).reshape(1, 1, 2, 2)
    model.set_weights([identity, np.zeros(2), difference, np.zeros(2)])
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 2, (400, 2))
    images = (2 * corners - 1 + rng.normal(0, 0.1, (400, 2))).reshape(400, 1, 1, 2)
    labels = corners[:, 0] ^ corners[:, 1]
    raw, apart = probe(model, ["raw", "apart"], images[:200], labels[:200], images[200:], labels[200:])
    assert raw.linear < 0.7
    assert apart.linear == 1
    assert raw.nearest == apart.nearest == 1


def test_maps_are_averaged_over_cells():
    maps = np.random.default_rng(0).normal(size=(2, 8, 12, 3))
    expected = maps.reshape(2, 4, 2, 4, 3, 3).mean((2, 4)).reshape(2, -1)
    assert flatten(maps) == pytest.approx(expected)
    assert flatten(maps[:, :3, :2]).shape == (2, 3 * 2 * 3)
