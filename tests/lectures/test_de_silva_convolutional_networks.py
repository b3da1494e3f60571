"""Perumadura De Silva: "Convolutional Neural Networks"."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import tfcnn
from tfcnn import cost
from tfcnn.arithmetic import costs
from tfcnn.arithmetic.costs import LayerCost
from tfcnn.arithmetic.matrix import cross_correlation
from tfcnn.arithmetic.sizes import (
    conv_output_size,
    effective_kernel,
    padding_for,
    pool_output_size,
    receptive_field,
    transposed_conv,
    transposed_conv_output_size,
)

IMAGE = np.array([[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]])
KERNEL = np.array([[0, 1, 2], [2, 2, 0], [0, 1, 2]])


def batch(array):
    return array[None, ..., None].astype("float32")


def test_a_filter_of_3_on_an_input_of_5():
    """Slide "Convolution operation" (Dumoulin & Visin, figure 1.1)."""
    expected = [[12, 12, 17], [10, 17, 19], [9, 6, 14]]
    np.testing.assert_array_equal(cross_correlation(IMAGE, KERNEL), expected)
    output = ops.conv(batch(IMAGE), KERNEL[..., None, None].astype("float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(output)[0, ..., 0], expected)


def test_max_pooling_of_3_with_stride_1():
    """Slide "Pooling operation"."""
    pooled = ops.convert_to_numpy(keras.layers.MaxPooling2D(3, strides=1)(batch(IMAGE)))[0, ..., 0]
    assert pooled.shape == (pool_output_size(5, 3, 1),) * 2
    np.testing.assert_array_equal(pooled, [[3, 3, 3], [3, 3, 3], [3, 2, 3]])


def test_weights_of_one_neuron_of_an_mlp():
    """Slides "Issue of using a MLP layer" and "Properties of convolution layer"."""
    assert costs.dense(32 * 32 * 3, 1, bias=False).parameters == 3072
    assert costs.dense(200 * 200 * 3, 1, bias=False).parameters == 120_000
    assert costs.standard((5, 5), 3, 1, 1).parameters == 75 + 1


# The example, without padding, stride 1.
SIZE = 28
DEPTH = 128
FILTERS = 32
SIDE = 3
PLACES = conv_output_size(SIZE, SIDE) ** 2


def test_number_of_parameters_and_operations():
    """The example "Find the number of parameters and total number of operations".

    The slide's accumulations, H W (F^2 - 1) D K = 22,151,168, add up each of the 128 slices of a window and leave the
    slices apart: the accumulations of a depthwise layer with 32 maps out of each. A convolution adds the slices, too,
    127 more sums for each output: H W (F^2 D - 1) K = 24,898,432.
    """
    layer = costs.standard((SIDE, SIDE), DEPTH, FILTERS, PLACES)
    assert PLACES == 26 * 26
    assert layer.parameters == 36_896
    assert layer.multiplications == 24_920_064
    assert layer.bias_sums == 21_632
    slices = costs.depthwise((SIDE, SIDE), DEPTH, PLACES, multiplier=FILTERS)
    assert slices.accumulations == 22_151_168
    assert layer.accumulations == slices.accumulations + (DEPTH - 1) * PLACES * FILTERS == 24_898_432
    assert layer.operations == layer.multiplications + layer.bias_sums + layer.accumulations


def test_the_costs_of_keras_layer_are_those_of_the_example():
    layer = costs.standard((SIDE, SIDE), DEPTH, FILTERS, PLACES)
    keras_layer = keras.layers.Conv2D(FILTERS, SIDE)
    inputs = keras.Input((SIZE, SIZE, DEPTH))
    table = cost.cost_table(keras.Model(inputs, keras_layer(inputs)))
    assert (table.params, table.multiplications) == (layer.parameters, layer.multiplications)
    assert table.additions == layer.accumulations + layer.bias_sums


def test_exercise_1_a_bottleneck():
    """ "Decrease the number of operations and parameters using a 1x1 convolutional layer" of depth B = 8.

    With an image of N x N, a map of M x M after the window, D and K maps in and out, F x F filters:

        parameters       (D + 1) B + (F F B + 1) K              = 1,032 + 2,336 = 3,368
        multiplications  N N D B + M M F F B K                  = 802,816 + 1,557,504 = 2,360,320
        accumulations    N N (D - 1) B + M M (F F B - 1) K      = 796,544 + 1,535,872 = 2,332,416
        bias sums        N N B + M M K                          = 6,272 + 21,632 = 27,904

    The gain: 11.0 times fewer parameters, 10.6 times fewer multiplications.
    """
    n = SIZE**2
    m = PLACES
    d = DEPTH
    k = FILTERS
    f = SIDE**2
    b = 8
    block = costs.total(costs.standard((1, 1), d, b, n), costs.standard((SIDE, SIDE), b, k, m))
    assert block == LayerCost(
        parameters=(d + 1) * b + (f * b + 1) * k,
        multiplications=n * d * b + m * f * b * k,
        accumulations=n * (d - 1) * b + m * (f * b - 1) * k,
        bias_sums=n * b + m * k,
    )
    assert block == (3_368, 2_360_320, 2_332_416, 27_904)
    before = costs.standard((SIDE, SIDE), d, k, m)
    assert before.parameters / block.parameters == pytest.approx(11.0, abs=0.05)
    assert before.multiplications / block.multiplications == pytest.approx(10.6, abs=0.05)


def test_exercise_2_depthwise_separable():
    """ "Derive the equation for the depth wise convolution; present the efficiency gain".

    The depthwise layer meets each of D maps with one F x F filter, the 1x1 layer has D terms for each of K outputs;
    biases in the second only, as in Keras' SeparableConv2D:

        parameters       F F D + (D + 1) K                      = 1,152 + 4,128 = 5,280
        multiplications  M M F F D + M M D K                    = 778,752 + 2,768,896 = 3,547,648
        accumulations    M M (F F - 1) D + M M (D - 1) K        = 692,224 + 2,747,264 = 3,439,488
        bias sums        M M K                                  = 21,632

    The gain in multiplications is F F K / (F F + K) = 288 / 41 = 7.0, the same in parameters but for the biases.
    """
    m = PLACES
    d = DEPTH
    k = FILTERS
    f = SIDE**2
    block = costs.separable((SIDE, SIDE), d, k, m)
    assert block == LayerCost(
        parameters=f * d + (d + 1) * k,
        multiplications=m * f * d + m * d * k,
        accumulations=m * (f - 1) * d + m * (d - 1) * k,
        bias_sums=m * k,
    )
    assert block == (5_280, 3_547_648, 3_439_488, 21_632)
    layer = keras.layers.SeparableConv2D(k, SIDE)
    layer.build((None, SIZE, SIZE, d))
    assert layer.count_params() == block.parameters
    before = costs.standard((SIDE, SIDE), d, k, m)
    assert before.multiplications / block.multiplications == pytest.approx(f * k / (f + k))
    assert before.parameters / block.parameters == pytest.approx(7.0, abs=0.05)


def test_dilation():
    """Slide "Dilated convolution": F + (F - 1)(d - 1), and a 3x3 filter with dilation 2 on 7 pixels."""
    for kernel in (1, 2, 3, 5):
        for dilation in (1, 2, 4):
            assert effective_kernel(kernel, dilation) == kernel + (kernel - 1) * (dilation - 1)
    assert conv_output_size(7, 3, dilation=2) == 3
    assert receptive_field([(3, 1, 0, 2)]).size == effective_kernel(3, 2) == 5


def test_controlling_the_output_size():
    """Same heading: 32 pixels, filters of 3, stride 1: P = (F - 1) / 2 = 1 keeps the size; so does 1 for 5 pixels."""
    assert padding_for(32, 32, kernel=3) == padding_for(5, 5, kernel=3) == (1, 1)
    assert conv_output_size(32, 3, padding=1) == 32
    # P = (s (output - 1) - input + F) / 2, for any stride
    assert sum(padding_for(32, 32, kernel=3, stride=2)) == 2 * (32 - 1) - 32 + 3


def test_odd_filters_are_padded_alike_on_both_sides():
    """Slide "Properties of convolution layer" prefers odd filters: an even one that keeps the size is off by half."""
    assert padding_for(32, 32, kernel=3) == (1, 1)
    assert padding_for(32, 32, kernel=5) == (2, 2)
    assert padding_for(32, 32, kernel=4) == (1, 2)


def test_the_value_of_the_padding_reaches_the_border_alone():
    """Slide "Controlling the output sizes": zeros or any other constant; the inner 3x3 are those without padding."""
    maps = [cross_correlation(np.pad(IMAGE, 1, constant_values=value), KERNEL) for value in (0, 7)]
    assert maps[0].shape == IMAGE.shape
    np.testing.assert_array_equal(maps[0][1:-1, 1:-1], cross_correlation(IMAGE, KERNEL))
    inner = np.zeros(IMAGE.shape, bool)
    inner[1:-1, 1:-1] = True
    np.testing.assert_array_equal(maps[0][inner], maps[1][inner])
    assert (maps[0][~inner] != maps[1][~inner]).all()


# Slides "Transpose convolution operation": i, k, s, p of the convolution; i', zeros, border of the equivalent one.
FIGURES = {
    "4.1": ((4, 3, 1, 0), (2, 0, 2)),
    "4.2": ((5, 4, 1, 2), (6, 0, 1)),
    "4.3": ((5, 3, 1, 1), (5, 0, 1)),
    "4.4": ((5, 3, 1, 2), (7, 0, 0)),
    "4.5": ((5, 3, 2, 0), (2, 1, 2)),
    "4.6": ((5, 3, 2, 1), (3, 1, 1)),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_transposed_convolutions_of_the_figures(figure):
    (i, k, s, p), (size, zeros, border) = FIGURES[figure]
    small = conv_output_size(i, k, s, p)
    direct = transposed_conv(small, k, s, p)
    assert (direct.size, direct.zeros, direct.before, direct.after, direct.output) == (size, zeros, border, border, i)
    assert transposed_conv_output_size(small, k, s, p) == s * (small - 1) + k - 2 * p == i  # "O = s (I - 1) + k - 2P"


def fire(channels, squeeze, expand1, expand3):
    return costs.total(
        costs.standard((1, 1), channels, squeeze, 1),
        costs.standard((1, 1), squeeze, expand1, 1),
        costs.standard((3, 3), squeeze, expand3, 1),
    )


# Slide "SqueezeNet v1.0 architecture and parameter table": name, s1x1, e1x1, e3x3, parameters before pruning.
FIRES = [
    ("fire2", 16, 64, 64, 11_920),
    ("fire3", 16, 64, 64, 12_432),
    ("fire4", 32, 128, 128, 45_344),
    ("fire5", 32, 128, 128, 49_440),
    ("fire6", 48, 192, 192, 104_880),
    ("fire7", 48, 192, 192, 111_024),
    ("fire8", 64, 256, 256, 188_992),
    ("fire9", 64, 256, 256, 197_184),
]


def test_parameters_of_squeezenet():
    parameters = {"conv1": costs.standard((7, 7), 3, 96, 1).parameters}
    channels = 96
    for name, squeeze, expand1, expand3, _ in FIRES:
        assert squeeze < expand1 + expand3
        parameters[name] = fire(channels, squeeze, expand1, expand3).parameters
        channels = expand1 + expand3
    parameters["conv10"] = costs.standard((1, 1), channels, 1000, 1).parameters
    printed = {"conv1": 14_208, **{name: count for name, *_, count in FIRES}, "conv10": 513_000}
    assert parameters == printed
    assert sum(parameters.values()) == 1_248_424


def test_sizes_of_squeezenet():
    """The same table. 111 pixels need a padding that it does not state; maxpool8's "13x12" is 13x13, as in fire9."""
    assert conv_output_size(224, 7, 2) == 109
    assert conv_output_size(224, 7, 2, padding=2) == 111
    sizes = [111]
    for _ in range(3):
        sizes.append(pool_output_size(sizes[-1], 3, 2))
    assert sizes == [111, 55, 27, 13]
    assert pool_output_size(13, 13, 1) == 1


# Slide "Table 1. MobileNet Body Architecture": kind, stride, filter shape, input size; "5x" written out.
MOBILENET = [
    ("conv", 2, (3, 3, 3, 32), (224, 224, 3)),
    ("dw", 1, (3, 3, 32), (112, 112, 32)),
    ("conv", 1, (1, 1, 32, 64), (112, 112, 32)),
    ("dw", 2, (3, 3, 64), (112, 112, 64)),
    ("conv", 1, (1, 1, 64, 128), (56, 56, 64)),
    ("dw", 1, (3, 3, 128), (56, 56, 128)),
    ("conv", 1, (1, 1, 128, 128), (56, 56, 128)),
    ("dw", 2, (3, 3, 128), (56, 56, 128)),
    ("conv", 1, (1, 1, 128, 256), (28, 28, 128)),
    ("dw", 1, (3, 3, 256), (28, 28, 256)),
    ("conv", 1, (1, 1, 256, 256), (28, 28, 256)),
    ("dw", 2, (3, 3, 256), (28, 28, 256)),
    ("conv", 1, (1, 1, 256, 512), (14, 14, 256)),
    *[("dw", 1, (3, 3, 512), (14, 14, 512)), ("conv", 1, (1, 1, 512, 512), (14, 14, 512))] * 5,
    ("dw", 2, (3, 3, 512), (14, 14, 512)),
    ("conv", 1, (1, 1, 512, 1024), (7, 7, 512)),
    ("dw", 2, (3, 3, 1024), (7, 7, 1024)),
    ("conv", 1, (1, 1, 1024, 1024), (7, 7, 1024)),
    ("fc", 1, (1024, 1000), (1, 1, 1024)),
]
WRONG_STRIDE = 25  # "Conv dw / s2" at 7 x 7: its output is 7 x 7 in the next row, so that its stride is 1


@pytest.fixture(scope="module")
def mobilenet():
    with cost.weightless():
        return tfcnn.build("mobilenet")


def test_mobilenet_row_by_row(mobilenet):
    """Kind, stride, filter, input size, parameters and operations of each row, in tfcnn.build("mobilenet")."""
    kinds = {keras.layers.Conv2D: "conv", keras.layers.DepthwiseConv2D: "dw", keras.layers.Dense: "fc"}
    rows = {row.name: row for row in cost.cost_table(mobilenet).rows}
    weighted = [layer for layer in mobilenet.layers if type(layer) in kinds]
    assert len(weighted) == len(MOBILENET)
    for number, (layer, (kind, stride, filters, size)) in enumerate(zip(weighted, MOBILENET, strict=True)):
        assert kinds[type(layer)] == kind
        row = rows[layer.name]
        if kind == "fc":
            assert layer.kernel.shape == filters
            expected = costs.dense(*filters)
        else:
            assert layer.input.shape[1:] == size
            assert layer.kernel.shape == (filters if kind == "conv" else (*filters, 1))
            stride = 1 if number == WRONG_STRIDE else stride
            assert layer.strides in (stride, (stride, stride))
            places = conv_output_size(size[0], filters[0], stride, "same") ** 2
            if kind == "conv":
                expected = costs.standard(filters[:2], *filters[2:], places, bias=False)
            else:
                expected = costs.depthwise(filters[:2], filters[2], places, bias=False)
        assert (row.params, row.multiplications) == (expected.parameters, expected.multiplications)
        assert row.additions == expected.accumulations + expected.bias_sums


def test_the_pooling_of_mobilenet(mobilenet):
    pooling = next(layer for layer in mobilenet.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D))
    assert pooling.input.shape[1:] == (7, 7, 1024)  # "Avg Pool / s1, Pool 7x7", which leaves the 1 x 1 of the next row
    assert pool_output_size(7, 7, 1) == 1


def test_the_stride_that_mobilenet_s_table_has_wrong():
    size = MOBILENET[WRONG_STRIDE][3][0]
    following = MOBILENET[WRONG_STRIDE + 1][3][0]
    assert MOBILENET[WRONG_STRIDE][1] == 2
    assert conv_output_size(size, 3, 2, "same") == 4 != following
    assert conv_output_size(size, 3, 1, "same") == following == 7
    for row, later in itertools.pairwise(MOBILENET[:-1]):  # every other row leads to the next
        if row is not MOBILENET[WRONG_STRIDE]:
            assert conv_output_size(row[3][0], row[2][0], row[1], "same") == later[3][0]
