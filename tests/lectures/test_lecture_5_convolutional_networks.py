"""The deck "Lecture 5: Convolutional Neural Networks" (its text names no university)."""

import keras
import numpy as np
import pytest
from keras import ops

import tfcnn
from tfcnn import cost, layers
from tfcnn.arithmetic import costs
from tfcnn.arithmetic.matrix import (
    convolution,
    convolution_matrix,
    cross_correlation,
    fourier_convolution,
    transposed,
)
from tfcnn.arithmetic.sizes import conv_output_size, effective_kernel, pool_output_size, receptive_field

IMAGE = np.array([[1, 2, 3], [6, 5, 3], [1, 4, 1]])
KERNEL = np.array([[1, 2], [2, 1]])


def test_the_sum_tends_to_the_integral():
    """Slide "Convolution Operation", first the integral: exp(-t) * exp(-2 t) = exp(-t) - exp(-2 t) for t > 0."""

    def error(step):
        t = step * np.arange(round(4 / step))
        sums = step * convolution(np.exp(-t), np.exp(-2 * t), padding="full")[: len(t)]
        return np.abs(sums - (np.exp(-t) - np.exp(-2 * t))).max()

    assert error(0.01) < 0.011
    assert error(0.01) == pytest.approx(error(0.1) / 10, rel=0.1)


def test_a_multiplication_in_the_frequency_domain():
    """Slides "Convolution Operation"."""
    x, w = np.random.default_rng(0).normal(size=(2, 16))
    np.testing.assert_allclose(fourier_convolution(x, w), np.convolve(x, w), atol=1e-12)


def test_the_filter_with_8_in_the_middle_is_a_high_pass():
    """Slide "Intuition for Convolutional Filters" asks which it is: flat grey vanishes, the finest pattern stays."""
    kernel = np.full((3, 3), -1)
    kernel[1, 1] = 8
    response = np.abs(np.fft.fft2(kernel, (8, 8)))
    assert response[0, 0] == pytest.approx(0)
    assert response[4, 4] == pytest.approx(8)
    np.testing.assert_array_equal(cross_correlation(np.ones((5, 5)), kernel), 0)


def test_matrices_of_three_layers():
    """Slide "Convolutional Layer" asks for W of each, here from 6 values to 4: 24 weights, 12 and 3.

    The locally connected layer has zeros where the convolution has them, and shares no weight.
    """
    keras.utils.set_random_seed(0)
    units = np.eye(6, dtype="float32")
    conv = keras.layers.Conv1D(1, 3, use_bias=False)
    local = layers.LocallyConnected1D(1, 3, use_bias=False)
    dense = keras.layers.Dense(4, use_bias=False)
    conv_matrix = ops.convert_to_numpy(conv(units[..., None]))[..., 0].T
    local_matrix = ops.convert_to_numpy(local(units[..., None]))[..., 0].T
    dense_matrix = ops.convert_to_numpy(dense(units)).T
    np.testing.assert_allclose(conv_matrix, convolution_matrix(conv.get_weights()[0].ravel(), (6,)).toarray())
    np.testing.assert_array_equal(local_matrix != 0, conv_matrix != 0)
    weights = [len(np.unique(matrix[matrix != 0])) for matrix in (dense_matrix, local_matrix, conv_matrix)]
    assert weights == [24, 12, 3]


def test_convolution_layer_of_alexnet():
    """Slide "Convolution Layer": 96 filters of 3 x 11 x 11, (227 - 11) / 4 + 1 = 55."""
    assert conv_output_size(227, 11, 4) == 55
    layer = keras.layers.Conv2D(96, 11, 4)
    assert layer.compute_output_shape((None, 227, 227, 3)) == (None, 55, 55, 96)
    layer.build((None, 227, 227, 3))
    cost = costs.standard((11, 11), 3, 96, 55 * 55)
    assert cost.parameters == layer.count_params() == 96 * 3 * 11 * 11 + 96


def test_alexnet_in_torch_ends_in_256_maps_of_6():
    """Slides "CNN in torch" and "Convolution Math": 224 pixels, down to the 256 * 6 * 6 of the first Linear."""
    sizes = [conv_output_size(224, 11, 4, padding=2)]
    sizes.append(pool_output_size(sizes[-1], 3, 2))
    sizes.append(conv_output_size(sizes[-1], 5, padding=2))
    sizes.append(pool_output_size(sizes[-1], 3, 2))
    sizes += [conv_output_size(sizes[-1], 3, padding=1)] * 3
    sizes.append(pool_output_size(sizes[-1], 3, 2))
    assert sizes == [55, 27, 27, 13, 13, 13, 13, 6]
    assert costs.dense(256 * sizes[-1] ** 2, 4096).parameters == (256 * 6 * 6 + 1) * 4096


def test_twice_the_maps_at_half_the_side_cost_the_same():
    """Slide "Pooling Layers" (and Imperial's "Practical hints"): without the pooling it would be four times as much."""
    early = costs.standard((3, 3), 64, 64, 56**2, bias=False)
    late = costs.standard((3, 3), 128, 128, pool_output_size(56, 2) ** 2, bias=False)
    unpooled = costs.standard((3, 3), 128, 128, 56**2, bias=False)
    assert late.multiplications == early.multiplications
    assert unpooled.multiplications == 4 * early.multiplications


def test_efficiency_of_convolution():
    """Slide "Efficiency of Convolution" (Goodfellow 2016, figure 9.6): 320 x 280 pixels, a kernel of 2 by 1."""
    width, height = 320, 280
    output = conv_output_size(width, 2), conv_output_size(height, 1)
    assert output == (319, 280)
    places = output[0] * output[1]

    shared = costs.standard((2, 1), 1, 1, places, bias=False)
    dense = costs.dense(width * height, places, bias=False)
    sparse = convolution_matrix(np.array([[-1], [1]]), (width, height))
    assert shared.parameters == 2
    assert dense.parameters == sparse.shape[0] * sparse.shape[1] == 319 * 280 * 320 * 280 > 8e9
    assert sparse.nnz == 178_640

    assert shared.operations == 267_960  # 2 products and 1 sum for each of 89,320 outputs
    assert dense.operations > 16e9
    assert 2 * sparse.nnz - sparse.shape[0] == shared.operations  # "same as convolution"


def test_transposed_convolution():
    """Slide "Transposed Convolution": both as products with the matrix that it prints, and with its transpose."""
    printed = [
        [1, 2, 0, 2, 1, 0, 0, 0, 0],
        [0, 1, 2, 0, 2, 1, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 2, 1, 0],
        [0, 0, 0, 0, 1, 2, 0, 2, 1],
    ]
    matrix = convolution_matrix(KERNEL, IMAGE.shape)
    np.testing.assert_array_equal(matrix.toarray(), printed)
    np.testing.assert_array_equal(matrix @ IMAGE.ravel(), [22, 21, 22, 20])
    np.testing.assert_array_equal(cross_correlation(IMAGE, KERNEL), [[22, 21], [22, 20]])

    small = np.array([[1, 2], [2, 4]])
    large = [[1, 4, 4], [4, 13, 10], [4, 10, 4]]
    np.testing.assert_array_equal(transposed(small, KERNEL, IMAGE.shape), large)
    product = matrix.T @ small.ravel()
    np.testing.assert_array_equal(product, np.ravel(large))
    # The slide's text has the product as a column of 8 numbers: one of two neighbouring 4s is lost.
    column = [1, 4, 4, 13, 10, 4, 10, 4]
    np.testing.assert_array_equal(np.delete(product, 2), column)


def test_transposed_convolution_by_the_layers():
    def batch(array):
        return array[None, ..., None].astype("float32")

    kernel = KERNEL[..., None, None].astype("float32")
    forward = ops.conv(batch(IMAGE), kernel)
    np.testing.assert_array_equal(ops.convert_to_numpy(forward).ravel(), [22, 21, 22, 20])
    back = ops.conv_transpose(batch(np.array([[1, 2], [2, 4]])), kernel, strides=1)
    np.testing.assert_array_equal(ops.convert_to_numpy(back)[0, ..., 0], [[1, 4, 4], [4, 13, 10], [4, 10, 4]])


def test_dilation_of_a_normal_convolution_is_1():
    """Slide "Dilations" counts the zeros between the values: "normal convolutions dilation = 0".

    Keras, PyTorch, this package and the table of Yu & Koltun on the next slide count the distance of the values, which
    is 1 for a normal convolution; the slide's picture, "dilation = 1", has a distance of 2.
    """
    assert effective_kernel(3, dilation=1) == 3
    assert effective_kernel(3, dilation=1 + 1) == 5
    with pytest.raises(ValueError, match="dilation must be 1 or more, got 0"):
        effective_kernel(3, dilation=0)


def test_receptive_fields_of_yu_and_koltun():
    """Slide "Dilation in Segmentation", the table of the context module."""
    kernels = [3, 3, 3, 3, 3, 3, 3, 1]
    dilations = [1, 1, 2, 4, 8, 16, 1, 1]
    stack = [(kernel, 1, 0, dilation) for kernel, dilation in zip(kernels, dilations, strict=True)]
    fields = [receptive_field(stack[:depth]).size for depth in range(1, 9)]
    assert fields == [3, 5, 9, 17, 33, 65, 67, 67]
    assert receptive_field(stack).stride == 1  # "without losing resolution"


def dense_form(classifier, shape):
    """LeNet-5 for larger images: C5 as the 5x5 convolution that it is, the other dense layers as 1x1 convolutions."""
    inputs = keras.Input(shape)
    x = inputs
    for layer in classifier.layers[1:]:
        if isinstance(layer, keras.layers.Flatten):
            continue
        if isinstance(layer, keras.layers.Dense):
            side = 5 if isinstance(x._keras_history.operation, keras.layers.AveragePooling2D) else 1
            conv = keras.layers.Conv2D(layer.units, side, activation=layer.activation)
            x = conv(x)
            kernel, bias = layer.get_weights()
            conv.set_weights([kernel.reshape(conv.kernel.shape), bias])
        else:
            x = layer(x)
    return keras.Model(inputs, x)


def test_dense_prediction_is_the_classifier_at_each_window():
    """Slides "1x1 Convolution" and "Fully Convolutional Networks": one pass gives a class at each position.

    A window of 32 pixels every 4 of them, LeNet-5's stride.
    """
    keras.utils.set_random_seed(0)
    classifier = tfcnn.build("lenet5", (32, 32, 1), 10)
    image = np.random.default_rng(0).normal(size=(1, 44, 48, 1)).astype("float32")
    scores = ops.convert_to_numpy(dense_form(classifier, (44, 48, 1))(image))
    assert scores.shape == (1, 4, 5, 10)
    windows = np.lib.stride_tricks.sliding_window_view(image[0, ..., 0], (32, 32))[::4, ::4]
    expected = ops.convert_to_numpy(classifier(windows.reshape(20, 32, 32, 1)))
    np.testing.assert_allclose(scores[0].reshape(20, 10), expected, rtol=1e-4, atol=1e-5)


def test_what_dense_prediction_shares():
    """On 480x480 pixels one pass takes a sixth of the MACs of all windows, and a 28th of those of the convolutions.

    Windows share the convolutions alone: the dense layers belong to one position each.
    """
    classifier = tfcnn.build("lenet5", (32, 32, 1), 10)
    positions = ((480 - 32) // 4 + 1) ** 2
    windows = positions * cost.cost_table(classifier).macs
    dense = positions * (25 * 16 * 120 + 120 * 84 + 84 * 10)
    once = cost.cost_table(dense_form(classifier, (480, 480, 1))).macs
    assert once == 476**2 * 25 * 6 + 234**2 * 25 * 6 * 16 + dense
    assert round(windows / once, 1) == 5.8
    assert round((windows - dense) / (once - dense), 1) == 27.6


def test_batch_normalisation_keeps_96_of_each():
    """Slide "2D Batchnorm": 96 means, deviations, gammas and betas, of the whole map and not of a position."""
    layer = keras.layers.BatchNormalization(epsilon=0.0)
    x = np.random.default_rng(0).normal(2, 3, size=(4, 5, 6, 96)).astype("float32")
    gamma = np.linspace(1, 2, 96, dtype="float32")
    beta = np.linspace(-1, 1, 96, dtype="float32")
    layer.build(x.shape)
    assert [w.shape for w in layer.weights] == [(96,)] * 4
    layer.set_weights([gamma, beta, *layer.get_weights()[2:]])
    output = ops.convert_to_numpy(layer(x, training=True))
    mean = x.mean((0, 1, 2))
    deviation = x.std((0, 1, 2))
    assert mean.shape == (96,)
    np.testing.assert_allclose(output, gamma / deviation * (x - mean) + beta, rtol=1e-4, atol=1e-4)
