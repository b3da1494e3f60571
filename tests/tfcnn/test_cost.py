import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers

import tfcnn
from tfcnn.cost import cost_table, weightless

# Each row: the input, a layer, and its MACs counted by hand: places x kernel x channels in a group x filters.
LAYERS = [
    ((8, 8, 3), layers.Conv2D(4, 3), 36 * 9 * 3 * 4),
    ((8, 8, 3), layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False), 16 * 9 * 3 * 4),
    ((9, 9, 3), layers.Conv2D(4, 3, dilation_rate=2), 25 * 9 * 3 * 4),
    ((8, 8, 6), layers.Conv2D(4, 3, groups=2), 36 * 9 * 3 * 4),
    ((8, 8, 3), layers.DepthwiseConv2D(3, depth_multiplier=2), 36 * 9 * 3 * 2),
    ((8, 8, 3), layers.SeparableConv2D(5, 3), 36 * (9 * 3 + 3 * 5)),
    ((8, 8, 3), layers.Conv2DTranspose(4, 3, strides=2), 64 * 9 * 3 * 4),
    ((20, 2), layers.Conv1D(4, 5), 16 * 5 * 2 * 4),
    ((5, 5, 5, 2), layers.Conv3D(4, 3), 27 * 27 * 2 * 4),
    ((7,), layers.Dense(3), 21),
    ((4, 7), layers.Dense(3), 4 * 21),
    ((8, 8, 3), layers.BatchNormalization(), 0),
    ((8, 8, 3), layers.MaxPooling2D(), 0),
]


@pytest.mark.parametrize(("shape", "layer", "macs"), LAYERS, ids=lambda value: getattr(value, "name", ""))
def test_layers_by_hand(shape, layer, macs):
    inputs = keras.Input(shape)
    table = cost_table(keras.Model(inputs, layer(inputs)))
    assert table.macs == table.multiplications == macs
    assert table.params == layer.count_params()


@pytest.mark.parametrize(("bias", "of_one_output"), [(True, 3 * 3 * 2), (False, 3 * 3 * 2 - 1)])
def test_additions_are_those_of_a_counting_loop(bias, of_one_output):
    """Every output is a sum of terms: one addition fewer than terms, and one for the bias."""
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, layers.Conv2D(3, 3, use_bias=bias)(inputs))
    assert cost_table(model).additions == sum(of_one_output for _ in np.ndindex(4, 4, 3))


def test_nested_and_shared_layers():
    shared = layers.Conv2D(3, 1, use_bias=False)
    inputs = keras.Input((4, 4, 3))
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(3, 1, use_bias=False)])
    table = cost_table(keras.Model(inputs, inner(shared(shared(inputs)))))
    assert [row.macs for row in table.rows] == [144, 144, 144]
    assert [row.params for row in table.rows] == [9, 0, 9]
    assert table.params == 18


def test_a_model_that_is_applied_twice_holds_its_weights_once():
    inputs = keras.Input((4, 4, 3))
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(3, 1, use_bias=False)])
    table = cost_table(keras.Model(inputs, inner(inner(inputs))))
    assert [row.macs for row in table.rows] == [144, 144]
    assert [row.params for row in table.rows] == [9, 0]
    assert table.params == 9


def test_rows_add_up_to_the_totals():
    with weightless():
        table = cost_table(tfcnn.build("mobilenet", (32, 32, 1), 10))
    for name in ("params", "macs", "multiplications", "additions", "activation_bytes"):
        assert sum(getattr(row, name) for row in table.rows) == getattr(table, name)


def test_another_input_size():
    with weightless():
        model = tfcnn.build("resnet18")
        expected = cost_table(tfcnn.build("resnet18", (96, 96, 3), stem="imagenet"))
    assert cost_table(model, input_shape=(96, 96, 3)).macs == expected.macs


def test_an_input_size_for_a_model_of_any_size():
    with weightless():
        open_size = keras.Model(inputs := keras.Input((None, None, 3)), layers.Conv2D(4, 3)(inputs))
    assert cost_table(open_size, input_shape=(8, 8, 3)).macs == 36 * 9 * 3 * 4


def test_keras_applications():
    """A network of another package; 568,740,352 is its paper's count."""
    with weightless():
        table = cost_table(keras.applications.MobileNet(weights=None))
    assert (table.macs, table.params) == (568_740_352, 4_253_864)


def test_a_layer_of_unknown_cost_is_named():
    x = inputs = keras.Input((4, 3))
    for layer in (layers.LSTM(2, name="memory", return_sequences=True), layers.Dense(5)):
        x = layer(x)
    table = cost_table(keras.Model(inputs, x))
    assert table.unpriced == ("memory (LSTM)",)
    assert (table.macs, table.params) == (4 * 2 * 5, 4 * 2 * (3 + 2 + 1) + 2 * 5 + 5)
    assert str(table).split("\n")[-1] == "not priced: memory (LSTM)"


def test_a_map_of_unknown_size_is_named():
    open_size = keras.Model(inputs := keras.Input((None, None, 3)), layers.Conv2D(4, 3, name="first")(inputs))
    with pytest.raises(ValueError, match="size of first's map is not known"):
        cost_table(open_size)


@pytest.mark.slow
def test_a_model_inside_costs_what_its_applied_size_does():
    with weightless():
        inner = keras.applications.MobileNetV3Small(weights=None, include_top=False)  # of any size
        sized = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(96, 96, 3))
        inputs = keras.Input((96, 96, 3))
        model = keras.Model(inputs, inner(inputs))
    assert cost_table(model).macs == cost_table(sized).macs > 0
    assert cost_table(model)[1:] == cost_table(sized)[1:]


# Parameters: keras.io/api/applications. MACs: summed over the outputs of every Conv2d and Linear, by forward hooks, in
# timm 1.0.31's networks of the same name (tf_efficientnet_b0, legacy_xception, nasnetalarge ...).
APPLICATIONS = {
    "ConvNeXtTiny": (28_589_128, 4_455_531_264),
    "DenseNet121": (8_062_504, 2_834_161_664),
    "EfficientNetB0": (5_330_571, 385_814_752),
    "EfficientNetV2B0": (7_200_312, 718_086_176),
    "InceptionResNetV2": (55_873_736, 13_155_794_016),
    "InceptionV3": (23_851_784, 5_713_216_096),
    "MobileNetV2": (3_538_984, 300_774_272),
    "NASNetLarge": (88_949_818, 23_783_414_658),
    "Xception": (22_910_480, 8_357_403_496),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "params", "macs"), [(k, *v) for k, v in APPLICATIONS.items()])
def test_networks_of_keras(name, params, macs):
    with weightless():
        table = cost_table(getattr(keras.applications, name)(weights=None))
    assert (table.params, table.macs, table.unpriced) == (params, macs, ())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "NASNetMobile", "ResNet50V2"])
def test_other_networks_of_keras_have_no_unknown_layer(name):
    with weightless():
        model = getattr(keras.applications, name)(weights=None)
    table = cost_table(model, (224, 224, 3))  # MobileNetV3's own size is open
    assert table.unpriced == ()
    assert table.macs > 5e7


def test_a_layer_applied_to_each_time():
    inputs = keras.Input((5, 8, 8, 3))
    assert cost_table(keras.Model(inputs, layers.TimeDistributed(layers.Conv2D(4, 3))(inputs))).macs == 5 * 36 * 27 * 4


def test_a_layer_with_spectral_normalisation():
    inputs = keras.Input((8, 8, 3))
    wrapped = layers.SpectralNormalization(layers.Conv2D(4, 3))
    assert cost_table(keras.Model(inputs, wrapped(inputs))).macs == 36 * 27 * 4


def test_memory_by_hand():
    """One image is 100 bytes of float32, the convolution's map 200, the branch's 200; the sum is held with both."""
    inputs = keras.Input((5, 5, 1))
    x = layers.Conv2D(2, 1)(inputs)
    table = cost_table(keras.Model(inputs, layers.Add()([x, layers.ReLU()(x)])))
    weights = 4 * (2 + 2)
    memory = table.memory(batch_size=10)
    assert memory == (weights, weights, 2 * weights, 10 * 700, 4 * weights + 10 * 700, weights + 10 * 600)
    assert table.memory(10, slots=1).optimizer == weights


def test_memory_of_a_chain_is_two_neighbouring_maps():
    with weightless():
        table = cost_table(keras.applications.VGG16(weights=None))
    maps = [(224 * 224 * 3)] + [math.prod(row.output_shape) for row in table.rows]
    assert table.peak_bytes == 4 * max(map(sum, itertools.pairwise(maps)))
    assert table.memory(8).activations == 8 * 4 * sum(maps)


def test_memory_counts_bytes_of_each_type():
    """In mixed precision the weights are float32, and batch norm's statistics have no gradient."""
    inputs = keras.Input((4, 4, 3), dtype="float16")
    x = layers.BatchNormalization(dtype="mixed_float16")(layers.Conv2D(5, 1, dtype="mixed_float16")(inputs))
    memory = cost_table(keras.Model(inputs, x)).memory(2)
    assert memory.parameters == 4 * (20 + 20)
    assert memory.gradients == 4 * (20 + 10)
    assert memory.activations == 2 * 2 * 16 * (3 + 5 + 5)


def test_activation_bytes():
    inputs = keras.Input((4, 4, 3))
    for dtype, size in (("float32", 4), ("bfloat16", 2), ("float16", 2)):
        table = cost_table(keras.Model(inputs, layers.Conv2D(5, 1, dtype=dtype)(inputs)))
        conv = next(row for row in table.rows if row.kind == "Conv2D")
        assert conv.activation_bytes == 4 * 4 * 5 * size


def test_the_text_is_a_table():
    with weightless():
        text = str(cost_table(tfcnn.build("lenet5")))
    lines = text.split("\n")
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "MACs"]
    assert lines[-1].split() == ["total", "61,706", "416,520"]
    assert len({len(line) for line in lines}) == 1


def test_weights_that_were_left_out_stay_so_when_keras_allocates_others():
    with weightless():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    with keras.StatelessScope():
        keras.layers.Dense(2).build((None, 3))
    assert "unset" in repr(model.weights[0]).lower() or model.weights[0]._value is None


CHANNELS_FIRST = {
    "Conv2D": lambda form: layers.Conv2D(8, 3, strides=2, data_format=form),
    "Conv2DTranspose": lambda form: layers.Conv2DTranspose(8, 3, strides=2, data_format=form),
    "DepthwiseConv2D": lambda form: layers.DepthwiseConv2D(3, depth_multiplier=2, data_format=form),
    "SeparableConv2D": lambda form: layers.SeparableConv2D(8, 3, data_format=form),
    "Conv3D": lambda form: layers.Conv3D(4, 3, groups=2, data_format=form),
}


@pytest.mark.parametrize("name", CHANNELS_FIRST)
def test_channels_first_cost_as_channels_last(name):
    sides = (11, 9, 7) if name == "Conv3D" else (11, 9)
    tables = []
    for form, shape in (("channels_first", (6, *sides)), ("channels_last", (*sides, 6))):
        inputs = keras.Input(shape)
        tables.append(cost_table(keras.Model(inputs, CHANNELS_FIRST[name](form)(inputs))))
    first, last = tables
    assert first.macs == last.macs > 0
    assert (first.params, first.additions, first.unpriced) == (last.params, last.additions, ())


PRODUCTS = {
    "conv": lambda x: keras.ops.conv(x, np.ones((3, 3, 3, 8), "float32")),
    "depthwise_conv": lambda x: keras.ops.depthwise_conv(x, np.ones((3, 3, 3, 1), "float32")),
    "matmul": lambda x: keras.ops.matmul(x, np.ones((3, 4), "float32")),
    "einsum": lambda x: keras.ops.einsum("bhwc,cd->bhwd", x, np.ones((3, 4), "float32")),
    "Dot": lambda x: layers.Dot(-1)([layers.Reshape((64, 3))(x), layers.Reshape((64, 3))(x)]),
    "Attention": lambda x: layers.Attention()([layers.Reshape((64, 3))(x), layers.Reshape((64, 3))(x)]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_tensors_are_named_as_unpriced(name):
    inputs = keras.Input((8, 8, 3))
    table = cost_table(keras.Model(inputs, PRODUCTS[name](inputs)))
    assert len(table.unpriced) == 1
    assert table.unpriced[0].lower().replace("_", "").count(name.lower().replace("_", "")) >= 1
