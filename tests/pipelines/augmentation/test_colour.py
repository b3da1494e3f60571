import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from pipelines.augmentation import colour


def pictures(channels):
    """Three different kinds of picture in one batch: noise, a dim gradient, few values; uint8 (3, 24, 30, channels)."""
    rng = np.random.default_rng(channels)
    noise = rng.integers(0, 256, (24, 30, channels))
    gradient = 40 + np.arange(30)[None, :, None] * 3 + np.arange(24)[:, None, None] + 7 * np.arange(channels)
    few = rng.choice([20, 90, 91, 200], (24, 30, channels))
    return np.stack([noise, gradient, few]).astype(np.uint8)


def with_pillow(batch, function):
    """`function` of each picture as a Pillow image; float32."""
    result = []
    for pixels in batch:
        image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
        result.append(np.asarray(function(image), np.float32).reshape(pixels.shape))
    return np.stack(result)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("operation", "enhancer"),
    [
        (colour.brightness, ImageEnhance.Brightness),
        (colour.contrast, ImageEnhance.Contrast),
        (colour.saturation, ImageEnhance.Color),
        (colour.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancers_are_pillows(operation, enhancer, channels):
    batch = pictures(channels)
    for factor in (0.0, 0.1, 0.7, 1.0, 1.4, 1.9):
        result = operation(tf.constant(batch, tf.float32), tf.fill([3], factor))
        expected = with_pillow(batch, lambda image, factor=factor: enhancer(image).enhance(factor))
        np.testing.assert_allclose(result, expected, atol=1.5)  # Pillow rounds the grey or blurred image and the result
    np.testing.assert_allclose(operation(tf.constant(batch, tf.float32), tf.ones(3)), batch, atol=1e-3)


@pytest.mark.parametrize("operation", [colour.brightness, colour.contrast, colour.saturation, colour.sharpness])
def test_each_image_has_its_own_factor(operation):
    batch = tf.constant(pictures(3), tf.float32)
    factors = tf.constant([0.3, 1.0, 1.7])
    together = operation(batch, factors)
    for i in range(3):
        np.testing.assert_allclose(together[i], operation(batch[i : i + 1], factors[i : i + 1])[0], atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_single_images_are_pillows(channels):
    batch = pictures(channels)
    images = tf.constant(batch, tf.float32)
    np.testing.assert_array_equal(colour.equalize(images), with_pillow(batch, ImageOps.equalize))
    np.testing.assert_allclose(colour.auto_contrast(images), with_pillow(batch, ImageOps.autocontrast), atol=1.001)
    for bits in (1, 4, 7, 8):
        expected = with_pillow(batch, lambda image, bits=bits: ImageOps.posterize(image, bits))
        np.testing.assert_array_equal(colour.posterize(images, bits), expected)
    for threshold in (0, 100, 255):
        expected = with_pillow(batch, lambda image, threshold=threshold: ImageOps.solarize(image, threshold))
        np.testing.assert_array_equal(colour.solarize(images, threshold), expected)


@pytest.mark.parametrize("operation", [colour.auto_contrast, colour.equalize])
def test_an_image_of_one_colour_stays(operation):
    plain = tf.fill([2, 8, 8, 3], 77.0)
    np.testing.assert_array_equal(operation(plain), plain)


def test_four_channels():
    batch = np.random.default_rng(0).uniform(0, 255, (2, 9, 7, 4)).astype(np.float32)
    mean = batch.mean(axis=(1, 2, 3), keepdims=True)
    expected = np.clip(mean + 1.5 * (batch - mean), 0, 255)
    np.testing.assert_allclose(colour.contrast(tf.constant(batch), tf.fill([2], 1.5)), expected, atol=1e-3)
    np.testing.assert_array_equal(colour.saturation(tf.constant(batch), tf.zeros(2)), batch)
    for operation in (colour.equalize, colour.auto_contrast):
        each = [operation(tf.constant(batch[..., c : c + 1])) for c in range(4)]
        np.testing.assert_allclose(operation(tf.constant(batch)), tf.concat(each, axis=-1), atol=1e-3)


@pytest.mark.parametrize(
    "operation",
    [
        lambda images: colour.brightness(images, tf.zeros(0)),
        lambda images: colour.contrast(images, tf.zeros(0)),
        lambda images: colour.sharpness(images, tf.zeros(0)),
        lambda images: colour.saturation(images, tf.zeros(0)),
        colour.auto_contrast,
        colour.equalize,
    ],
)
def test_a_batch_of_none(operation):
    assert operation(tf.zeros([0, 5, 6, 3])).shape == (0, 5, 6, 3)


def test_jitter_is_bounded_by_its_strength():
    draws = np.random.default_rng(0).uniform(size=(64, 46)).astype(np.float32)
    grey = tf.fill([64, 4, 4, 3], 100.0)  # of a plain grey image, contrast and saturation change nothing
    result = colour.jitter(grey, draws, 0.2).numpy()[:, 0, 0, 0]
    assert 80 <= result.min() < 84
    assert 116 < result.max() <= 120
    batch = tf.tile(tf.constant(pictures(3)[:1], tf.float32), [64, 1, 1, 1])
    jittered = colour.jitter(batch, draws, 0.2).numpy()
    levels = jittered.mean(axis=(1, 2, 3))
    spreads = jittered.std(axis=(1, 2)).mean(axis=1)
    hues = jittered.std(axis=3).mean(axis=(1, 2))
    for measure in (levels, spreads / levels, hues / spreads):
        assert measure.std() / measure.mean() > 0.01
