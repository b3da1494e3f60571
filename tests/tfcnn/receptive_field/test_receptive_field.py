"""Receptive fields against published values, the arithmetic of stacks, and what outputs depend on when measured."""

import functools
import math
import random
from fractions import Fraction

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfcnn
from tfcnn import layers as own
from tfcnn.arithmetic import sizes
from tfcnn.cost import cost_table, weightless
from tfcnn.receptive_field.effective import empirical_receptive_field
from tfcnn.receptive_field.theoretical import receptive_field, receptive_fields, window


def chain(shape, *parts):
    """A model that applies layers or functions one after the other."""
    x = inputs = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


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


@pytest.mark.parametrize(("name", "size"), PUBLISHED.items())
def test_published_values(name, size):
    with weightless():
        model = getattr(keras.applications, name)(weights=None)
    found = receptive_field(model)
    assert found.size == (size, size)
    assert found.stride == (32, 32)


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
        found = receptive_field(chain((227, 227, 3), *parts, layers.Flatten(), layers.Dense(5)))
    assert (found.size, found.stride) == ((195, 195), (32, 32))


def test_context_module_layer_by_layer():
    """Yu & Koltun 2016, table 1."""
    parts = [layers.Conv2D(4, 3, dilation_rate=d, padding="same") for d in (1, 1, 2, 4, 8, 16, 1)]
    with weightless():
        fields = receptive_fields(chain((64, 64, 3), *parts, layers.Conv2D(4, 1)))
    assert [field.size[0] for field in fields] == [3, 5, 9, 17, 33, 65, 67, 67]


@pytest.mark.parametrize("seed", range(20))
def test_random_stacks_agree_with_the_arithmetic(seed):
    draw = random.Random(seed)
    rows, x = [], (inputs := keras.Input((400, 300, 1)))
    for _ in range(draw.randint(1, 6)):
        kernel, stride, dilation = draw.randint(1, 5), draw.randint(1, 3), draw.randint(1, 3)
        padding = draw.randint(0, kernel)
        rows.append((kernel, stride, padding, dilation))
        x = own.PaddedConv2D(1, kernel, stride, padding, dilation_rate=dilation)(x)
    expected = sizes.receptive_field(rows)
    found = receptive_field(keras.Model(inputs, x))
    assert found == tuple((value, value) for value in expected)


def unpooled(layer, pooling):
    return lambda x: layer(pooling(x))


def like(pooling, **how):
    return lambda x: own.MaxUnpoolingLike1D(**how)([pooling(x), x])


def both(first, second):
    return lambda x: layers.Concatenate()([first(x), second(x)])


class DilatedTranspose(layers.Conv1DTranspose):
    """Conv1DTranspose(2, 3, 1, "same", dilation_rate=2), its kernel filled up with zeros.

    Without oneDNN, which TensorFlow switches on by itself only on CPUs with AVX512_VNNI and later, it has no kernel for
    dilated transposed convolutions.
    """

    def __init__(self):
        super().__init__(2, 3, 1, "same", dilation_rate=2)

    def call(self, inputs):
        zeros = ops.zeros_like(self.kernel[:1])
        kernel = ops.concatenate([self.kernel[:1], zeros, self.kernel[1:2], zeros, self.kernel[2:]])
        return ops.conv_transpose(inputs, kernel, 1, "same")


# Each keeps or changes the length in a way that leaves something in the middle.
LINES = {
    "same": lambda: layers.Conv1D(2, 3, padding="same"),
    "even kernel": lambda: layers.Conv1D(2, 4, padding="same"),
    "same, stride": lambda: layers.Conv1D(2, 5, 2, padding="same"),
    "same, stride 3": lambda: layers.Conv1D(2, 4, 3, padding="same"),
    "valid, stride": lambda: layers.Conv1D(2, 5, 3),
    "stride beyond the kernel": lambda: layers.Conv1D(2, 1, 2),
    "causal": lambda: layers.Conv1D(2, 3, dilation_rate=2, padding="causal"),
    "dilated": lambda: layers.Conv1D(2, 3, dilation_rate=4),
    "depthwise": lambda: layers.DepthwiseConv1D(3, padding="same"),
    "separable": lambda: layers.SeparableConv1D(2, 3, 2, padding="same"),
    "max pooling": lambda: layers.MaxPooling1D(3, 2, "same"),
    "average pooling": lambda: layers.AveragePooling1D(2),
    "adaptive pooling": lambda: layers.AdaptiveAveragePooling1D(16),
    "up-sampling": lambda: layers.UpSampling1D(3),
    "transposed": lambda: layers.Conv1DTranspose(2, 3, 2, "same"),
    "transposed, valid": lambda: layers.Conv1DTranspose(2, 4, 2),
    "transposed, gaps": lambda: layers.Conv1DTranspose(2, 2, 3),
    "transposed, output padding": lambda: layers.Conv1DTranspose(2, 5, 2, "same", output_padding=1),
    "transposed, dilated": DilatedTranspose,
    "zero padding": lambda: layers.ZeroPadding1D((2, 1)),
    "cropping": lambda: layers.Cropping1D((3, 1)),
    "crop like": lambda: lambda x: own.CropLike()([x, layers.Conv1D(2, 12)(x)]),
    "crop like, offset": lambda: lambda x: own.CropLike(2)([x, layers.Conv1D(2, 12)(x)]),
    "stride and dilation": lambda: own.PaddedConv1D(2, 3, 2, "half", dilation_rate=2),
    "bed of nails": lambda: own.BedOfNails1D(3, 1),
    "Lp pooling": lambda: own.LpPooling1D(3, 2, "same"),
    "reflection": lambda: own.Padding1D((3, 1), "reflect"),
    "locally connected": lambda: own.LocallyConnected1D(2, 3, 2),
    "unpooling": lambda: unpooled(own.MaxUnpooling1D(), own.MaxPoolingWithArgmax1D()),
    "unpooling, overlapping": lambda: unpooled(
        own.MaxUnpooling1D(3, 2, "same"), own.MaxPoolingWithArgmax1D(3, 2, "same")
    ),
    "unpooling like": lambda: like(layers.AveragePooling1D(2), pool_size=2),
    "slice": lambda: lambda x: x[:, 3::2],
    "slice from the end": lambda: lambda x: x[:, -40:-1, :1],
    "ops.pad": lambda: lambda x: ops.pad(x, ((0, 0), (2, 3), (0, 0))),
    "ops.max_pool": lambda: lambda x: ops.max_pool(x, 3, 2, "same"),
    "elementwise": lambda: lambda x: ops.relu(x) * 2 + ops.sigmoid(x),
    "dense": lambda: layers.Dense(2),
    "norm over channels": lambda: layers.RMSNormalization(),
    "branches": lambda: both(layers.Conv1D(2, 3, padding="same"), layers.Conv1D(2, 3, dilation_rate=3, padding="same")),
    "branches, unequal": lambda: both(
        layers.AveragePooling1D(2), lambda x: layers.ZeroPadding1D((0, 1))(layers.Conv1D(2, 3, 2)(x))
    ),
}
IMAGES = {
    "two sizes": lambda: layers.Conv2D(2, (3, 1), (1, 2)),
    "bilinear": lambda: layers.UpSampling2D((2, 3), interpolation="bilinear"),
    "bicubic": lambda: layers.UpSampling2D(2, interpolation="bicubic"),
    "resizing": lambda: layers.Resizing(30, 10),
    "resizing, nearest": lambda: layers.Resizing(15, 25, interpolation="nearest"),
    "ops.image.resize": lambda: lambda x: ops.image.resize(x, (30, 40)),
    "FFT": lambda: own.FFTConv2D(1, 5, 2, "half"),
    "spatially separable": lambda: own.SpatiallySeparableConv2D(1, (3, 5), (2, 1), "half"),
    "perceptron": lambda: own.MLPConv2D(2, 3, padding="half"),
    "subsampling": lambda: own.Subsampling2D(3),
    "depthwise": lambda: layers.DepthwiseConv2D(3, 2, "same"),
    "time": lambda: layers.TimeDistributed(layers.Conv1D(2, 3)),
    "flat rows": lambda: lambda x: ops.mean(x, axis=2, keepdims=True) + x,
}
VOLUMES = {
    "convolution": lambda: layers.Conv3D(1, (3, 1, 2), (1, 2, 1)),
    "planes": lambda: own.OrthogonalPlanesConv3D(1, 3, padding="half"),
    "transposed": lambda: layers.Conv3DTranspose(1, 3, (1, 2, 1), "same"),
    "pooling": lambda: layers.AveragePooling3D(2),
}


def dependence(model, draws):
    """Which pixel changes which output: booleans (pixels, outputs), by setting one pixel after the other to 1000."""
    shape = tuple(model.input_shape[1:])
    pixels = math.prod(shape[:-1])
    found = False
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        model.set_weights([10 ** rng.uniform(-1, 0.5, weight.shape) for weight in model.get_weights()])
        image = 1 + rng.random(shape)
        images = np.tile(image, (pixels, *[1] * len(shape)))
        images.reshape(pixels, pixels, shape[-1])[range(pixels), range(pixels), 0] = 1000
        outputs = ops.convert_to_numpy(model(np.concatenate([image[None], images]).astype("float32")))
        changes = abs(outputs[1:] - outputs[0]).max(-1)
        found |= changes > 3e-5 * changes.max()
    return found


def check_measured(model, draws=4):
    """The middle third of the outputs depends on what `window` says, and no less."""
    changes = dependence(model, draws)
    sides, outputs = model.input_shape[1:-1], model.output_shape[1:-1]
    tested = 0
    for position in np.ndindex(*outputs):
        expected = window(model, position=position)
        middle = all(n // 3 <= place <= 2 * n // 3 for place, n in zip(position, outputs, strict=True))
        inside = expected is None or all(
            math.isinf(first) or 0 <= first <= last < n for (first, last), n in zip(expected, sides, strict=True)
        )
        if middle and inside:  # at the border the image ends before the field does
            seen = np.argwhere(changes[(slice(None), *position)].reshape(sides))
            limits = expected and [
                (max(first, 0), min(last, n - 1)) for (first, last), n in zip(expected, sides, strict=True)
            ]
            assert (list(zip(seen.min(0), seen.max(0), strict=True)) if len(seen) else None) == limits, position
            tested += len(seen) > 0
    assert tested


@pytest.mark.parametrize("name", LINES)
def test_one_layer_measured(name):
    check_measured(chain((48, 2), LINES[name]()), draws=100 if "unpooling" in name else 4)


@pytest.mark.parametrize("name", LINES)
def test_two_layers_measured(name):
    """What is behind a layer, and before one, of another stride."""
    model = chain((48, 2), layers.Conv1DTranspose(2, 3, 2, "same"), LINES[name](), layers.Conv1D(1, 2, 2))
    check_measured(model, draws=40 if "unpooling" in name else 4)


def test_windows_that_begin_and_end_on_zeros_measured():
    """A bed of nails, every third place a value, under windows of three: the first is at 1."""
    model = chain((20, 1), own.BedOfNails1D(3, 1), layers.Conv1D(1, 3))
    check_measured(model)
    assert receptive_field(model) == ((1,), (Fraction(1, 3),), (0,))


@pytest.mark.parametrize("name", IMAGES)
def test_images_measured(name):
    check_measured(chain((20, 20, 2), IMAGES[name]()))


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_measured(name):
    check_measured(chain((9, 9, 9, 1), VOLUMES[name]()))


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_measured(seed):
    """Two random layers, each followed by branches that meet again; without those whose reads depend on values."""
    draw = random.Random(seed)
    names = [
        name for name in LINES if "unpooling" not in name and name not in ("adaptive pooling", "slice from the end")
    ]
    keeps = [name for name in names if chain((48, 2), LINES[name]()).output_shape[1:] == (48, 2)]
    x = inputs = keras.Input((100, 2))
    for _ in range(2):
        x = LINES[draw.choice(names)]()(x)
        x = x if x.shape[-1] == 2 else layers.Dense(2)(x)
        first, second = (LINES[name]() for name in draw.sample(keeps, 2))
        x = layers.Add()([first(x), second(x), x])
    check_measured(keras.Model(inputs, x))


def test_what_reaches_everything_sees_the_whole_image():
    """Squeeze-and-excitation, group normalisation, deformable convolution: whole, or as published without them."""

    def squeeze_and_excite(x):
        gate = layers.GlobalAveragePooling2D()(x)
        return layers.Multiply()([x, layers.Conv2D(4, 1)(layers.Reshape((1, 1, 4))(gate))])

    deformable = functools.partial(own.DeformableConv2D, 4, 1)
    for beyond in (squeeze_and_excite, layers.GroupNormalization(2), deformable()):
        model = chain((20, 16, 3), layers.Conv2D(4, 3, 2), beyond, layers.Conv2D(4, 3, name="last"))
        assert receptive_field(model) == ((math.inf,) * 2, (0, 0), (math.inf,) * 2)
        assert str(receptive_field(model)) == "whole"
        assert receptive_field(model, windows_only=True) == ((7, 7), (2, 2), (0, 0))
    with weightless():
        model = keras.applications.EfficientNetB0(weights=None)
    assert receptive_field(model).size == (math.inf, math.inf)
    assert receptive_field(model, windows_only=True).size == (851, 851)


def test_group_normalisation_does_see_the_whole_image():
    model = chain((8, 8, 2), layers.GroupNormalization(1))
    assert dependence(model, 4).all()


def test_the_default_layer_and_what_is_behind_it():
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
    sequence = keras.Sequential([keras.Input((16, 1)), layers.Conv1D(1, 3), layers.Conv1D(1, 3)])
    assert receptive_field(sequence).size == (5,)


def test_one_field_for_each_row_of_the_cost_table():
    with weightless():
        model = keras.applications.NASNetMobile(weights=None)
    assert len(receptive_fields(model)) == len(cost_table(model).rows)


def test_unknown_sizes():
    parts = [layers.Conv2D(4, 3, 2), layers.UpSampling2D(4), layers.Conv2DTranspose(4, 4, 2, "same")]
    known = receptive_field(chain((64, 64, 1), *parts))
    assert receptive_field(chain((None, None, 1), *parts)) == known
    # "same" with a stride: as of a multiple of the stride.
    assert receptive_field(chain((None, 1), layers.Conv1D(1, 5, 2, "same"))).padding == (1,)


def test_fractions():
    assert receptive_field(chain((8, 8, 1), layers.UpSampling2D(2))).stride == (Fraction(1, 2), Fraction(1, 2))


class Mystery(keras.layers.Layer):
    def call(self, x):
        return x

    def compute_output_shape(self, input_shape):
        return input_shape


def test_what_is_not_known_is_named():
    model = chain((8, 1), layers.Conv1D(1, 3, name="first"), Mystery(name="odd"), layers.Conv1D(1, 3, name="last"))
    with pytest.raises(ValueError, match="odd, a Mystery, has no known receptive field"):
        receptive_field(model)
    assert receptive_field(model, "first").size == (3,)
    assert receptive_fields(model)[1:] == [None, None]
    shorter, longer = layers.AveragePooling1D(2), layers.UpSampling1D(2)
    inputs = keras.Input((None, 1))
    with pytest.raises(ValueError, match="meet, a Add, joins maps of different strides"):
        receptive_field(keras.Model(inputs, layers.Add(name="meet")([shorter(inputs), longer(inputs)])))
    with pytest.raises(ValueError, match="did you mean first"):
        receptive_field(model, "frist")
    with pytest.raises(ValueError, match="no spatial axes"):
        receptive_field(chain((7,), layers.Dense(2)))
    with pytest.raises(ValueError, match="odd, a Permute"):
        receptive_field(chain((8, 9, 1), layers.Permute((2, 1, 3), name="odd")))


def test_a_layer_answers_for_itself():
    class Known(Mystery):
        def windows(self, input_shape, output_shape):
            return [(5, 2), (3, Fraction(1, 2), 1)]

    found = receptive_field(chain((8, 8, 1), Known(), layers.Conv2D(1, 3)))
    assert found == ((9, 3), (2, Fraction(1, 2)), (0, 0))


def test_the_empirical_field_of_a_linear_network_is_its_kernel():
    """Two 3x3 averages in a row: the triangle 1 2 3 2 1 along each axis."""
    model = chain((16, 12, 1), *(layers.Conv2D(1, 3, padding="same", use_bias=False) for _ in range(2)))
    for weight in model.weights:
        weight.assign(ops.ones_like(weight))
    expected = np.zeros((16, 12))
    triangle = np.array([1, 2, 3, 2, 1]) / 3
    expected[6:11, 4:9] = np.outer(triangle, triangle)
    np.testing.assert_allclose(empirical_receptive_field(model, images=2), expected, rtol=1e-6)


def test_the_empirical_field_is_inside_the_theoretical_one_and_smaller():
    keras.utils.set_random_seed(0)
    inner = chain((None, None, 3), *(layers.Conv2D(4, 3, padding="same", activation="relu") for _ in range(4)))
    model = chain((33, 33, 3), inner, layers.Flatten(), layers.Dense(2))
    field = empirical_receptive_field(model)
    (top, bottom), (left, right) = window(model)
    assert (bottom - top + 1, right - left + 1) == receptive_field(model).size == (9, 9)
    inside = field[top : bottom + 1, left : right + 1]
    assert field.max() == 1
    assert field.sum() == pytest.approx(inside.sum())
    assert inside[[0, 8]].mean() < 0.4 * inside[4].mean()
    np.testing.assert_array_equal(field, empirical_receptive_field(model))
    with pytest.raises(ValueError, match="has no positions"):
        empirical_receptive_field(model, model.layers[-1])
    with pytest.raises(ValueError, match="images of a known size"):
        empirical_receptive_field(chain((None, None, 1), layers.Conv2D(1, 3)))
