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
