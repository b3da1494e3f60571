"""The prices that the package's own layers carry, against a count of every product and sum, one by one."""

import itertools

import keras
import numpy as np
import pytest

from tfcnn import layers
from tfcnn.cost import cost_table, weightless


class Counter:
    """Counts the operations of a convolution by walking over its output values and their terms."""

    def __init__(self):
        self.multiplications = self.additions = 0

    def convolution(self, positions, filters, taps, channels, bias):
        for _ in itertools.product(*map(range, (*positions, filters))):
            terms = sum(1 for _ in itertools.product(*map(range, (*taps, channels))))
            self.multiplications += terms
            self.additions += terms - 1 + bias
        return self


def padded_conv(count):
    return count.convolution((5, 4), 6, (3, 2), 2, bias=True)  # 4 channels in 2 groups


def locally_connected(count):
    return count.convolution((4, 5), 3, (3, 3), 4, bias=True)


def separable(count):
    count.convolution((6, 7), 5, (3,), 4, bias=False)  # stride 1 down: every column of the input
    return count.convolution((6, 4), 3, (3,), 5, bias=True)  # stride 2 across


def mlp(count):
    for maps, taps, seen in ((4, (3, 3), 4), (3, (1, 1), 4), (2, (1, 1), 3)):
        count.convolution((4, 5), maps, taps, seen, bias=True)
    return count


def planes(count):
    for _ in range(3):
        count.convolution((2, 3, 4), 3, (3, 3), 2, bias=False)
    count.additions += 2 * 3 * 4 * 3 * 3  # two sums of planes and the bias, for each output value
    return count


def planes_apart(count):
    for _ in range(3):
        count.convolution((2, 3, 4), 3, (3, 3), 2, bias=True)
    return count


def deformable(count):
    count.convolution((4, 5), 3, (3, 3), 4, bias=True)
    count.convolution((4, 5), 2 * 3 * 3, (3, 3), 4, bias=True)  # the offsets
    return count


IMAGE, VOLUME = (6, 7, 4), (4, 5, 6, 2)
CASES = [
    (lambda: layers.PaddedConv2D(6, (3, 2), (1, 2), padding=((1, 0), (1, 1)), groups=2), IMAGE, padded_conv),
    (lambda: layers.LocallyConnected2D(3, 3), IMAGE, locally_connected),
    (lambda: layers.SpatiallySeparableConv2D(3, 3, (1, 2), "half", rank=5), IMAGE, separable),
    (lambda: layers.DeformableConv2D(3, 3), IMAGE, deformable),
    (lambda: layers.MLPConv2D(4, 3, (3, 2)), IMAGE, mlp),
    (lambda: layers.OrthogonalPlanesConv3D(3, 3), VOLUME, planes),
    (lambda: layers.OrthogonalPlanesConv3D(3, 3, merge="concatenate"), VOLUME, planes_apart),
]


@pytest.mark.parametrize(("make", "shape", "walk"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_price_is_the_count(make, shape, walk):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, make()(inputs))
    table = cost_table(model)
    count = walk(Counter())
    assert table.macs == count.multiplications
    samples = 4 * 5 * 3 * 3 * 4 if walk is deformable else 0  # bilinear values: 4 products and 3 sums of them each
    assert table.multiplications == count.multiplications + 4 * samples
    assert table.additions == count.additions + 3 * samples
    assert table.params == sum(np.size(w) for w in model.get_weights())


@pytest.mark.parametrize(("make", "shape", "walk"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_the_parameters_of_a_price_are_the_layers(make, shape, walk):
    layer = make()
    outputs = layer(keras.Input(shape))
    assert layer.cost((None, *shape), outputs.shape).parameters == layer.count_params()


def test_priced_without_weights_and_at_another_size():
    with weightless():
        inputs = keras.Input((30, 30, 3))
        model = keras.Model(inputs, layers.LocallyConnected2D(5, 7)(inputs))
    assert cost_table(model).params == 24 * 24 * 5 * (7 * 7 * 3 + 1)
    assert cost_table(model, (10, 10, 3)).macs == 4 * 4 * 5 * 7 * 7 * 3


def test_layers_without_weights_are_free():
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, layers.LocalResponseNormalization()(layers.Padding2D(1, "reflect")(inputs)))
    assert cost_table(model).macs == 0
