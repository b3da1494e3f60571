"""University College London, COMP0197 Applied Deep Learning (Yipeng Hu): "Convolutional Neural Networks"."""

import keras
import numpy as np
import pytest

from tfcnn.arithmetic import costs
from tfcnn.arithmetic.matrix import convolution, convolution_matrix, cross_correlation, transposed
from tfcnn.arithmetic.sizes import conv_output_size

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
