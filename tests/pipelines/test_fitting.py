"""Fitting against keras.layers.Resizing, which pads before it resizes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines import decoding, fitting

SIZES = [(40, 60), (61, 40), (33, 33), (200, 35), (7, 90), (32, 32), (300, 299), (64, 48), (5, 3), (1, 100)]
TARGETS = [(32, 32), (48, 24)]


def resizing(height, width, fit, **how):
    crop = fit == "crop"
    pad = fit == "pad"
    return keras.layers.Resizing(
        height, width, crop_to_aspect_ratio=crop, pad_to_aspect_ratio=pad, dtype="float32", **how
    )


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_images_are_those_of_keras(size, target, fit, dtype):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(dtype)
    expected = resizing(*target, fit, antialias=True)(images.astype("float32"))
    batch = fitting.fit_images(tf.constant(images), *target, fit)
    single = fitting.fit_images(tf.constant(images[0]), *target, fit)
    assert batch.dtype == tf.float32
    np.testing.assert_allclose(batch, expected, atol=0.02)
    np.testing.assert_array_equal(single, batch[0])


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", SIZES)
def test_masks_are_those_of_keras(size, target, fit):
    masks = np.random.default_rng(0).integers(0, 5, (2, *size, 1)).astype(np.uint8)
    expected = resizing(*target, fit, interpolation="nearest", fill_value=255)(masks)
    np.testing.assert_array_equal(fitting.fit_masks(tf.constant(masks), *target, fit), expected)
    np.testing.assert_array_equal(fitting.fit_masks(tf.constant(masks[0]), *target, fit), expected[0])


@pytest.mark.parametrize("size", [(20, 30), (100, 17), (40, 40), (64, 90)])
def test_a_window_is_that_of_the_resized_image(size):
    """The whole image resized, then cropped."""
    pixels = tf.constant(np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8))
    shape = decoding.shape_of_shorter_side(pixels, 40)
    whole = tf.round(tf.image.resize(pixels, shape, antialias=True)).numpy()
    y, x = (shape.numpy() - 32) // 2
    smaller = decoding.shrink_shorter_side(pixels, 40)
    window = decoding.crop_resized(smaller, shape, tf.constant([y, x]), 32)
    np.testing.assert_allclose(window, whole[y : y + 32, x : x + 32], atol=1)
    assert smaller.shape[0] <= size[0]
