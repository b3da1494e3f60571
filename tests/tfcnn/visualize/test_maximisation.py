"""Ascent raises what it ascends; its Fourier form is a sum of waves."""

import numpy as np
import pytest
from keras import layers

from tests.tfcnn.visualize.small_networks import network
from tfcnn.visualize.maximisation import COLOURS, FORMS, STILL, Standard, draw_motion, maximise, move, to_pixels
from tfcnn.visualize.points import activations


@pytest.mark.parametrize("size", [7, 8])
def test_the_fourier_form_is_a_sum_of_waves(size):
    """Against the definition: half of the spectrum, each coefficient over its frequency, colours mixed, a sigmoid."""
    spectrum = np.random.default_rng(0).normal(size=(2, 1, 3, size, size // 2 + 1))
    planes = np.zeros((3, size, size))
    for v, u in np.ndindex(size, size // 2 + 1):
        down, across = np.fft.fftfreq(size)[v], np.fft.rfftfreq(size)[u]
        amplitude = size / max(np.hypot(down, across), 1 / size)
        wave = np.exp(2j * np.pi * (down * np.arange(size)[:, None] + across * np.arange(size)))
        twice = 1 if u in (0, size / 2) else 2  # the other half has the conjugates
        for c in range(3):
            coefficient = complex(*spectrum[:, 0, c, v, u]) * amplitude
            planes[c] += twice * (coefficient * wave).real / size**2
    # In the columns without a conjugate the definition takes the Hermitian part, as an inverse transform of reals does.
    mixed = np.einsum("cyx,dc->yxd", planes / 4, COLOURS)
    result = to_pixels(spectrum.astype("float32"), size).numpy()[0]
    np.testing.assert_allclose(result, 1 / (1 + np.exp(-mixed)), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_map_is_excited_more_than_by_grey(form):
    model = network(layers.Conv2D(3, 3, name="maps"), shape=(16, 16, 3))
    standard = Standard((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    result = maximise(model, "maps", [2, 0], standard, size=16, form=form, steps=40)
    assert result.shape == (2, 16, 16, 3)
    assert 0 <= result.min() <= result.max() <= 1
    (maps,) = activations(model, (result - 0.5) / 0.25, ["maps"])
    grey = model.get_layer("maps").get_weights()[1]
    assert maps[0, ..., 2].mean() > grey[2] + 0.2
    assert maps[1, ..., 0].mean() > grey[0] + 0.2


def test_without_motion_the_image_stays():
    pixels = np.random.default_rng(0).random((2, 9, 9, 3)).astype("float32")
    still = draw_motion(np.random.default_rng(1), STILL, 9)
    np.testing.assert_allclose(move(pixels, still).numpy(), pixels, atol=1e-6)


def test_an_unknown_form_or_channel_is_refused():
    model = network(layers.Conv2D(3, 3, name="maps"), shape=(16, 16, 3))
    with pytest.raises(ValueError, match="form must be one of fourier, plain, got 'x'"):
        maximise(model, "maps", [0], Standard(), form="x")
    with pytest.raises(ValueError, match="maps has channels 0 to 2, got \\[3\\]"):
        maximise(model, "maps", [3], Standard())


def test_ascent_leaves_an_image_that_excites_nothing():
    """A rectified map that is 0 for every value below three quarters; the image starts at a half."""
    model = network(layers.Conv2D(1, 1, activation="relu", name="maps"), shape=(8, 8, 1))
    model.set_weights([np.full((1, 1, 1, 1), 4.0), np.full(1, -3.0)])
    result = maximise(model, "maps", [0], Standard(), size=8, form="plain", steps=60)
    assert result.min() > 0.75
