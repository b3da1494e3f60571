"""Imperial College London, EE3-25 Deep Learning (Mikolajczyk & Ciliberto): "Convolutional Neural Networks"."""

import keras
import numpy as np
import pytest
from keras import losses, ops
from sklearn.datasets import load_sample_image

from tfcnn.arithmetic import costs
from tfcnn.arithmetic.matrix import cross_correlation
from tfcnn.arithmetic.sizes import conv_output_size, padding_amounts, padding_for, pool_output_size
from tfcnn.losses import MulticlassHinge
from tfcnn.visualize.classics import compress

# Slide "Convolutional tensors and kernels". The padded input and the filters, channel by channel; the table of the
# slide's text is scrambled, this is its reading order.
X = np.array(
    [
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 1, 2, 0, 0, 1, 0],
            [0, 2, 2, 0, 1, 0, 0],
            [0, 2, 2, 1, 2, 1, 0],
            [0, 0, 1, 1, 0, 2, 0],
            [0, 2, 1, 0, 2, 1, 0],
            [0, 0, 0, 0, 0, 0, 0],
        ],
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 0, 2, 0, 0, 1, 0],
            [0, 1, 1, 0, 2, 2, 0],
            [0, 0, 1, 1, 0, 2, 0],
            [0, 1, 2, 0, 2, 0, 0],
            [0, 0, 2, 0, 1, 0, 0],
            [0, 0, 0, 0, 0, 0, 0],
        ],
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 2, 2, 1, 0, 0, 0],
            [0, 2, 1, 0, 0, 1, 0],
            [0, 0, 2, 2, 2, 1, 0],
            [0, 1, 2, 1, 0, 2, 0],
            [0, 2, 1, 1, 1, 1, 0],
            [0, 0, 0, 0, 0, 0, 0],
        ],
    ]
)
W0 = np.array(
    [
        [[1, -1, -1], [-1, 0, 0], [-1, -1, 0]],
        [[-1, 0, 1], [-1, 0, 0], [-1, -1, -1]],
        [[-1, -1, 1], [0, 0, 0], [1, -1, -1]],
    ]
)
W1 = np.array(
    [
        [[0, 0, 1], [1, 1, 0], [0, 0, 0]],
        [[1, 0, 0], [1, -1, 1], [-1, 0, 0]],
        [[-1, 1, 0], [0, -1, 1], [1, 0, -1]],
    ]
)
BIASES = (1, 0)
OUTPUTS = ([[-6, -7, -5], [-9, -6, -9], [3, -5, -8]], [[2, 3, -2], [7, 4, 1], [5, 5, 7]])


def test_neighbouring_pixels_are_alike():
    """Slide "CNN Input Data": a tenth of the wavelet details keep a photograph, but not its shuffled pixels."""
    photograph = load_sample_image("china.jpg")[128:256, 256:384].mean(-1)
    shuffled = np.random.default_rng(0).permutation(photograph.ravel()).reshape(photograph.shape)
    errors = [((compress(image, 0.1) - image) ** 2).mean() / image.var() for image in (photograph, shuffled)]
    assert errors[0] < 0.1
    assert errors[1] > 0.4


def test_two_filters_on_three_channels():
    assert conv_output_size(5, 3, stride=2, padding=1) == conv_output_size(7, 3, stride=2) == 3
    for kernel, bias, expected in zip((W0, W1), BIASES, OUTPUTS, strict=True):
        maps = [cross_correlation(channel, values, stride=2) for channel, values in zip(X, kernel, strict=True)]
        np.testing.assert_array_equal(sum(maps) + bias, expected)
        unpadded = [
            cross_correlation(channel[1:-1, 1:-1], values, stride=2, padding=1)
            for channel, values in zip(X, kernel, strict=True)
        ]
        np.testing.assert_array_equal(sum(unpadded) + bias, expected)


def test_two_filters_on_three_channels_by_the_layer():
    layer = keras.layers.Conv2D(2, 3, strides=2)
    layer.build((None, 7, 7, 3))
    layer.set_weights([np.stack([W0, W1], -1).transpose(1, 2, 0, 3), np.array(BIASES)])
    output = ops.convert_to_numpy(layer(X.transpose(1, 2, 0)[None].astype("float32")))[0]
    np.testing.assert_array_equal(output.transpose(2, 0, 1), OUTPUTS)


def test_a_filter_of_2_on_an_image_of_3():
    """Slide "Convolution"."""
    image = np.array([[16, 24, 32], [47, 18, 26], [68, 12, 9]])
    np.testing.assert_array_equal(cross_correlation(image, np.array([[0, -1], [1, 0]])), [[23, -14], [50, -14]])


def test_parameters_without_sharing():
    """Slides "CNN Neurons": 30 x 30 x 3, filters of 7 x 7 at every pixel, depth 5.

    "We need 85k parameters" is one of the five depth slices (84,672); all five are 423,360. The 46 million of the image
    of 256 x 256 do count all five.
    """
    places = conv_output_size(30, 7) ** 2
    assert places == 24 * 24
    one_slice = costs.locally_connected((7, 7), 3, 1, places, bias=False).parameters
    all_slices = costs.locally_connected((7, 7), 3, 5, places, bias=False).parameters
    assert round(one_slice, -3) == 85_000
    assert (one_slice, all_slices) == (84_672, 423_360)
    large = costs.locally_connected((7, 7), 3, 5, conv_output_size(256, 7) ** 2, bias=False).parameters
    assert (large, round(large, -6)) == (45_937_500, 46_000_000)


def test_parameters_with_sharing():
    """Slide "CNN shared filters": 735, and 5 biases where the layer has them."""
    assert costs.standard((7, 7), 3, 5, 24 * 24, bias=False).parameters == 735
    layer = keras.layers.Conv2D(5, 7)
    layer.build((None, 30, 30, 3))
    assert layer.count_params() == 735 + 5


def test_a_shared_weight_works_at_every_place():
    """Slides "CNN shared filters" and "Practical hints": as few weights as a small dense layer, 576 times its work."""
    shared = costs.standard((7, 7), 3, 5, 24 * 24, bias=False)
    dense = costs.dense(7 * 7 * 3, 5, bias=False)
    assert shared.parameters == dense.parameters == dense.multiplications == 735
    assert shared.multiplications == 576 * 735 == 423_360


def test_shifts_but_not_rotations():
    """Slide "CNN properties": the map of a shifted image is the shifted map; of a turned one, by the turned kernel."""
    image, kernel = (np.random.default_rng(0).integers(0, 9, shape) for shape in ((7, 7), (3, 3)))
    features = cross_correlation(image, kernel)
    np.testing.assert_array_equal(cross_correlation(image[2:, 1:], kernel), features[2:, 1:])
    turned = cross_correlation(np.rot90(image), kernel)
    assert not np.array_equal(turned, np.rot90(features))
    np.testing.assert_array_equal(cross_correlation(np.rot90(image), np.rot90(kernel)), np.rot90(features))


def test_strides():
    """Slides "Strides" on 4 x 4 pixels; with F = 3 and S = 2 a second window would not fit."""
    assert [conv_output_size(4, f, s) for f, s in ((2, 1), (2, 2), (3, 2))] == [3, 2, 1]


@pytest.mark.parametrize("size", [7, 10, 32])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_paddings(size, kernel):
    """Slide "Padding", three of whose sentences are wrong.

    * VALID "size of output equals the size of input": that is SAME; VALID loses F - 1.
    * SAME adds F - 1 zeros in all, as it says, but for odd F that is floor(F / 2) on each side, not ceil(F / 2).
    * FULL adds 2 (F - 1) zeros, as it says; H + 2 (F - 1) is the height of the padded input, the output has H + F - 1.
    """
    assert conv_output_size(size, kernel, padding="valid") == size - (kernel - 1) != size
    before, after = padding_amounts(size, kernel, padding="same")
    assert before + after == kernel - 1
    assert conv_output_size(size, kernel, padding="same") == size
    if kernel % 2:
        assert before == after == kernel // 2
        assert conv_output_size(size, kernel, padding=-(-kernel // 2)) == size + 2  # with the slide's ceil(F / 2)
    assert sum(padding_amounts(size, kernel, padding="full")) == 2 * (kernel - 1)
    assert conv_output_size(size, kernel, padding="full") == size + kernel - 1 != size + 2 * (kernel - 1)


def test_layer_parameters():
    """Slide "CNN layer parameters": Wo = (Wi - F + 2 P) / S + 1, F F Di K weights and K biases."""
    layer = keras.layers.Conv2D(8, 5, strides=2)
    assert layer.compute_output_shape((None, 33, 33, 6)) == (None, conv_output_size(33, 5, 2), (33 - 5) // 2 + 1, 8)
    layer.build((None, 33, 33, 6))
    assert layer.count_params() == costs.standard((5, 5), 6, 8, 1).parameters == 5 * 5 * 6 * 8 + 8
    assert padding_for(7, 7, kernel=3) == (1, 1)


def test_max_pooling_discards_three_quarters():
    """Slide "Pooling methods": 2 x 2 with stride 2, at every depth slice, with no parameter."""
    layer = keras.layers.MaxPooling2D(2)
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    y = ops.convert_to_numpy(layer(x))
    assert y.shape == (1, pool_output_size(8, 2), pool_output_size(8, 2), 3)
    assert 1 - y.size / x.size == 0.75
    assert layer.count_params() == 0


def test_pooling_of_4_keeps_a_sixteenth():
    """Slide "Practical hints": 4 x 4 pooling of a large input discards 15 values of 16."""
    assert pool_output_size(32, 4) ** 2 / 32**2 == 1 / 16


# Slides "Loss layer": the scores of the cat's image for cat, dog and ship.
SCORES = np.array([[-100.4, 437.9, 60.75]])
CAT, DOG = np.eye(3)[[0]], np.eye(3)[[1]]


def test_sigmoid_cross_entropy():
    """Slide "Binary Classification": p = sigmoid(437.9) is 1 and the loss of y = 1 is 0.

    Its formula, -y log p + (1 - y) log(1 - p), has the wrong sign for y = 0: a confident mistake would be rewarded
    with minus infinity. The right one, -(y log p + (1 - y) log(1 - p)), costs as much as the score.
    """
    score = np.array([[437.9]])
    assert float(ops.sigmoid(score)[0, 0]) == 1
    loss = losses.BinaryCrossentropy(from_logits=True, dtype="float64")
    assert float(loss(np.ones((1, 1)), score)) == pytest.approx(0, abs=1e-12)
    assert float(loss(np.zeros((1, 1)), score)) == pytest.approx(437.9)

    p = float(ops.sigmoid(2.0))
    slide = -0 * np.log(p) + (1 - 0) * np.log(1 - p)
    corrected = float(loss(np.zeros((1, 1)), np.array([[2.0]])))
    assert slide < 0 < corrected
    assert corrected == pytest.approx(-slide, rel=1e-6)


def test_softmax_cross_entropy():
    """Slides "Multiclass Classification": -log of the share that the true class has in the sum over the classes."""
    loss = losses.CategoricalCrossentropy(from_logits=True, dtype="float64")
    assert float(loss(CAT, SCORES)) == pytest.approx(437.9 + 100.4)
    assert float(loss(DOG, SCORES)) == pytest.approx(0, abs=1e-12)
    moderate = SCORES / 400
    share = np.exp(moderate[0, 0]) / np.exp(moderate).sum()
    assert float(loss(CAT, moderate)) == pytest.approx(-np.log(share))
    # Average cross-entropy over examples, each with its own true class, as the slide's 1/3 [ ... ].
    examples = np.concatenate([moderate, moderate[:, ::-1], moderate[:, [1, 2, 0]]])
    each = [float(loss(np.eye(3)[[i]], examples[[i]])) for i in range(3)]
    assert float(loss(np.eye(3), examples)) == pytest.approx(np.mean(each))


def test_cross_entropy_against_other_errors():
    """Slide "Multiclass Classification": classification error ignores confidence, MSE looks at the wrong classes.

    The first two predictions choose the same class, the last two give the true one the same probability.
    """
    true = np.array([[1.0, 0, 0]])
    sure = np.array([[0.9, 0.05, 0.05]])
    even = np.array([[0.5, 0.25, 0.25]])
    uneven = np.array([[0.5, 0.45, 0.05]])

    def entropy(predicted):
        return float(losses.CategoricalCrossentropy(dtype="float64")(true, predicted))

    def squares(predicted):
        return float(losses.MeanSquaredError(dtype="float64")(true, predicted))

    assert sure.argmax() == even.argmax() == true.argmax()
    assert entropy(sure) == pytest.approx(-np.log(0.9)) != entropy(even)
    assert entropy(even) == entropy(uneven) == pytest.approx(np.log(2))
    assert squares(uneven) > squares(even) == pytest.approx(0.125)


def test_multiclass_hinge():
    """Slide "Multiclass Classification": the sum over the wrong classes of max(0, score - score of the true + 1)."""
    loss = MulticlassHinge(dtype="float64")
    dog = 437.9 + 100.4 + 1
    ship = 60.75 + 100.4 + 1
    assert float(loss(CAT, SCORES)) == pytest.approx(dog + ship)
    assert float(loss(DOG, SCORES)) == 0


def test_regression_losses():
    """Slide "Regression". It prints no number: the scores above against a target of 438.4 and 0.

    Its L2 equates norm and square. Its smooth L1, "0.5 where |d| >= 0.5, otherwise half of L2", is garbled: it jumps at
    0.5 and is flat beyond; Huber's is d^2 / 2 up to 1 and |d| - 1/2 beyond.
    """
    true = np.array([[438.4], [0.0]])
    predicted = np.array([[437.9], [60.75]])
    l2, l1, smooth = (
        kind(reduction=None, dtype="float64")
        for kind in (losses.MeanSquaredError, losses.MeanAbsoluteError, losses.Huber)
    )
    np.testing.assert_allclose(l2(true, predicted), [0.25, 60.75**2])
    np.testing.assert_allclose(l1(true, predicted), [0.5, 60.75])
    np.testing.assert_allclose(smooth(true, predicted), [0.125, 60.25])
    assert float(losses.MeanSquaredError(dtype="float64")(true, predicted)) == pytest.approx((0.25 + 60.75**2) / 2)

    def loss(d):
        return float(smooth(np.zeros((1, 1)), np.full((1, 1), d))[0])

    for join in (0.5, 1.0):  # continuous at the slide's threshold and at its own, in value and slope
        assert loss(join + 1e-6) == pytest.approx(loss(join - 1e-6), abs=1e-5)
        slopes = [(loss(join + s + 1e-6) - loss(join + s)) / 1e-6 for s in (-1e-3, 1e-3)]
        assert slopes[0] == pytest.approx(slopes[1], abs=5e-3)
    assert loss(3.0) - loss(2.0) == pytest.approx(1)  # not flat; "less sensitive to outliers than L2": a slope of 1


def test_batch_normalisation_per_feature_map():
    """Slides "Practical hints": C means and deviations, where a standard one would keep H x W x C."""
    height, width, channels = 5, 6, 96
    per_map = keras.layers.BatchNormalization()
    per_map.build((None, height, width, channels))
    assert [w.shape for w in per_map.weights] == [(channels,)] * 4
    per_position = keras.layers.BatchNormalization()
    per_position.build((None, height * width * channels))
    assert per_position.count_params() == height * width * per_map.count_params()
