"""The context module is the identity at the start; receptive fields of both networks."""

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.errors import BadInput


@pytest.mark.parametrize(("size", "tolerance"), [("basic", 1e-6), ("large", 0.15)])
def test_the_module_starts_as_the_identity(size, tolerance):
    """Section 3; the large one up to its noise, against maps of deviation 1."""
    keras.utils.set_random_seed(0)
    model = tfcnn.build("context_module", (40, 33, 5), 5, size=size)
    maps = np.random.default_rng(0).exponential(size=(2, 40, 33, 5)).astype("float32")
    actual = model.predict_on_batch(maps)
    np.testing.assert_allclose(actual, maps, atol=tolerance)


def test_the_module_behind_the_front_end_leaves_its_scores_at_the_start():
    settings = {"width": 0.02, "depth": 0.3, "context_size": "basic"}
    model = tfcnn.build("dilated_vgg16", (64, 64, 3), 4, **settings)
    image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
    scores = keras.Model(model.input, model.get_layer("score").output).predict_on_batch(image)
    np.testing.assert_allclose(model.predict_on_batch(image), np.maximum(scores, 0), atol=1e-6)  # truncation
    assert (scores > 0).any()


def rows_reached(model, layer, pixel, shape):
    """Rows of a layer's map that a bright pixel on black reaches, all weights being positive."""
    for each in model.layers:
        each.set_weights([abs(w) + 0.01 if w.ndim > 1 else 0 * w for w in each.get_weights()])
    image = np.zeros((1, *shape), "float32")
    image[0, pixel, shape[1] // 2] = 1
    maps = keras.Model(model.input, model.get_layer(layer).output).predict_on_batch(image)
    return np.flatnonzero((maps[0] > 0).any(axis=(1, 2)))


def test_receptive_fields_of_table_1():
    model = tfcnn.build("context_module", (141, 9, 1), 1)
    rows = [rows_reached(model, f"layer{n}", 70, (141, 9, 1)) for n in range(1, 9)]
    assert [len(r) for r in rows] == [3, 5, 9, 17, 33, 65, 67, 67]
    assert all(r[0] + r[-1] == 140 for r in rows)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["same", "paper"])
@pytest.mark.parametrize("pixel", [10, 245])
def test_the_front_end_sees_380_pixels_around_each_cell_of_eight(form, pixel):
    """VGG's convolutions of 3x3 have strides 1, 2, 4, 8, and 16 made of dilation, fc6 24 cells of 8:
    2 2 + 1 + 2 2 2 + 2 + 3 2 4 + 4 + 3 2 8 + 3 2 16 + 6 32 + 1 = 380."""
    model = tfcnn.build("dilated_vgg16", (256, 256, 1), 2, width=0.001, form=form)
    rows = rows_reached(model, "logits", pixel, (256, 256, 1))
    cells = 8 * np.arange(32) + 3.5  # the middle of each cell
    np.testing.assert_array_equal(rows, np.flatnonzero(abs(cells - pixel) <= 379 / 2))
    assert model.output_shape == (None, 32, 32, 2)


def test_sizes_of_the_front_end():
    with cost.weightless():
        model = tfcnn.build("dilated_vgg16", form="paper")
    sides = [model.get_layer(f"stage{n}").output.shape[1] for n in range(1, 6)]
    # The authors' file for an image of 884 pixels with its border: no padding anywhere.
    assert sides == [880, 436, 212, 100, 88]
    assert model.get_layer("fc6").output.shape[1] == 64
    assert model.output_shape == (None, 64, 64, 21)


def test_depth_adds_a_doubling_of_the_dilation():
    with cost.weightless():
        model = tfcnn.build("context_module", depth=1.2)
        deep = tfcnn.build("dilated_vgg16", (640, 640, 3), depth=1.2, form="paper")
    dilations = [layer.dilation_rate[0] for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert dilations == [1, 1, 2, 4, 8, 16, 32, 1, 1]
    assert deep.output_shape == (None, 80, 80, 21)  # the border grows with the layers


@pytest.mark.parametrize(
    ("arch", "arguments", "message"),
    [
        ("dilated_vgg16", {"input_shape": (128, 128, 3), "form": "paper"}, "padding of 186"),
        ("dilated_vgg16", {"context_size": "huge"}, "choose from none, basic, large"),
        ("context_module", {"size": "lage"}, "did you mean large"),
    ],
)
def test_bad_arguments(arch, arguments, message):
    with cost.weightless(), pytest.raises(BadInput, match=message):
        tfcnn.build(arch, **arguments)


def test_batch_norm_has_the_convolutions_of_vgg16_bn():
    """Twice the filters of a convolution, and as many moving statistics, for each of the 13."""
    with cost.weightless():
        plain, normalised = (tfcnn.build("dilated_vgg16", batch_norm=batch_norm) for batch_norm in (False, True))
    filters = 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512
    assert normalised.count_params() - plain.count_params() == 4 * filters
