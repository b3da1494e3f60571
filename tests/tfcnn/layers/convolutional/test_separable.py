"""Separation of kernels by SVD, with the test of rank, and the layer built from a kernel."""

import keras
import numpy as np
import pytest

from tfcnn.layers import SpatiallySeparableConv2D, separate

SOBEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])


def test_sobel_has_rank_1_and_its_parts():
    u, v = separate(SOBEL)
    np.testing.assert_allclose(np.outer(u, v), SOBEL, atol=1e-12)
    np.testing.assert_allclose(u / u[0], [1, 2, 1])
    np.testing.assert_allclose(v / v[0], [1, 0, -1], atol=1e-12)


def test_a_kernel_of_higher_rank_is_refused_by_its_rank():
    with pytest.raises(ValueError, match="rank 2"):
        separate([[0, 1, 0], [1, -4, 1], [0, 1, 0]])  # the Laplacian
    u, v = separate([[0, 1, 0], [1, -4, 1], [0, 1, 0]], rank=2)
    np.testing.assert_allclose(u @ v, [[0, 1, 0], [1, -4, 1], [0, 1, 0]], atol=1e-12)


def test_rank_is_judged_at_the_kernels_precision():
    rng = np.random.default_rng(0)
    product = np.outer(rng.normal(size=5), rng.normal(size=7))
    separate(product.astype("float32"))
    separate(product.astype("float32") + 1e-3 * rng.normal(size=(5, 7)), tolerance=0.1)
    with pytest.raises(ValueError, match="rank 5"):
        separate(product.astype("float32") + 1e-3 * rng.normal(size=(5, 7)))


def test_a_kernel_of_zeros_is_separable():
    u, v = separate(np.zeros((3, 2)))
    np.testing.assert_array_equal(np.outer(u, v), np.zeros((3, 2)))


@pytest.mark.parametrize("seed", range(10))
def test_layer_from_a_kernel_equals_the_convolution(seed):
    rng = np.random.default_rng(seed)
    height, width, channels, filters, rank = (int(n) for n in rng.integers(1, 6, size=5))
    column = rng.normal(size=(height, channels, rank))
    row = rng.normal(size=(width, rank, filters))
    kernel = np.einsum("icr,jrf->ijcf", column, row).astype("float32")
    bias = rng.normal(size=filters).astype("float32")
    x = rng.normal(size=(2, 9, 8, channels)).astype("float32")
    layer = SpatiallySeparableConv2D.from_kernel(kernel, bias, rank=rank)
    expected = keras.ops.conv(x, kernel, 1, "valid") + bias
    np.testing.assert_allclose(layer(x), expected, rtol=1e-3, atol=1e-4)


def test_sobel_as_a_layer_has_6_weights_and_survives_a_file(tmp_path):
    layer = SpatiallySeparableConv2D.from_kernel(SOBEL, padding="half")
    assert layer.count_params() == 6
    x = np.random.default_rng(0).normal(size=(1, 6, 7, 1)).astype("float32")
    expected = keras.ops.conv(x, SOBEL[..., None, None].astype("float32"), 1, "same")
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)
    inputs = keras.Input((6, 7, 1))
    keras.Model(inputs, layer(inputs)).save(tmp_path / "sobel.keras")
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "sobel.keras")(x), expected, rtol=1e-4, atol=1e-5)


def test_the_two_parts_start_differently():
    layer = SpatiallySeparableConv2D(3, 3, rank=3)
    layer.build((None, None, None, 3))
    assert not np.allclose(np.ravel(layer.column), np.ravel(layer.row))
