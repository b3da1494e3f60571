"""The lecture's table: SqueezeNet's Table 1 (Iandola et al. 2016), its parameters before and after pruning."""

import gzip

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn.compression.pruning import is_kernel, masks_by_layer
from tfcnn.compression.report import describe_fire, fire_rows, layer_rows, total_row
from tfcnn.compression.weights_file import Weight

# Kept shares of s1x1, e1x1 and e3x3, or of a convolution alone; parameters before and after. The slide prints 33 % for
# e3x3 of fire8: its 77,581 parameters are those of 30 %.
SLIDE = {
    "conv1": ((1.0,), 14_208, 14_208),
    "fire2": ((1.0, 1.0, 0.33), 11_920, 5_746),
    "fire3": ((1.0, 1.0, 0.33), 12_432, 6_258),
    "fire4": ((1.0, 1.0, 0.33), 45_344, 20_646),
    "fire5": ((1.0, 1.0, 0.33), 49_440, 24_742),
    "fire6": ((1.0, 0.5, 0.33), 104_880, 44_700),
    "fire7": ((0.5, 1.0, 0.33), 111_024, 46_236),
    "fire8": ((1.0, 0.5, 0.30), 188_992, 77_581),
    "fire9": ((0.5, 1.0, 0.30), 197_184, 77_581),
    "conv10": ((0.2,), 513_000, 103_400),
}
TOTAL = (1_248_424, 421_098)


@pytest.fixture(scope="module")
def squeezenet():
    return tfcnn.build("squeezenet1_0")


@pytest.fixture(scope="module")
def weights(squeezenet):
    """The weights of SqueezeNet, its kernels pruned by the slide's sparsities, as the file of 6 bits has them."""
    shares = iter([share for kept, *_ in SLIDE.values() for share in kept])
    rows = []
    for weight in squeezenet.weights:
        values = weight.numpy()
        if is_kernel(weight.path):
            (mask,) = masks_by_layer([values], [1 - next(shares)], [np.ones(values.shape, bool)])
            rows.append(Weight(weight.path, values * mask, values.size, 3, 6))
        else:
            rows.append(Weight(weight.path, values, 4 * values.size))
    return rows


@pytest.mark.slow
def test_the_slides_parameters(squeezenet, weights):
    originals = [weight.numpy() for weight in squeezenet.weights]
    lines = fire_rows(squeezenet, layer_rows(weights, originals))
    assert {line.name: (line.before, line.after) for line in lines} == {
        name: counts for name, (_, *pair) in SLIDE.items() for counts in [tuple(pair)]
    }
    total = total_row(weights, originals, 500_000)
    assert (total.before, total.after) == TOTAL
    text = describe_fire(lines, total).splitlines()
    assert text[3].split() == ["fire2", "100%", "100%", "33%", "6bit", "11,920", "5,746"]
    assert text[-1].split() == ["total", "1,248,424", "421,098"]


def test_bytes_and_gzip_of_each_layer():
    kernel = np.array([[0, 1.5], [0, 1.5]], np.float32)
    bias = np.array([1, 2], np.float32)
    rows = [Weight("a/kernel", kernel, 9, 1, 1), Weight("a/bias", bias, 5), Weight("norm/gamma", bias, 8)]
    original = np.array([[0.1, 0.7], [0.3, 0.9]], np.float32)
    originals = [original, bias, bias]
    first, second = layer_rows(rows, originals)
    assert first[:6] == ("a", 0.5, 1, 1, 6, 4)
    assert (first.float32, first.bytes, first.ratio) == (24, 14, 24 / 14)
    plain = original.tobytes() + bias.tobytes()
    assert first.gzip == len(gzip.compress(plain))
    assert second[:7] == ("norm", None, None, None, 2, 2, 8)
    total = total_row(rows, originals, 30)
    assert total[:6] == ("total", 0.5, None, None, 8, 6)
    assert (total.float32, total.bytes) == (32, 30)
    assert total.gzip_after == len(gzip.compress(kernel.tobytes() + bias.tobytes() + bias.tobytes()))


def test_a_network_without_fire_modules_has_no_such_lines():
    assert fire_rows(tfcnn.build("lenet5"), []) == []


def test_a_module_of_three_convolutions_is_no_fire_module():
    inputs = keras.Input((4, 4, 2))
    squeezed = keras.layers.Conv2D(1, 1)(inputs)
    branches = [keras.layers.Conv2D(1, side, padding="same")(squeezed) for side in (1, 3, 5)]
    assert fire_rows(keras.Model(inputs, keras.layers.Concatenate()(branches)), []) == []
