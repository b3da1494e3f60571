"""Seoul National University, M2177.003100 Deep Learning (Sungroh Yoon): "7: Convolutional Neural Nets (Part 2)"."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfcnn.arithmetic import costs
from tfcnn.arithmetic.matrix import (
    convolution,
    convolution_matrix,
    cross_correlation,
    fourier_convolution,
    input_gradient,
    kernel_gradient,
    transposed,
)
from tfcnn.arithmetic.sizes import conv_output_size, effective_kernel, transposed_conv, transposed_conv_output_size
from tfcnn.cost import cost_table

K = np.array([[2.0, 3.0], [5.0, 7.0]])  # the running example, (k, m, s, p) = (2, 3, 1, 0), in prime numbers
V = np.array([[11.0, 13.0, 17.0], [19.0, 23.0, 29.0], [31.0, 37.0, 41.0]])
G = np.array([[43.0, 47.0], [53.0, 59.0]])


def test_kernel_flipping():
    """Slide "Recall: convolution": commutative with it, not without."""
    np.testing.assert_array_equal(convolution(V, K, padding="full"), convolution(K, V, padding="full"))
    there = cross_correlation(V, K, padding="full")
    back = cross_correlation(K, V, padding="full")
    assert not np.array_equal(there, back)


def test_convolution_as_a_matrix_operation():
    (k11, k12), (k21, k22) = K
    v = V.ravel()
    printed = [
        [k11, k12, 0, k21, k22, 0, 0, 0, 0],
        [0, k11, k12, 0, k21, k22, 0, 0, 0],
        [0, 0, 0, k11, k12, 0, k21, k22, 0],
        [0, 0, 0, 0, k11, k12, 0, k21, k22],
    ]
    matrix = convolution_matrix(K, V.shape)
    np.testing.assert_array_equal(matrix.toarray(), printed)
    z11 = k11 * v[0] + k12 * v[1] + k21 * v[3] + k22 * v[4]
    z22 = k11 * v[4] + k12 * v[5] + k21 * v[7] + k22 * v[8]
    np.testing.assert_array_equal((matrix @ v)[[0, 3]], [z11, z22])


def test_backward_by_flipped_kernel_and_by_transposed_matrix():
    """Slides "dV = flipped K * G", "dv = C^T g", "dK = G * V": the sums as printed, and automatic differentiation."""
    (k11, k12), (k21, k22) = K
    (g11, g12), (g21, g22) = G
    dv = [
        [k11 * g11, k12 * g11 + k11 * g12, k12 * g12],
        [k21 * g11 + k11 * g21, k22 * g11 + k21 * g12 + k12 * g21 + k11 * g22, k22 * g12 + k12 * g22],
        [k21 * g21, k22 * g21 + k21 * g22, k22 * g22],
    ]
    np.testing.assert_array_equal(input_gradient(K, G, V.shape), dv)
    np.testing.assert_array_equal(cross_correlation(np.pad(G, 1), np.flip(K)), dv)
    np.testing.assert_array_equal(transposed(G, K, V.shape), dv)
    np.testing.assert_array_equal(kernel_gradient(V, G, K.shape), cross_correlation(V, G))
    dk11 = g11 * V[0, 0] + g12 * V[0, 1] + g21 * V[1, 0] + g22 * V[1, 1]
    assert kernel_gradient(V, G, K.shape)[0, 0] == dk11

    kernel = tf.constant(K[..., None, None])
    image = tf.constant(V[None, ..., None])
    with tf.GradientTape() as tape:
        tape.watch((kernel, image))
        output = ops.conv(image, kernel)
        loss = tf.reduce_sum(output[0, ..., 0] * G)
    dk, dx = tape.gradient(loss, [kernel, image])
    np.testing.assert_allclose(dx[0, ..., 0], dv)
    np.testing.assert_allclose(dk[..., 0, 0], kernel_gradient(V, G, K.shape))


def test_the_backward_pass_of_a_transposed_convolution_is_the_convolution():
    """Slides "More formally": C^T forward, (C^T)^T = C backward."""
    kernel = tf.constant(K[..., None, None])
    small = tf.constant(G[None, ..., None])
    with tf.GradientTape() as tape:
        tape.watch(small)
        output = ops.conv_transpose(small, kernel, strides=1)
        loss = tf.reduce_sum(output[0, ..., 0] * V)
    np.testing.assert_allclose(output[0, ..., 0], transposed(G, K, V.shape))
    np.testing.assert_allclose(tape.gradient(loss, small)[0, ..., 0], cross_correlation(V, K))


def test_1x1_convolution_multiplies():
    """Slide "1x1 convolution on volumes"."""
    image = np.array([[6, 2, 1, 1], [9, 4, 5, 6], [2, 7, 5, 3], [8, 2, 3, 5]])
    printed = [[12, 4, 2, 2], [18, 8, 10, 12], [4, 14, 10, 6], [16, 4, 6, 10]]
    np.testing.assert_array_equal(cross_correlation(image, np.array([[2]])), printed)


def test_1x1_convolution_is_a_dense_layer_at_every_place():
    """Slide "Depth adjustment": 2 x 2 x 3 by two 1 x 1 x 3 filters, 2 x 2 = 4 applications of a layer from 3 to 2."""
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 3)).astype("float32")
    conv = keras.layers.Conv2D(2, 1)
    dense = keras.layers.Dense(2)
    conv.build(x.shape)
    dense.build(x.shape)
    weights = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0])
    conv.set_weights([weights[0][None, None], weights[1]])
    dense.set_weights(weights)
    np.testing.assert_allclose(conv(x), dense(x), rtol=1e-6)
    once = costs.dense(3, 2)
    everywhere = costs.standard((1, 1), 3, 2, 2 * 2)
    assert everywhere.parameters == once.parameters
    assert everywhere.multiplications == 4 * once.multiplications


def test_a_transposed_convolution_from_2_to_5():
    """Slide "Transposed convolution": a 3 x 3 filter takes 2 x 2 to 5 x 5, with stride 2."""
    assert transposed_conv_output_size(2, 3, stride=2) == 5
    direct = transposed_conv(2, 3, stride=2)
    assert (direct.zeros, direct.before, direct.after) == (1, 2, 2)


def test_a_transposed_convolution_by_zeros_multiplies_more():
    """Slide "More formally": with zeros between and around the values, easy and slow; here 225 products against 36."""
    direct = transposed_conv(2, 3, stride=2)
    by_zeros = costs.standard((3, 3), 1, 1, direct.output**2, bias=False)
    layer = keras.layers.Conv2DTranspose(1, 3, strides=2, use_bias=False)
    inputs = keras.Input((2, 2, 1))
    assert by_zeros.multiplications == 225
    assert cost_table(keras.Model(inputs, layer(inputs))).multiplications == 36


@pytest.mark.parametrize("stride", [1, 2])
def test_overlaps_are_summed(stride):
    """Slide "more examples": in 1-D, copies of the kernel weighted by the input, a b, x y z."""
    a, b = 2.0, 3.0
    x, y, z = kernel = np.array([5.0, 7.0, 11.0])
    expected = (
        [a * x, a * y + b * x, a * z + b * y, b * z] if stride == 1 else [a * x, a * y, a * z + b * x, b * y, b * z]
    )
    size = transposed_conv_output_size(2, 3, stride)
    np.testing.assert_array_equal(transposed(np.array([a, b]), kernel, (size,), stride), expected)


def test_dilated_convolution():
    """Slide "Dilated convolution": a 3 x 3 filter with rate 2 sees what a 5 x 5 one sees, with 9 parameters."""
    assert effective_kernel(3, dilation=2) == 5
    assert costs.standard((3, 3), 1, 1, 1, bias=False).parameters == 9
    inflated = np.zeros((5, 5))
    inflated[::2, ::2] = kernel = np.arange(1.0, 10).reshape(3, 3)
    image = np.random.default_rng(0).normal(size=(8, 7))
    np.testing.assert_allclose(cross_correlation(image, kernel, dilation=2), cross_correlation(image, inflated))


def test_spatially_separable():
    """Slide "Separable convolution"."""
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    column = np.array([[1], [2], [1]])
    row = np.array([[-1, 0, 1]])
    np.testing.assert_array_equal(column @ row, sobel)
    image = np.random.default_rng(0).integers(0, 9, (7, 7))
    np.testing.assert_array_equal(
        cross_correlation(cross_correlation(image, column), row), cross_correlation(image, sobel)
    )
    whole = costs.standard((3, 3), 1, 1, 25, bias=False)
    parts = costs.spatially_separable((3, 3), 1, 1, (5 * 7, 5 * 5), bias=False)
    assert (whole.multiplications, parts.multiplications) == (25 * 9, (35 + 25) * 3)


def test_depthwise_separable_for_one_filter():
    """Slide "depthwise separable convolution": 7 x 7 x 3 to 5 x 5 x 1, no gain for one filter."""
    places = conv_output_size(7, 3) ** 2
    regular = costs.standard((3, 3), 3, 1, places, bias=False)
    steps = costs.depthwise((3, 3), 3, places, bias=False), costs.standard((), 3, 1, places, bias=False)
    assert places == 5 * 5
    assert regular.multiplications == 675
    assert [step.multiplications for step in steps] == [675, 75]
    assert costs.separable((3, 3), 3, 1, places, bias=False).multiplications == 750


def test_depthwise_separable_for_128_filters():
    """Slide "how about multiple (e.g. 128) filters?".

    Its sum for the separable layer, 3 (3 x 3 x 1)(5 x 5) + 128 (1 x 1 x 3)(5 x 5) = 9,600, is the second term alone:
    the depthwise 675 are missing, and it is 10,275. That is 12 % of 86,400, not 11 %. The weights are right.
    """
    places = conv_output_size(7, 3) ** 2
    regular = costs.standard((3, 3), 3, 128, places, bias=False)
    separable = costs.separable((3, 3), 3, 128, places, bias=False)
    depthwise = costs.depthwise((3, 3), 3, places, bias=False)
    pointwise = costs.standard((), 3, 128, places, bias=False)
    assert regular.multiplications == 86_400
    assert pointwise.multiplications == 9_600
    assert separable.multiplications == pointwise.multiplications + depthwise.multiplications == 10_275
    assert round(100 * pointwise.multiplications / regular.multiplications) == 11
    assert round(100 * separable.multiplications / regular.multiplications) == 12
    assert (regular.parameters, separable.parameters) == (3_456, 411)


def test_a_kernel_as_deep_as_its_input_moves_along_two_axes():
    """Slide "3D convolution": such a kernel is the 2-D layer's; a shallower one moves along the depth as well."""
    volume, kernel = (np.random.default_rng(0).integers(0, 9, shape) for shape in ((4, 5, 6), (4, 3, 3)))
    whole = cross_correlation(volume, kernel)
    channels = [cross_correlation(plane, weights) for plane, weights in zip(volume, kernel, strict=True)]
    np.testing.assert_array_equal(whole, [sum(channels)])
    assert cross_correlation(volume, kernel[:2]).shape == (3, 3, 4)


def test_grouped_convolution():
    """Slides "Grouped convolution": two groups hold half of the weights and work."""
    whole = costs.standard((3, 3), 8, 6, 25, bias=False)
    groups = costs.standard((3, 3), 8, 6, 25, groups=2, bias=False)
    assert (2 * groups.parameters, 2 * groups.multiplications) == (whole.parameters, whole.multiplications)


def test_convolution_by_frequency_domain_conversion():
    np.testing.assert_allclose(fourier_convolution(V, K), convolution(V, K, padding="full"))
