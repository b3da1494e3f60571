"""The rule of each layer against what its outputs depend on when measured."""

import math
import random
from fractions import Fraction

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.tfcnn.receptive_field.chain import chain
from tfcnn import layers as tfcnn_layers
from tfcnn.receptive_field.theoretical import receptive_field, window


def unpool(layer, pooling):
    return lambda x: layer(pooling(x))


def unpool_like(pooling, pool_size):
    return lambda x: tfcnn_layers.MaxUnpoolingLike1D(pool_size)([pooling(x), x])


def concatenate(first, second):
    return lambda x: layers.Concatenate()([first(x), second(x)])


class DilatedTranspose(layers.Conv1DTranspose):
    """Conv1DTranspose(2, 3, 1, "same", dilation_rate=2), its kernel filled up with zeros.

    Without oneDNN, which is on by default only on CPUs with AVX512_VNNI and later, TensorFlow has no kernel for dilated
    transposed convolutions.
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
    "crop like": lambda: lambda x: tfcnn_layers.CropLike()([x, layers.Conv1D(2, 12)(x)]),
    "crop like, offset": lambda: lambda x: tfcnn_layers.CropLike(2)([x, layers.Conv1D(2, 12)(x)]),
    "stride and dilation": lambda: tfcnn_layers.PaddedConv1D(2, 3, 2, "half", dilation_rate=2),
    "bed of nails": lambda: tfcnn_layers.BedOfNails1D(3, 1),
    "Lp pooling": lambda: tfcnn_layers.LpPooling1D(3, 2, "same"),
    "reflection": lambda: tfcnn_layers.Padding1D((3, 1), "reflect"),
    "locally connected": lambda: tfcnn_layers.LocallyConnected1D(2, 3, 2),
    "unpooling": lambda: unpool(tfcnn_layers.MaxUnpooling1D(), tfcnn_layers.MaxPoolingWithArgmax1D()),
    "unpooling, overlapping": lambda: unpool(
        tfcnn_layers.MaxUnpooling1D(3, 2, "same"), tfcnn_layers.MaxPoolingWithArgmax1D(3, 2, "same")
    ),
    "unpooling like": lambda: unpool_like(layers.AveragePooling1D(2), pool_size=2),
    "slice": lambda: lambda x: x[:, 3::2],
    "slice from the end": lambda: lambda x: x[:, -40:-1, :1],
    "ops.pad": lambda: lambda x: ops.pad(x, ((0, 0), (2, 3), (0, 0))),
    "ops.max_pool": lambda: lambda x: ops.max_pool(x, 3, 2, "same"),
    "elementwise": lambda: lambda x: ops.relu(x) * 2 + ops.sigmoid(x),
    "dense": lambda: layers.Dense(2),
    "norm over channels": lambda: layers.RMSNormalization(),
    "branches": lambda: concatenate(
        layers.Conv1D(2, 3, padding="same"), layers.Conv1D(2, 3, dilation_rate=3, padding="same")
    ),
    "branches, unequal": lambda: concatenate(
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
    "FFT": lambda: tfcnn_layers.FFTConv2D(1, 5, 2, "half"),
    "spatially separable": lambda: tfcnn_layers.SpatiallySeparableConv2D(1, (3, 5), (2, 1), "half"),
    "perceptron": lambda: tfcnn_layers.MLPConv2D(2, 3, padding="half"),
    "subsampling": lambda: tfcnn_layers.Subsampling2D(3),
    "depthwise": lambda: layers.DepthwiseConv2D(3, 2, "same"),
    "time": lambda: layers.TimeDistributed(layers.Conv1D(2, 3)),
    "flat rows": lambda: lambda x: ops.mean(x, axis=2, keepdims=True) + x,
}
VOLUMES = {
    "convolution": lambda: layers.Conv3D(1, (3, 1, 2), (1, 2, 1)),
    "planes": lambda: tfcnn_layers.OrthogonalPlanesConv3D(1, 3, padding="half"),
    "transposed": lambda: layers.Conv3DTranspose(1, 3, (1, 2, 1), "same"),
    "pooling": lambda: layers.AveragePooling3D(2),
}


def dependence(model, draws):
    """Which pixel changes which output: booleans (pixels, outputs), by setting one pixel after the other to 1000."""
    shape = tuple(model.input_shape[1:])
    pixels = math.prod(shape[:-1])
    depends = np.zeros(())
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        model.set_weights([10 ** rng.uniform(-1, 0.5, weight.shape) for weight in model.get_weights()])
        image = 1 + rng.random(shape)
        images = np.tile(image, (pixels, *[1] * len(shape)))
        images.reshape(pixels, pixels, shape[-1])[range(pixels), range(pixels), 0] = 1000
        outputs = ops.convert_to_numpy(model(np.concatenate([image[None], images]).astype("float32")))
        changes = abs(outputs[1:] - outputs[0]).max(-1)
        depends = np.logical_or(depends, changes > 3e-5 * changes.max())
    return depends


def check_by_measuring(model, draws=4):
    """The middle third of the outputs depends on what `window` says, and no less."""
    changes = dependence(model, draws)
    sides = model.input_shape[1:-1]
    outputs = model.output_shape[1:-1]
    count = 0
    for position in np.ndindex(*outputs):
        middle = all(n // 3 <= place <= 2 * n // 3 for place, n in zip(position, outputs, strict=True))
        expected = window(model, position=position)
        if not middle or not lies_inside(expected, sides):  # at the border the image ends before the field does
            continue
        pixels = np.argwhere(changes[(slice(None), *position)].reshape(sides))
        if expected is None:
            assert len(pixels) == 0, position
            continue
        limits = [(max(first, 0), min(last, n - 1)) for (first, last), n in zip(expected, sides, strict=True)]
        assert list(zip(pixels.min(0), pixels.max(0), strict=True)) == limits, position
        count += 1
    assert count


def lies_inside(field, sides):
    return field is None or all(
        math.isinf(first) or 0 <= first <= last < n for (first, last), n in zip(field, sides, strict=True)
    )


def mark_slow(names):
    """The unpoolings take many draws: which pixel is the maximum depends on the values."""
    return [pytest.param(name, marks=pytest.mark.slow) if "unpooling" in name else name for name in names]


@pytest.mark.parametrize("name", mark_slow(LINES))
def test_one_layer_measured(name):
    check_by_measuring(chain((48, 2), LINES[name]()), draws=100 if "unpooling" in name else 4)


@pytest.mark.parametrize("name", mark_slow(LINES))
def test_two_layers_measured(name):
    """After a layer of another stride, and before one."""
    model = chain((48, 2), layers.Conv1DTranspose(2, 3, 2, "same"), LINES[name](), layers.Conv1D(1, 2, 2))
    check_by_measuring(model, draws=40 if "unpooling" in name else 4)


def test_windows_that_begin_and_end_on_zeros_measured():
    """A bed of nails, every third place a value, under windows of three: the first is at 1."""
    model = chain((20, 1), tfcnn_layers.BedOfNails1D(3, 1), layers.Conv1D(1, 3))
    check_by_measuring(model)
    assert receptive_field(model) == ((1,), (Fraction(1, 3),), (0,))


@pytest.mark.parametrize("name", IMAGES)
def test_images_measured(name):
    check_by_measuring(chain((20, 20, 2), IMAGES[name]()))


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_measured(name):
    check_by_measuring(chain((9, 9, 9, 1), VOLUMES[name]()))


@pytest.mark.slow
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
    check_by_measuring(keras.Model(inputs, x))


def test_group_normalisation_measured():
    model = chain((8, 8, 2), layers.GroupNormalization(1))
    assert dependence(model, 4).all()
