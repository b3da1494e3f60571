"""The matrix against Keras' layers, loops and automatic differentiation."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfcnn.arithmetic import matrix, transposed_conv_output_size
from tfcnn.arithmetic.matrix import convolution, convolution_matrix, cross_correlation

# kernel, input, stride, padding, dilation
LAYERS = [
    ((3,), (8,), 1, 0, 1),
    ((3,), (9,), 2, 1, 1),
    ((4,), (9,), 3, "full", 2),
    ((2,), (7,), 3, [(0, 4)], 1),
    ((3, 3), (5, 5), 1, 0, 1),
    ((3, 2), (6, 7), 2, 1, 1),
    ((3, 3), (8, 7), 1, "same", 2),
    ((2, 3), (9, 8), (2, 3), [1, "same"], (3, 2)),
    ((1, 1), (4, 4), 2, 2, 1),  # a border wider than the kernel
    ((2, 3, 2), (4, 5, 4), (1, 2, 1), 1, 1),
]
layer = pytest.mark.parametrize(("kernel_shape", "shape", "stride", "padding", "dilation"), LAYERS)


def draw(*shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in shapes]


def for_each_axis(value, shape):
    return [value] * len(shape) if isinstance(value, int | str) else value


def border(padding, size, kernel, stride, dilation):
    """(before, after) along one axis, by the definition of each padding."""
    covered = dilation * (kernel - 1) + 1
    if padding == "same":  # TensorFlow's: ceil(size / stride) outputs, the odd pixel after
        total = max((-(-size // stride) - 1) * stride + covered - size, 0)
        return total // 2, total - total // 2
    if padding == "full":
        return covered - 1, covered - 1
    return (padding, padding) if isinstance(padding, int) else padding


def borders(shape, kernel_shape, stride, padding, dilation):
    steps = [for_each_axis(value, shape) for value in (padding, stride, dilation)]
    return [border(p, n, k, s, d) for n, k, p, s, d in zip(shape, kernel_shape, *steps, strict=True)]


def loop(x, kernel, stride, padding, dilation):
    """The definition, window by window."""
    padded = np.pad(x, borders(x.shape, kernel.shape, stride, padding, dilation))
    strides = np.array(for_each_axis(stride, x.shape))
    dilations = np.array(for_each_axis(dilation, x.shape))
    covered = dilations * (np.array(kernel.shape) - 1) + 1
    output = np.zeros((padded.shape - covered) // strides + 1)
    for place in np.ndindex(output.shape):
        for tap in np.ndindex(kernel.shape):
            output[place] += padded[tuple(place * strides + tap * dilations)] * kernel[tap]
    return output


def tensorflow_convolution(x, kernel, stride, padding, dilation):
    """The same by TensorFlow's convolution of the padded input, for automatic differentiation."""
    padded = tf.pad(x, borders(x.shape, kernel.shape, stride, padding, dilation))
    # TensorFlow refuses strides together with dilation: dilate the kernel, and stride by slicing.
    output = tf.nn.convolution(
        padded[None, ..., None],
        kernel[..., None, None],
        padding="VALID",
        dilations=for_each_axis(dilation, x.shape),
        data_format="N" + "DHW"[-len(x.shape) :] + "C",
    )
    return output[0, ..., 0][tuple(slice(None, None, step) for step in for_each_axis(stride, x.shape))]


@layer
def test_c_x_is_the_layer(kernel_shape, shape, stride, padding, dilation):
    kernel, x = draw(kernel_shape, shape)
    expected = loop(x, kernel, stride, padding, dilation)
    c = convolution_matrix(kernel, shape, stride, padding, dilation)
    np.testing.assert_allclose(c @ x.ravel(), expected.ravel(), atol=1e-12)
    np.testing.assert_allclose(cross_correlation(x, kernel, stride, padding, dilation), expected, atol=1e-12)


@layer
def test_the_two_oracles_agree(kernel_shape, shape, stride, padding, dilation):
    kernel, x = draw(kernel_shape, shape)
    output = tensorflow_convolution(x, tf.constant(kernel), stride, padding, dilation)
    np.testing.assert_allclose(output, loop(x, kernel, stride, padding, dilation), atol=1e-12)


def keras_layer(kind, kernel, inputs, *args, **kwargs):
    """Output of a Keras layer with one filter, on one map."""
    layer = kind(1, kernel.shape, *args, use_bias=False, dtype="float64", **kwargs)
    layer.build((1, *inputs.shape, 1))
    layer.set_weights([kernel[..., None, None]])
    return ops.convert_to_numpy(layer(inputs[None, ..., None]))[0, ..., 0]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2)])
def test_c_x_is_keras_layer(padding, stride, dilation):
    kernel, x = draw((3, 4), (9, 8))
    expected = keras_layer(keras.layers.Conv2D, kernel, x, stride, padding, dilation_rate=dilation)
    np.testing.assert_allclose(cross_correlation(x, kernel, stride, padding, dilation), expected, atol=1e-12)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_c_transposed_y_is_keras_transposed_layer(padding, stride):
    # TensorFlow has no dilated transposed convolution on CPU: the backward passes below stand for it.
    kernel, y = draw((3, 4), (4, 3))
    expected = keras_layer(keras.layers.Conv2DTranspose, kernel, y, stride, padding)
    extra = [max(stride - side, 0) if padding == "valid" else 0 for side in kernel.shape]
    sizes = zip(y.shape, kernel.shape, extra, strict=True)
    shape = tuple(transposed_conv_output_size(n, k, stride, padding, output_padding=rest) for n, k, rest in sizes)
    assert expected.shape == shape
    np.testing.assert_allclose(matrix.transposed(y, kernel, shape, stride, padding), expected, atol=1e-12)


@layer
def test_both_backward_passes_are_automatic_differentiation(kernel_shape, shape, stride, padding, dilation):
    kernel, x = draw(kernel_shape, shape)
    tf_kernel = tf.constant(kernel)
    tf_x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch((tf_kernel, tf_x))
        output = tensorflow_convolution(tf_x, tf_kernel, stride, padding, dilation)
        upstream = np.random.default_rng(1).normal(size=output.shape)
        loss = tf.reduce_sum(output * upstream)
    dx, dk = tape.gradient(loss, [tf_x, tf_kernel])
    np.testing.assert_allclose(matrix.transposed(upstream, kernel, shape, stride, padding, dilation), dx, atol=1e-12)
    np.testing.assert_allclose(
        matrix.input_gradient(kernel, upstream, shape, stride, padding, dilation), dx, atol=1e-12
    )
    np.testing.assert_allclose(
        matrix.kernel_gradient(x, upstream, kernel_shape, stride, padding, dilation), dk, atol=1e-12
    )


def test_stride_one_is_toeplitz():
    dense = convolution_matrix(np.array([1, 2, 3]), (9,), padding=1).toarray()
    assert all(len(set(np.diagonal(dense, offset))) == 1 for offset in range(-8, 9))


def test_stride_one_along_two_axes_is_built_of_toeplitz_blocks():
    (kernel,) = draw((2, 3))
    blocks = convolution_matrix(kernel, (4, 5)).toarray().reshape(3, 3, 4, 5)  # block row, row, block column, column
    for i, j in itertools.product(range(2), range(3)):
        np.testing.assert_array_equal(blocks[i, :, j], blocks[i + 1, :, j + 1])


def test_a_layer_has_no_more_stored_numbers_than_products():
    c = convolution_matrix(np.zeros((3, 3)), (8, 8), padding=1)
    assert c.nnz == sum(len(range(max(i - 1, 0), min(i + 2, 8))) for i in range(8)) ** 2


def test_convolution_commutes_and_cross_correlation_does_not():
    x, kernel = draw((5, 6), (3, 2))
    full = convolution(x, kernel, padding="full")
    np.testing.assert_allclose(convolution(kernel, x, padding="full"), full, atol=1e-12)
    there = cross_correlation(x, kernel, padding="full")
    back = cross_correlation(kernel, x, padding="full")
    assert not np.allclose(there, back)
    np.testing.assert_allclose(np.flip(there), back, atol=1e-12)
    np.testing.assert_allclose(cross_correlation(x, np.flip(kernel), padding="full"), full, atol=1e-12)


def test_convolution_is_associative():
    x, u, v = draw((6, 6), (3, 1), (1, 3))
    one_by_one = convolution(convolution(x, u), v)
    np.testing.assert_allclose(convolution(x, convolution(u, v, padding="full")), one_by_one, atol=1e-12)


@pytest.mark.parametrize("shapes", [((7,), (3,)), ((5, 6), (3, 2)), ((3, 4), (5, 5))])
def test_the_fourier_transform_multiplies(shapes):
    x, kernel = draw(*shapes)
    np.testing.assert_allclose(
        matrix.fourier_convolution(x, kernel), convolution(x, kernel, padding="full"), atol=1e-12
    )


@pytest.mark.parametrize(("kernel_shape", "shape"), [((3,), (8,)), ((3, 2), (4, 5)), ((5,), (3,))])
def test_the_fourier_transform_makes_a_circulant_matrix_diagonal(kernel_shape, shape):
    (kernel,) = draw(kernel_shape)
    circulant = matrix.circulant_matrix(kernel, shape)
    size = int(np.prod(shape))
    fourier = np.fft.fftn(np.eye(size).reshape(size, *shape), axes=range(1, len(shape) + 1)).reshape(size, size)
    diagonal = fourier @ circulant @ np.linalg.inv(fourier)
    wrapped = np.zeros(shape)
    for tap in np.ndindex(kernel.shape):
        wrapped[tuple(t % side for t, side in zip(tap, shape, strict=True))] += kernel[tap]
    np.testing.assert_allclose(diagonal, np.diag(np.fft.fftn(wrapped).ravel()), atol=1e-10)


def test_a_kernel_with_other_axes_is_refused():
    with pytest.raises(ValueError, match="2 axes does not fit an input with 1"):
        convolution_matrix(np.ones((3, 3)), (5,))


def test_a_kernel_larger_than_the_input_is_refused():
    with pytest.raises(ValueError, match="covers 5 does not fit an input of 4"):
        convolution_matrix(np.ones(3), (4,), dilation=2)
