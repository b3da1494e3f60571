import itertools

import keras
import numpy as np
import pytest
from keras import layers

import tfcnn
from tfcnn import cost
from tfcnn.models.classification.xception import STYLES, half


def weightless(**overrides):
    with cost.weightless():
        return tfcnn.build("xception", **overrides)


def test_sizes_of_figure_5():
    model = weightless()
    maps = [model.get_layer(f"stage{number}").output.shape for number in (1, 2, 3, 4, 5)]
    assert [(shape[1], shape[-1]) for shape in maps] == [(147, 64), (74, 128), (37, 256), (19, 728), (10, 2048)]


def test_figure_5_has_36_convolutions_and_a_shortcut_around_each_module():
    kinds = [type(layer).__name__ for layer in weightless().layers]
    assert kinds.count("SeparableConv2D") == 34
    assert kinds.count("Add") == 12
    assert kinds.count("Conv2D") == 2 + 4  # the first two, and four strided shortcuts


@pytest.mark.parametrize(("form", "first"), [("keras", 0), ("timm", -1)])
@pytest.mark.parametrize("size", [5, 6])
def test_pooling_of_values_below_zero(form, first, size):
    """A border of zeros would win here. On odd sizes TensorFlow's padding is the symmetric one."""
    first = -1 if size % 2 else first
    maps = -1 - np.random.default_rng(0).uniform(size=(1, size, size, 2)).astype("float32")
    inputs = keras.Input(maps.shape[1:])
    actual = keras.Model(inputs, half(inputs, STYLES[form])).predict_on_batch(maps)
    assert actual.shape == (1, 3, 3, 2)
    for y, x in itertools.product(range(3), range(3)):
        rows, columns = (slice(max(2 * i + first, 0), 2 * i + first + 3) for i in (y, x))
        np.testing.assert_array_equal(actual[0, y, x], maps[0, rows, columns].max((0, 1)))


@pytest.mark.slow
def test_the_symmetric_form_survives_a_file(tmp_path):
    model = tfcnn.build("xception", (64, 64, 3), 3, width=0.05, depth=0.1, form="timm")
    images = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict_on_batch(images), model.predict_on_batch(images))


def test_a_small_image_keeps_its_size_in_the_first_convolutions():
    model = weightless(input_shape=(32, 32, 3), num_classes=10)
    assert [model.get_layer(f"stage{n}").output.shape[1] for n in range(1, 6)] == [32, 16, 8, 4, 2]


def test_separable_convolutions_have_no_activation_inside():
    """Section 4.7: batch norm and ReLU only after the 1x1 convolution."""
    separable = [layer for layer in weightless().layers if isinstance(layer, layers.SeparableConv2D)]
    assert {layer.activation.__name__ for layer in separable} == {"linear"}
    assert {layer.use_bias for layer in separable} == {False}
