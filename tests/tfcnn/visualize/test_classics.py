"""Classical filters against definitions, scipy and scikit-image."""

import keras
import numpy as np
import pytest
import skimage.filters
import skimage.metrics
from scipy import ndimage

from tfcnn.visualize import classics


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).random((16, 24))


def test_the_response_is_what_a_wave_is_multiplied_with():
    """A wave through the filter is the same wave, times the response at its frequency."""
    kernel = np.random.default_rng(1).normal(size=(3, 5))
    response = classics.frequency_response(kernel, 21)
    y, x = np.mgrid[:21, :21]
    wave = np.exp(2j * np.pi * (4 * y - 7 * x) / 21)
    parts = [ndimage.convolve(part, kernel, mode="wrap") for part in (wave.real, wave.imag)]
    np.testing.assert_allclose(parts[0] + 1j * parts[1], response[10 + 4, 10 - 7] * wave, atol=1e-9)


def test_the_edge_kernel_of_the_slide_is_a_high_pass():
    response = classics.frequency_response(classics.EDGES, 65)
    assert np.abs(response[32, 32]) < 1e-9, "it has no answer to a constant"
    assert np.abs(response.imag).max() < 1e-9
    assert response.real.min() > -1e-9
    middle = response.real[32, 32:]
    assert (np.diff(middle) > 0).all(), "the higher the frequency, the stronger"


def test_a_gaussian_is_a_low_pass():
    response = np.abs(classics.frequency_response(classics.gaussian(1.5), 65))
    assert response[32, 32] == pytest.approx(1)
    assert (np.diff(response[32, 32:]) < 1e-3).all()


def test_sobel_is_two_vectors(image):
    assert classics.SOBEL.tolist() == [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    assert np.linalg.matrix_rank(classics.SOBEL) == 1
    both = classics.apply_filter(image, classics.SOBEL)
    down = classics.apply_filter(image, classics.SMOOTHING[:, None])
    np.testing.assert_allclose(classics.apply_filter(down, classics.DIFFERENCE[None]), both, atol=1e-12)
    np.testing.assert_allclose(both, 4 * skimage.filters.sobel_v(image), atol=1e-12)


def test_a_gaussian_filter_is_that_of_scipy(image):
    expected = ndimage.gaussian_filter(image, 2, truncate=3)
    np.testing.assert_allclose(classics.apply_filter(image, classics.gaussian(2)), expected, atol=1e-12)


@pytest.mark.parametrize("wavelet", classics.WAVELETS)
def test_a_wavelet_bank_is_orthonormal(wavelet, image):
    bands = classics.analyse(image, wavelet)
    assert bands.shape == (8, 12, 4)
    np.testing.assert_allclose((bands**2).sum(), (image**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(classics.synthesise(bands, wavelet), image, atol=1e-5)
    coarse, details = classics.decompose(image, 3, wavelet)
    assert [band.shape for band in details] == [(8, 12, 3), (4, 6, 3), (2, 3, 3)]
    np.testing.assert_allclose(classics.compose(coarse, details, wavelet), image, atol=1e-5)


def test_the_second_wavelet_leaves_nothing_of_a_slope():
    slope = np.add.outer(np.arange(16.0), 2 * np.arange(16.0))
    details = classics.analyse(slope, "db2")[:-1, :-1, 1:]  # the last have the periodic border
    assert np.abs(details).max() < 1e-3


def test_compression_keeps_the_largest_details(image):
    _, details = classics.decompose(classics.compress(image, 0.1, levels=2), 2, "db2")
    kept = sum(int((np.abs(bands) > 1e-4).sum()) for bands in details)
    assert kept == int(0.1 * sum(bands.size for bands in details))
    np.testing.assert_allclose(classics.compress(image, 1, levels=2), image, atol=1e-5)


def test_shrinking_details_removes_noise():
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).random((64, 64)), 6)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    noisy = smooth + np.random.default_rng(1).normal(0, 0.1, smooth.shape)
    before, after = (
        skimage.metrics.peak_signal_noise_ratio(smooth, values, data_range=1)
        for values in (noisy, classics.shrink(noisy, 0.1))
    )
    assert after > before + 5


@pytest.mark.parametrize(
    ("kernel", "stride", "counts"), [(3, 2, {1, 2, 4}), (4, 2, {4}), (2, 2, {1}), (5, 3, {1, 2, 4})]
)
def test_a_transposed_convolution_overlaps_evenly_where_the_stride_divides_the_kernel(kernel, stride, counts):
    inner = classics.overlaps(kernel, stride)[kernel:-kernel, kernel:-kernel]
    assert set(inner.ravel().astype(int).tolist()) == counts


def resize(values, method):
    """To twice the size."""
    return np.asarray(keras.ops.image.resize(values[None, ..., None].astype("float64"), (12, 14), method))[0, ..., 0]


SAMPLERS = {
    "nearest": lambda values: resize(values, "nearest"),
    "bilinear": lambda values: resize(values, "bilinear"),
    "bicubic": lambda values: resize(values, "bicubic"),
    "spline": lambda values: ndimage.zoom(values, 2, order=3),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_interpolation_is_linear_in_the_values(name):
    """Is bilinear interpolation a linear operation? Of the values it is: one matrix, whatever the image."""
    sample = SAMPLERS[name]
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 6, 7))
    matrix = np.stack([sample(unit.reshape(6, 7)).ravel() for unit in np.eye(42)], -1)
    np.testing.assert_allclose(sample(3 * first - second).ravel(), matrix @ (3 * first - second).ravel(), atol=1e-5)


def test_bilinear_interpolation_is_not_linear_in_the_place():
    """Along a diagonal it is a parabola: halfway between 0 and 1 it is a quarter."""
    corner = np.array([[0.0, 0], [0, 1]])
    values = ndimage.map_coordinates(corner, [[0, 0.5, 1], [0, 0.5, 1]], order=1)
    assert values.tolist() == [0, 0.25, 1]
