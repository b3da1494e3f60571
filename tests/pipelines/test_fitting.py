"""Fitting against keras.layers.Resizing, which pads before it resizes."""

import subprocess
import sys

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


def test_an_image_covers_another_aspect():
    pixels = tf.zeros((100, 60, 3), tf.uint8)
    np.testing.assert_array_equal(decoding.covering_shape(pixels, (20, 30)), [50, 30])
    np.testing.assert_array_equal(decoding.covering_shape(pixels, (30, 10)), [30, 18])
    np.testing.assert_array_equal(decoding.covering_shape(pixels, (20, 30), keeps_aspect=False), [20, 30])


@pytest.mark.parametrize("size", [(20, 30), (100, 17), (40, 40), (64, 90)])
def test_a_window_is_that_of_the_resized_image(size):
    """The whole image resized, then cropped."""
    pixels = tf.constant(np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8))
    shape = decoding.covering_shape(pixels, (40, 40))
    whole = tf.round(tf.image.resize(pixels, shape, antialias=True)).numpy()
    y, x = (shape.numpy() - 32) // 2
    smaller = decoding.shrink_to_cover(pixels, (40, 40))
    window = decoding.crop_resized(smaller, shape, tf.constant([y, x]), (32, 32))
    np.testing.assert_allclose(window, whole[y : y + 32, x : x + 32], atol=1)
    assert smaller.shape[0] <= size[0]


STRIP = """
import resource
import tensorflow as tf
from pipelines import decoding, fitting

@tf.function
def fit(strip):
    return [fitting.fit_images(strip, 224, 224, "pad"), fitting.fit_images(strip, 224, 224, "crop")]

@tf.function
def crop(strip):
    shape = decoding.covering_shape(strip, (280, 280))  # --crop-margin 0.25
    smaller = decoding.shrink_to_cover(strip, (280, 280))
    return decoding.crop_resized(smaller, shape, (shape - 224) // 2, (224, 224))

def peak(height, width):
    strip = tf.zeros((height, width, 3), tf.uint8)
    fit(strip), crop(strip)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

peak(300, 400)
before = peak(600, 50)
print(peak(60000, 50) - before)
"""


@pytest.mark.slow
def test_a_strip_takes_memory_like_the_image():
    """9 MiB, and four times that as float32. Enlarged it would take 1,076 MiB, and padded before the resize 41 GiB."""
    process = subprocess.run([sys.executable, "-c", STRIP], capture_output=True, text=True, check=True)
    assert float(process.stdout) < 300


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", [(20, 30), (45, 20), (16, 16), (64, 100)])
def test_undoing_a_fit_gives_the_image_where_it_was_seen(size, fit):
    """Of a ramp, which interpolation does not change but at its ends."""
    height, width = size
    ramp = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1).astype("float32")
    fitted = fitting.fit_images(tf.constant(ramp + 1), 32, 32, fit)
    again, inside = fitting.undo_fit(fitted[None], tf.constant(size), 32, 32, fit, (0, 0), (1, 1))
    shorter = min(size)
    expected = np.zeros(size, bool)
    y, x = ((height - shorter) // 2, (width - shorter) // 2) if fit == "crop" else (0, 0)
    tall, wide = (shorter, shorter) if fit == "crop" else size
    expected[y : y + tall, x : x + wide] = True
    np.testing.assert_array_equal(inside, expected)
    edge = 2 + max(size) // 16
    inner = np.zeros(size, bool)
    inner[y + edge : y + tall - edge, x + edge : x + wide - edge] = True
    np.testing.assert_allclose(again.numpy()[0][inner] - 1, ramp[inner], atol=0.05)


def test_undoing_a_fit_of_every_fourth_pixel():
    ramp = np.tile(np.arange(32, dtype="float32"), (32, 1))
    again, inside = fitting.undo_fit(
        tf.constant(ramp[None, 2::4, 2::4, None]), tf.constant((32, 32)), 32, 32, "pad", (2, 2), (4, 4)
    )
    assert inside.numpy().all()
    np.testing.assert_allclose(again[0, :, 2:-2, 0], ramp[:, 2:-2], atol=1e-4)
