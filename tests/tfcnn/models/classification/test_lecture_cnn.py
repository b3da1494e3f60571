import keras
import numpy as np
import pytest
from keras.layers import Activation, AveragePooling2D, Conv2D, Dense, Dropout, Flatten, MaxPooling2D

import tfcnn


@pytest.mark.parametrize(("kernel_size", "pool_size", "filters"), [(3, 2, 8), (5, 3, 4)])
def test_the_slides_layers_one_after_the_other(kernel_size, pool_size, filters):
    slide = keras.Sequential([keras.Input((96, 96, 3))])
    for factor in (1, 2, 4):
        slide.add(Conv2D(factor * filters, kernel_size, padding="same"))
        slide.add(Activation("relu"))
        slide.add(MaxPooling2D(pool_size))
    for layer in (AveragePooling2D(pool_size), Flatten(), Dense(128), Activation("relu"), Dropout(0.5)):
        slide.add(layer)
    slide.add(Dense(3))
    slide.add(Activation("softmax"))
    model = tfcnn.build("lecture_cnn", (96, 96, 3), kernel_size=kernel_size, pool_size=pool_size, filters=filters)
    model.set_weights(slide.get_weights())
    images = np.random.default_rng(0).normal(size=(4, 96, 96, 3)).astype("float32")
    actual = keras.ops.softmax(model(images, training=False))
    np.testing.assert_allclose(actual, slide(images, training=False), rtol=1e-4, atol=1e-6)


def test_a_pooling_too_large_for_the_image_is_refused():
    with pytest.raises(tfcnn.errors.BadInput, match="lecture_cnn cannot be built"):
        tfcnn.build("lecture_cnn", (32, 32, 3), pool_size=4)


POOLINGS = {
    "max": lambda windows: windows.max((2, 4)),
    "average": lambda windows: windows.mean((2, 4)),
    "l2": lambda windows: np.sqrt((windows**2).sum((2, 4))),
    "strided": lambda windows: windows[:, :, 0, :, 0],
}


@pytest.mark.parametrize("kind", [*POOLINGS, "blur"])
def test_kinds_of_pooling(kind):
    """The map that the second convolution gets; "blur" by the maxima of stride 1 and a loop over the filter."""
    model = tfcnn.build("lecture_cnn", (16, 16, 3), filters=4, pool=kind)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    second = [layer for layer in model.layers if isinstance(layer, Conv2D)][1]
    first, pooled = keras.Model(model.input, [model.get_layer("stage1").output, second.input])(images)
    first = first.numpy()
    if kind == "blur":
        maxima = np.lib.stride_tricks.sliding_window_view(first, (2, 2), (1, 2)).max((-2, -1))
        padded = np.pad(maxima, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
        shifted = [
            weight * padded[:, i : i + 15 : 2, j : j + 15 : 2]
            for (i, j), weight in np.ndenumerate(np.outer([1, 2, 1], [1, 2, 1]) / 16)
        ]
        expected = sum(shifted)
    else:
        expected = POOLINGS[kind](first.reshape(2, 8, 2, 8, 2, 4))
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(tfcnn.errors.BadInput, match="unknown pool 'median'; choose from max, average"):
        tfcnn.build("lecture_cnn", (16, 16, 3), pool="median")
