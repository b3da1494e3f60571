"""The worked numbers of the lectures that need a layer of `tfcnn.layers`; each test names its deck."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfcnn import layers
from tfcnn.arithmetic import costs
from tfcnn.arithmetic.matrix import convolution, cross_correlation
from tfcnn.arithmetic.sizes import conv_output_size, receptive_field


def batch(array):
    return np.asarray(array, "float32")[None, ..., None]


def single(tensor):
    return ops.convert_to_numpy(tensor)[0, ..., 0]


# University College London, COMP0197, slide "Un-pooling for up-sampling".
POOLED_FROM = [[0.1, 0.5, 1.2, -0.7], [0.8, -0.2, -0.5, 0.3], [0.4, 0.9, -0.1, -0.2], [-0.6, 0.1, 0.5, 0.3]]
UNPOOLED = [[0, 0, 0.5, 0], [1.3, 0, 0, 0], [0, 0.4, 0, 0], [0, 0, 0.1, 0]]


def test_max_unpooling():
    values, indices = layers.MaxPoolingWithArgmax2D(2)(batch(POOLED_FROM))
    np.testing.assert_allclose(single(values), [[0.8, 1.2], [0.9, 0.5]])
    places = [divmod(int(index), 4) for index in single(indices).ravel()]
    assert places == [(1, 0), (0, 2), (2, 1), (3, 2)]  # the crosses of the slide
    unpooled = layers.MaxUnpooling2D(2)([batch([[1.3, 0.5], [0.4, 0.1]]), indices])
    np.testing.assert_allclose(single(unpooled), UNPOOLED)


def test_bed_of_nails():
    """Seoul National University, slide "Rule-based upsampling"; UCL: "a fixed position and zeros everywhere else"."""
    output = single(layers.BedOfNails2D(2)(batch([[1, 2], [3, 4]])))
    np.testing.assert_array_equal(output, [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]])


def test_nearest_neighbour():
    """The same slide; this one is Keras' own layer."""
    output = single(keras.layers.UpSampling2D(2)(batch([[1, 2], [3, 4]])))
    np.testing.assert_array_equal(output, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])


def test_l2_norm_pooling():
    """Imperial College, slide "Pooling methods"; on the image of De Silva's max pooling, 3 x 3 with stride 1."""
    image = np.array([[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]])
    output = single(layers.LpPooling2D(pool_size=3, strides=1, p=2)(batch(image)))
    squares = cross_correlation(image**2, np.ones((3, 3)))
    np.testing.assert_allclose(output, np.sqrt(squares), rtol=1e-6)
    assert output[0, 0] == pytest.approx(np.sqrt(9 + 9 + 4 + 1 + 9 + 1 + 4))
    assert (output >= single(keras.layers.MaxPooling2D(3, 1)(batch(image)))).all()


@pytest.mark.parametrize(("depth", "parameters"), [(1, 84_672), (5, 423_360)])
def test_neurons_that_share_no_weights(depth, parameters):
    """Imperial College, slides "CNN Neurons": the 85 thousand of the slide are one depth slice of five."""
    layer = layers.LocallyConnected2D(depth, 7, use_bias=False)
    assert layer(np.ones((1, 30, 30, 3), "float32")).shape == (1, 24, 24, depth)
    assert layer.count_params() == parameters
    places = conv_output_size(30, 7) ** 2
    assert costs.locally_connected((7, 7), 3, depth, places, bias=False).parameters == parameters


def test_sobel_as_a_layer():
    """UCL, slide "Depthwise separable kernels": [1, 2, 1]^T [1, 0, -1] has 6 numbers and filters as the 9 do."""
    image = np.random.default_rng(0).integers(0, 9, (7, 8))
    column = np.array([1, 2, 1])
    row = np.array([1, 0, -1])
    layer = layers.SpatiallySeparableConv2D(1, 3, use_bias=False)
    layer(batch(image))
    layer.set_weights([column.reshape(3, 1, 1, 1), row.reshape(1, 3, 1, 1)])
    assert layer.count_params() == 6
    sobel = np.outer(column, row)
    np.testing.assert_allclose(single(layer(batch(image))), cross_correlation(image, sobel), atol=1e-5)
    np.testing.assert_allclose(single(layer(batch(image))), convolution(image, np.flip(sobel)), atol=1e-5)
    spatial = costs.spatially_separable((3, 3), 1, 1, (5 * 8, 5 * 6), bias=False)
    assert spatial.parameters == layer.count_params()


def test_dilated_context_sees_67_pixels():
    """Lecture 5, slide "Dilation in Segmentation": the field of Yu & Koltun's module, measured by its gradient."""
    kernels = [3, 3, 3, 3, 3, 3, 3, 1]
    dilations = [1, 1, 2, 4, 8, 16, 1, 1]
    for depth, size in enumerate([3, 5, 9, 17, 33, 65, 67, 67], start=1):
        stack = list(zip(kernels[:depth], dilations[:depth], strict=True))
        model = keras.Sequential(
            [keras.layers.Conv2D(1, k, dilation_rate=d, kernel_initializer="ones", use_bias=False) for k, d in stack]
        )
        image = tf.zeros((1, 71, 71, 1))
        with tf.GradientTape() as tape:
            tape.watch(image)
            output = model(image)
            first = output[:, 0, 0]
        places = np.argwhere(tape.gradient(first, image)[0, ..., 0].numpy())
        assert places.min(0).tolist() == [0, 0]
        assert (places.max(0) + 1).tolist() == [size, size]
        assert output.shape[1] == 71 - size + 1
        assert receptive_field([(k, 1, 0, d) for k, d in stack]).size == size
