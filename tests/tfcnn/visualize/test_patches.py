"""A patch is what its position sees: cut out and given to the network, it gives the same value."""

import numpy as np
import pytest
from keras import layers

from tests.tfcnn.visualize.small_networks import images, network
from tfcnn.visualize.patches import cut, strongest_patches
from tfcnn.visualize.points import activations


@pytest.fixture(scope="module")
def model():
    return network(
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(3, 3, 2, activation="relu", name="maps"),
        shape=(None, None, 2),
    )


def test_a_patch_alone_gives_the_value_of_its_position(model):
    pictures = images(5, (24, 20, 2))
    (maps,) = activations(model, pictures, ["maps"])
    rows = strongest_patches(model, pictures, "maps", range(3), 3)
    assert sum(map(len, rows)) >= 4
    for channel, row in enumerate(rows):
        for patch in row:
            alone = model(cut(pictures[patch.image], patch.box)[None]).numpy()
            assert alone.shape == (1, 1, 1, 3)
            assert alone[0, 0, 0, channel] == pytest.approx(patch.value, rel=1e-5)
            assert patch.value == maps[patch.image, ..., channel].max()


def test_the_strongest_come_first_one_an_image(model):
    pictures = images(6, (24, 20, 2))
    (row,) = strongest_patches(model, pictures, "maps", [1], 4)
    values = activations(model, pictures, ["maps"])[0][..., 1].max((1, 2))
    assert [patch.image for patch in row] == np.argsort(-values)[:4].tolist()


def test_a_map_that_nothing_excites_has_no_patches(model):
    silent = np.full((2, 24, 20, 2), -1000.0, "float32")
    rows = strongest_patches(model, np.concatenate([silent]), "maps", range(3))
    assert all(patch.value > 0 for row in rows for patch in row)


def test_beyond_the_image_is_fill():
    image = np.arange(12.0).reshape(3, 4, 1)
    assert cut(image, (-1, 2, 2, 6), fill=-1)[..., 0].tolist() == [[-1, -1, -1, -1], [2, 3, -1, -1], [6, 7, -1, -1]]


def test_a_layer_without_positions_is_refused():
    flat = network(layers.Flatten(name="flat"), layers.Dense(2))
    with pytest.raises(ValueError, match="flat has no positions"):
        strongest_patches(flat, images(), "flat", [0])
