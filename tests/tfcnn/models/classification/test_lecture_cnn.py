import keras
import numpy as np
import pytest
from keras.layers import Activation, AveragePooling2D, Conv2D, Dense, Dropout, Flatten, MaxPooling2D

import tfcnn


@pytest.mark.parametrize(("kernel_size", "pool_size", "filters"), [(3, 2, 8), (5, 3, 4)])
def test_the_slides_layers_one_after_the_other(kernel_size, pool_size, filters):
    same = {"padding": "same"}
    slide = keras.Sequential(
        [
            keras.Input((96, 96, 3)),
            *(Conv2D(filters, kernel_size, **same), Activation("relu"), MaxPooling2D(pool_size)),
            *(Conv2D(2 * filters, kernel_size, **same), Activation("relu"), MaxPooling2D(pool_size)),
            *(Conv2D(4 * filters, kernel_size, **same), Activation("relu"), MaxPooling2D(pool_size)),
            *(AveragePooling2D(pool_size), Flatten()),
            *(Dense(128), Activation("relu"), Dropout(0.5)),
            *(Dense(3), Activation("softmax")),
        ]
    )
    choices = {"kernel_size": kernel_size, "pool_size": pool_size, "filters": filters}
    model = tfcnn.build("lecture_cnn", (96, 96, 3), **choices)
    model.set_weights(slide.get_weights())
    images = np.random.default_rng(0).normal(size=(4, 96, 96, 3)).astype("float32")
    actual = keras.ops.softmax(model(images, training=False))
    np.testing.assert_allclose(actual, slide(images, training=False), rtol=1e-4, atol=1e-6)


def test_a_pooling_too_large_for_the_image_is_refused():
    with pytest.raises(tfcnn.errors.BadInput, match="lecture_cnn cannot be built"):
        tfcnn.build("lecture_cnn", (32, 32, 3), pool_size=4)
