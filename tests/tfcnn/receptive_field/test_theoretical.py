"""Theoretical fields against published values and the arithmetic of stacks."""

import functools
import math
import random
from fractions import Fraction

import keras
import pytest
from keras import layers

import tfcnn
from tests.tfcnn.receptive_field.chain import chain
from tfcnn import layers as tfcnn_layers
from tfcnn.arithmetic import sizes
from tfcnn.cost import cost_table, weightless
from tfcnn.receptive_field.theoretical import receptive_field, receptive_fields

# Araujo, Norris & Sim, "Computing receptive fields of convolutional neural networks" (Distill, 2019), table 1, for all
# but the last two; these follow from it: ResNet v1.5 has its strides in the 3x3 convolutions.
PUBLISHED = {
    "VGG16": 212,
    "MobileNet": 315,
    "ResNet50": 483,
    "ResNet101": 1027,
    "ResNet152": 1507,
    "InceptionV3": 1311,
    "InceptionResNetV2": 3039,
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), PUBLISHED.items())
def test_published_values(name, size):
    with weightless():
        model = getattr(keras.applications, name)(weights=None)
    field = receptive_field(model)
    assert field.size == (size, size)
    assert field.stride == (32, 32)


@pytest.mark.parametrize(("arch", "size"), [("vgg16", 212), ("mobilenet", 315), ("resnet50", 427)])
def test_our_networks(arch, size):
    """ResNet-50 v1.5: 483, less 8, 16 and 32 pixels of each 3x3 convolution that is the strided one now."""
    with weightless():
        assert receptive_field(tfcnn.build(arch)).size == (size, size)


def test_alexnet_2012():
    pool = functools.partial(layers.MaxPooling2D, 3, 2)
    convs = [layers.Conv2D(8, 3, padding="same") for _ in range(3)]
    parts = [layers.Conv2D(8, 11, 4), pool(), layers.Conv2D(8, 5, padding="same"), pool(), *convs, pool()]
    with weightless():
        field = receptive_field(chain((227, 227, 3), *parts, layers.Flatten(), layers.Dense(5)))
    assert (field.size, field.stride) == ((195, 195), (32, 32))


def test_context_module_layer_by_layer():
    """Yu & Koltun 2016, table 1."""
    parts = [layers.Conv2D(4, 3, dilation_rate=d, padding="same") for d in (1, 1, 2, 4, 8, 16, 1)]
    with weightless():
        fields = receptive_fields(chain((64, 64, 3), *parts, layers.Conv2D(4, 1)))
    assert [field.size[0] for field in fields] == [3, 5, 9, 17, 33, 65, 67, 67]


@pytest.mark.parametrize("seed", range(20))
def test_random_stacks_agree_with_the_arithmetic(seed):
    draw = random.Random(seed)
    rows = []
    x = inputs = keras.Input((400, 300, 1))
    for _ in range(draw.randint(1, 6)):
        kernel = draw.randint(1, 5)
        stride = draw.randint(1, 3)
        dilation = draw.randint(1, 3)
        padding = draw.randint(0, kernel)
        rows.append((kernel, stride, padding, dilation))
        x = tfcnn_layers.PaddedConv2D(1, kernel, stride, padding, dilation_rate=dilation)(x)
    expected = sizes.receptive_field(rows)
    assert receptive_field(keras.Model(inputs, x)) == tuple((value, value) for value in expected)


def squeeze_and_excite(x):
    gate = layers.GlobalAveragePooling2D()(x)
    return layers.Multiply()([x, layers.Conv2D(4, 1)(layers.Reshape((1, 1, 4))(gate))])


BEYOND_WINDOWS = {
    "squeeze-and-excitation": lambda: squeeze_and_excite,
    "group normalisation": lambda: layers.GroupNormalization(2),
    "deformable convolution": lambda: tfcnn_layers.DeformableConv2D(4, 1),
}


@pytest.mark.parametrize("name", BEYOND_WINDOWS)
def test_what_reaches_beyond_windows_sees_the_whole_image(name):
    model = chain((20, 16, 3), layers.Conv2D(4, 3, 2), BEYOND_WINDOWS[name](), layers.Conv2D(4, 3, name="last"))
    field = receptive_field(model)
    assert field == ((math.inf,) * 2, (0, 0), (math.inf,) * 2)
    assert str(field) == "whole"
    assert receptive_field(model, windows_only=True) == ((7, 7), (2, 2), (0, 0))  # as published values do


def test_efficientnet_sees_the_whole_image():
    with weightless():
        model = keras.applications.EfficientNetB0(weights=None)
    assert receptive_field(model).size == (math.inf, math.inf)
    assert receptive_field(model, windows_only=True).size == (851, 851)


def test_the_default_layer_and_what_follows_it():
    head = [layers.GlobalAveragePooling1D(keepdims=True), layers.Conv1D(3, 1), layers.Flatten(), layers.Dense(2)]
    model = chain((30, 2), layers.Conv1D(2, 5, name="map"), *head)
    assert receptive_field(model) == receptive_field(model, "map") == ((5,), (1,), (0,))
    assert receptive_field(model, model.layers[-1]).size == (math.inf,)
    assert [str(field) for field in receptive_fields(model)] == ["5"] + ["whole"] * 4


def test_models_inside_models():
    inner = chain((None, None, 3), layers.Conv2D(3, 3, 2, name="inner_conv"))
    model = chain((32, 32, 3), inner, inner, layers.GlobalMaxPooling2D())
    assert receptive_field(model) == ((7, 7), (4, 4), (0, 0))
    assert [field.size[0] for field in receptive_fields(model)] == [3, 7, math.inf]
    assert [row.output_shape for row in cost_table(model).rows] == [(15, 15, 3), (7, 7, 3), (3,)]


def test_a_sequential_model():
    sequence = keras.Sequential([keras.Input((16, 1)), layers.Conv1D(1, 3), layers.Conv1D(1, 3)])
    assert receptive_field(sequence).size == (5,)


@pytest.mark.slow
def test_one_field_for_each_row_of_the_cost_table():
    with weightless():
        model = keras.applications.NASNetMobile(weights=None)
    assert len(receptive_fields(model)) == len(cost_table(model).rows)


def test_unknown_sizes():
    parts = [layers.Conv2D(4, 3, 2), layers.UpSampling2D(4), layers.Conv2DTranspose(4, 4, 2, "same")]
    expected = receptive_field(chain((64, 64, 1), *parts))
    assert receptive_field(chain((None, None, 1), *parts)) == expected


def test_same_padding_of_an_unknown_size_is_that_of_a_multiple_of_the_stride():
    assert receptive_field(chain((None, 1), layers.Conv1D(1, 5, 2, "same"))).padding == (1,)


def test_fractions():
    assert receptive_field(chain((8, 8, 1), layers.UpSampling2D(2))).stride == (Fraction(1, 2), Fraction(1, 2))


class Mystery(keras.layers.Layer):
    def call(self, x):
        return x

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.fixture
def with_mystery():
    return chain((8, 1), layers.Conv1D(1, 3, name="first"), Mystery(name="odd"), layers.Conv1D(1, 3, name="last"))


def test_an_unknown_layer_is_named(with_mystery):
    with pytest.raises(ValueError, match="odd, a Mystery, has no known receptive field"):
        receptive_field(with_mystery)


def test_layers_before_an_unknown_one_have_fields(with_mystery):
    assert receptive_field(with_mystery, "first").size == (3,)
    assert receptive_fields(with_mystery)[1:] == [None, None]


def test_a_mistyped_layer_name(with_mystery):
    with pytest.raises(ValueError, match="did you mean first"):
        receptive_field(with_mystery, "frist")


def test_branches_of_different_strides_are_named():
    inputs = keras.Input((None, 1))
    branches = [layers.AveragePooling1D(2)(inputs), layers.UpSampling1D(2)(inputs)]
    with pytest.raises(ValueError, match="meet, a Add, joins maps of different strides"):
        receptive_field(keras.Model(inputs, layers.Add(name="meet")(branches)))


def test_an_input_without_spatial_axes():
    with pytest.raises(ValueError, match="no spatial axes"):
        receptive_field(chain((7,), layers.Dense(2)))


def test_exchanged_axes_are_named():
    with pytest.raises(ValueError, match="odd, a Permute"):
        receptive_field(chain((8, 9, 1), layers.Permute((2, 1, 3), name="odd")))


def test_a_custom_layer_states_its_windows():
    class Known(Mystery):
        def windows(self, input_shape, output_shape):
            return [(5, 2), (3, Fraction(1, 2), 1)]

    field = receptive_field(chain((8, 8, 1), Known(), layers.Conv2D(1, 3)))
    assert field == ((9, 3), (2, Fraction(1, 2)), (0, 0))
