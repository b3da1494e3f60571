"""Maps before and after batch norm, against means and deviations in NumPy."""

import numpy as np
import pytest
from keras import layers

from tests.tfcnn.visualize.small_networks import classifier, images, network
from tfcnn.errors import BadInput
from tfcnn.visualize import batch_norm, looks
from tfcnn.visualize.points import activations
from tfcnn.visualize.subject import Subject


def model_with_norm():
    """A convolution of 4 maps and a batch norm that keeps the statistics of `images(5)`, by NumPy."""
    norm = layers.BatchNormalization(epsilon=1e-6, name="norm")
    model = network(layers.Conv2D(4, 3, name="maps"), norm, layers.ReLU())
    (maps,) = activations(model, images(5), ["maps"])
    scale = np.array([0.5, -1, 2, 3])
    offset = np.array([1, 0, -2, 0.3])
    norm.set_weights([scale, offset, maps.mean((0, 1, 2)), maps.var((0, 1, 2))])
    return model, maps, scale, offset


def test_each_map_has_mean_0_and_deviation_1_over_places_and_images():
    model, maps, scale, offset = model_with_norm()
    before, normalised, after = batch_norm.normalise(model, images(5), "norm")
    np.testing.assert_array_equal(before, maps)
    np.testing.assert_allclose(normalised.mean((0, 1, 2)), np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(normalised.std((0, 1, 2)), np.ones(4), rtol=1e-4)
    np.testing.assert_allclose(after, scale * normalised + offset, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(after, activations(model, images(5), ["norm"])[0])


def test_the_picture_shows_maps_that_vary_from_little_to_much(tmp_path, saved_figures):
    model, *_ = model_with_norm()
    kernel, bias = model.get_layer("maps").get_weights()
    model.get_layer("maps").set_weights([kernel * [4, 0, 1, 2], bias])
    subject = Subject("network", model, None, None, ())
    looks.draw_batch_norm(subject, looks.View(images(1), ["image"]), tmp_path / "norm.png")
    titles = [axes.get_title() for axes in saved_figures[0].axes]
    assert [title.split("\n")[0] for title in titles] == ["map 2", "map 3", "map 0"] * 3
    before, *_ = batch_norm.normalise(model, images(1), "norm")
    assert titles[0].split("\n")[1] == f"{before[..., 2].mean():.2g} ± {before[..., 2].std():.2g}"


@pytest.mark.parametrize(
    ("model", "layer", "message"),
    [
        (classifier, [], "network has no batch norm of maps: leave out batch_norm"),
        (lambda: model_with_norm()[0], ["maps"], "unknown batch norm 'maps'; choose from norm"),
    ],
)
def test_what_is_no_batch_norm_is_named(model, layer, message):
    subject = Subject("network", model(), None, None, ())
    with pytest.raises(BadInput, match=message):
        looks.check(subject, looks.View(images(1), ["image"], layer), ["batch_norm"])
