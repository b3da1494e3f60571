"""The first output of layers that start as interpolation or as the identity."""

import json

import keras
import numpy as np
import pytest

from tfcnn.layers.initializers import Bilinear, ContextIdentity


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_transposed_convolution_starts_as_bilinear_interpolation(factor):
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype("float32")
    layer = keras.layers.Conv2DTranspose(
        3, 2 * factor - factor % 2, factor, "same", use_bias=False, kernel_initializer=Bilinear()
    )
    expected = keras.layers.UpSampling2D(factor, interpolation="bilinear")(x)
    inside = (slice(None), *[slice(factor, -factor)] * 2)
    np.testing.assert_allclose(layer(x)[inside], expected[inside], atol=1e-5)


def test_the_kernel_of_fcn():
    """`upsample_filt(4)` of the authors' surgery.py, on the diagonal of the maps."""
    kernel = np.asarray(Bilinear()((4, 4, 2, 2)))
    taps = np.array([0.25, 0.75, 0.75, 0.25])
    np.testing.assert_allclose(kernel[:, :, 1, 1], np.outer(taps, taps))
    np.testing.assert_array_equal(kernel[:, :, 0, 1], 0)


@pytest.mark.parametrize("layer", ["Conv1DTranspose", "Conv3DTranspose"])
def test_sequences_and_volumes_interpolate_as_well(layer):
    """A ramp stays a ramp."""
    dimensions = int(layer[4])
    ramp = np.arange(6.0).reshape(1, 6, *[1] * dimensions) * np.ones((1, 6, *[6] * (dimensions - 1), 1))
    up = getattr(keras.layers, layer)(1, 4, 2, "same", use_bias=False, kernel_initializer=Bilinear())(ramp)
    line = np.asarray(up)[(0, slice(2, -2), *[5] * (dimensions - 1), 0)]
    np.testing.assert_allclose(np.diff(line), 0.5, atol=1e-5)


def test_different_widths_cannot_be_bilinear():
    with pytest.raises(ValueError, match="3 channels cannot become 2"):
        Bilinear()((4, 4, 2, 3))


def context(widths, **how):
    net = keras.Sequential([keras.Input((None, None, widths[0]))])
    for width, dilation in zip(widths[1:], (1, 2, 4, 1), strict=True):
        size = 1 if width == widths[-1] else 3
        net.add(
            keras.layers.Conv2D(
                width, size, dilation_rate=dilation, padding="same", kernel_initializer=ContextIdentity(**how)
            )
        )
    return net


def test_a_basic_context_network_starts_as_the_identity():
    x = np.random.default_rng(0).normal(size=(1, 9, 9, 5)).astype("float32")
    np.testing.assert_array_equal(context((5, 5, 5, 5, 5))(x), x)


def test_a_large_context_network_starts_as_the_identity():
    """The widths of the paper's large network, C, 2C, 4C, ..., C, shortened."""
    x = np.random.default_rng(0).normal(size=(1, 9, 9, 3)).astype("float32")
    np.testing.assert_allclose(context((3, 6, 12, 24, 3), classes=3)(x), x, rtol=1e-5, atol=1e-6)
    noisy = context((3, 6, 12, 24, 3), classes=3, stddev=1e-3, seed=0)(x)
    assert 0 < np.abs(noisy - x).max() < 0.2


def test_the_large_form_is_the_equation():
    kernel = np.asarray(ContextIdentity(classes=2)((3, 3, 4, 6)))
    for i, j, a, b in np.ndindex(kernel.shape):
        middle = i == j == 1 and a * 2 // 4 == b * 2 // 6
        assert kernel[i, j, a, b] == pytest.approx(2 / 6 if middle else 0)


def test_noise_is_everywhere_else_and_of_its_size():
    kernel = np.asarray(ContextIdentity(classes=4, stddev=0.01, seed=1)((3, 3, 40, 40)))
    same = np.asarray(ContextIdentity(classes=4)((3, 3, 40, 40))) > 0
    np.testing.assert_allclose(kernel[same], 0.1)
    assert np.std(kernel[~same]) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("initializer", [Bilinear(), ContextIdentity(3, 0.01, seed=7)])
def test_saved_and_loaded(initializer, tmp_path):
    again = keras.initializers.get(keras.initializers.serialize(initializer))
    assert again.get_config() == initializer.get_config()
    np.testing.assert_array_equal(again((3, 3, 6, 6)), initializer((3, 3, 6, 6)))
    model = keras.Sequential([keras.Input((6, 6, 6)), keras.layers.Conv2D(6, 3, kernel_initializer=initializer)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[0].kernel_initializer
    assert loaded.get_config() == initializer.get_config()


@pytest.mark.parametrize(
    ("how", "shape", "words"),
    [
        ({"classes": 4}, (3, 3, 6, 8), "4 classes"),
        ({}, (2, 3, 6, 6), "no middle"),
        ({"stddev": -1.0}, (3, 3, 6, 6), "stddev"),
    ],
)
def test_impossible_kernels_are_named(how, shape, words):
    with pytest.raises(ValueError, match=words):
        ContextIdentity(**how)(shape)


def test_numpy_integers_are_saved_as_pythons():
    config = ContextIdentity(np.int64(3), np.float32(0.5), seed=np.int64(7)).get_config()
    assert json.dumps(config) == json.dumps({"classes": 3, "stddev": 0.5, "seed": 7})
