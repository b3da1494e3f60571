"""University College London, COMP0197 Applied Deep Learning (Yipeng Hu): "Convolutional Neural Networks"."""

import math

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn.arithmetic import costs
from tfcnn.arithmetic.matrix import convolution, convolution_matrix, cross_correlation, transposed
from tfcnn.arithmetic.sizes import conv_output_size, receptive_field

SOBEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])


def test_convolution_as_a_matrix_with_shared_and_sparse_weights():
    """Slides "Discrete convolution" and "Parameter sharing": 4 weights in a 4x9 matrix, against 36.

    The slides number the pixels down the columns, as Fortran and MATLAB do. Their first products write x as a vector
    of 8; the matrix has 9 columns, and later slides have all 9. They call the sum a convolution, and it is the
    cross-correlation: no index runs backwards.
    """
    w1, w2, w3, w4 = weights = np.array([2, 3, 5, 7])
    printed = [
        [w1, w2, 0, w3, w4, 0, 0, 0, 0],
        [0, w1, w2, 0, w3, w4, 0, 0, 0],
        [0, 0, 0, w1, w2, 0, w3, w4, 0],
        [0, 0, 0, 0, w1, w2, 0, w3, w4],
    ]
    kernel = weights.reshape(2, 2, order="F")
    down_the_columns = convolution_matrix(kernel.T, (3, 3))
    np.testing.assert_array_equal(down_the_columns.toarray(), printed)

    x = np.arange(1, 10)
    image = x.reshape(3, 3, order="F")
    expected = cross_correlation(image, kernel)
    np.testing.assert_array_equal((down_the_columns @ x).reshape(2, 2, order="F"), expected)
    assert expected[0, 0] == x[0] * w1 + x[1] * w2 + x[3] * w3 + x[4] * w4
    assert not np.array_equal(convolution(image, kernel), expected)
    assert down_the_columns.nnz == 16
    assert costs.standard((2, 2), 1, 1, 4, bias=False).parameters == 4
    assert costs.dense(9, 4, bias=False).parameters == 36


def test_convolution_commutes():
    """Slide "Convolution": (I * K) and (K * I) are the same sum."""
    image = np.arange(12).reshape(3, 4)
    kernel = np.array([[1, -2], [0, 3]])
    there = convolution(image, kernel, padding="full")
    np.testing.assert_array_equal(there, convolution(kernel, image, padding="full"))


def test_the_transposed_convolution_is_no_inverse():
    """Slide "Transpose convolution" calls it the reverse of convolution, W^T y = x: of sizes, not of values."""
    image = np.arange(9).reshape(3, 3)
    kernel = np.array([[1, 2], [2, 1]])
    back = transposed(cross_correlation(image, kernel), kernel, image.shape)
    assert back.shape == image.shape
    assert not np.array_equal(back, image)


@pytest.mark.parametrize(
    ("side", "channels", "filters", "standard", "separable"), [(3, 3, 5, 135, 42), (5, 64, 128, 204_800, 9_792)]
)
def test_depthwise_separable_kernels(side, channels, filters, standard, separable):
    """Slide "Depthwise separable kernels", counted and as Keras allocates them."""
    sizes = (side, side), channels, filters, 1
    assert costs.standard(*sizes, bias=False).parameters == standard
    assert costs.separable(*sizes, bias=False).parameters == separable
    for kind, expected in ((keras.layers.Conv2D, standard), (keras.layers.SeparableConv2D, separable)):
        layer = kind(filters, side, use_bias=False)
        layer.build((None, side, side, channels))
        assert layer.count_params() == expected


def test_sobel_is_separable():
    """Same slide: the kernel is the convolution of a column and a row, its rank is 1, 6 numbers instead of 9.

    "Test the number of non-singular values" means the non-zero singular values.
    """
    column = np.array([[1], [2], [1]])
    row = np.array([[1, 0, -1]])
    np.testing.assert_array_equal(convolution(column, row, padding="full"), SOBEL)
    np.testing.assert_array_equal(column @ row, SOBEL)
    u, s, vt = np.linalg.svd(SOBEL)
    assert (s > 1e-12 * s[0]).sum() == np.linalg.matrix_rank(SOBEL) == 1
    np.testing.assert_allclose(s[0] * np.outer(u[:, 0], vt[0]), SOBEL, atol=1e-12)
    assert (SOBEL.size, column.size + row.size) == (9, 6)

    image = np.random.default_rng(0).integers(0, 9, (7, 8))
    np.testing.assert_array_equal(
        convolution(convolution(image, column), row), convolution(image, SOBEL)
    )  # I * K = (I * u) * v


@pytest.mark.parametrize(("m", "n"), [(3, 3), (5, 7)])
def test_separable_work(m, n):
    """O(M N m n) becomes O(M N (m + n)): exactly so where the padding keeps the size of both maps."""
    places = 28 * 32
    assert costs.standard((m, n), 1, 1, places).multiplications == places * m * n
    assert costs.spatially_separable((m, n), 1, 1, (places, places)).multiplications == places * (m + n)


def test_paddings():
    """Slide "Padding": none, arbitrary, half and full, of a 3x3 kernel with stride 1 on 5 pixels."""
    assert [conv_output_size(5, 3, padding=p) for p in (0, 1, 2)] == [3, 5, 7]
    assert [conv_output_size(5, 3, padding=p) for p in ("valid", "same", "full")] == [3, 5, 7]


def test_a_prior_that_the_data_contradict_underfits():
    """Slide "Infinitely strong prior": y is x with every second value negated, which no shared kernel can do.

    The best kernel of three weights, by least squares, leaves an error; the best dense layer leaves none.
    """
    x = np.random.default_rng(0).normal(size=(50, 8))
    y = x * np.tile([1, -1], 4)
    features = np.stack([convolution_matrix(unit, (8,), padding=1) @ x.T for unit in np.eye(3)], -1)
    kernel = np.linalg.lstsq(features.reshape(-1, 3), y.T.ravel())[0]
    assert ((features @ kernel - y.T) ** 2).sum() > 0.9 * (y**2).sum()
    dense = np.linalg.lstsq(x, y)[0]
    np.testing.assert_allclose(x @ dense, y, atol=1e-12)


def test_a_shift_within_its_window_leaves_the_maximum():
    """Slide "Pooling": invariance, to the shifts that leave each maximum in its window and to no others."""
    image = np.zeros((6, 6))
    image[2, 2] = 1

    def pool(pixels):
        return keras.layers.MaxPooling2D(2)(pixels[None, ..., None].astype("float32"))[0, ..., 0]

    np.testing.assert_array_equal(pool(np.roll(image, (1, 1), (0, 1))), pool(image))
    assert not np.array_equal(pool(np.roll(image, 2, 0)), pool(image))


def test_relu_before_or_after_pooling():
    """Slide "Pooling" asks for the order: it does not matter to the maximum, and it does to the mean."""
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    relu = keras.layers.ReLU()
    maximum = keras.layers.MaxPooling2D(2)
    mean = keras.layers.AveragePooling2D(2)
    np.testing.assert_array_equal(maximum(relu(x)), relu(maximum(x)))
    assert not np.allclose(mean(relu(x)), relu(mean(x)))


def test_fields_of_dense_convolutional_and_strided_layers():
    """Slide "Receptive field": three layers of 3x3 see 7 pixels, 15 with stride 2; a dense layer sees all."""
    assert receptive_field([(3, 1)] * 3).size == 7
    assert receptive_field([(3, 2)] * 3).size == 15
    inputs = keras.Input((20, 20, 1))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    assert tfcnn.receptive_field.receptive_field(model, model.layers[-1]).size == (math.inf, math.inf)


@pytest.mark.parametrize(("depth", "side", "share"), [(2, 5, 18 / 25), (3, 7, 27 / 49)])
def test_stacked_3x3_kernels_see_what_a_larger_one_sees(depth, side, share):
    """Slide "Shape and size", VGG's 3x3 kernels: the field of 5x5 and 7x7 by fewer weights (Simonyan & Zisserman)."""
    assert receptive_field([(3,)] * depth).size == side
    small = costs.standard((3, 3), 64, 64, 1, bias=False)
    large = costs.standard((side, side), 64, 64, 1, bias=False)
    assert depth * small.parameters / large.parameters == pytest.approx(share)
