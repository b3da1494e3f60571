"""The block, and the three networks that are made of it."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import tfcnn
from tfcnn import cost
from tfcnn.models.blocks import Style
from tfcnn.models.classification.inverted_residual import inverted_residual, squeeze_excite

STYLE = Style("same", epsilon=1e-3, activation="relu6")


def weightless(arch, **overrides):
    with cost.weightless():
        return tfcnn.build(arch, **overrides)


def test_squeeze_excite_against_a_loop():
    rng = np.random.default_rng(0)
    inputs = keras.Input((3, 4, 6))
    model = keras.Model(inputs, squeeze_excite(inputs, 2))
    w1, b1, w2, b2 = values = [rng.normal(size=w.shape).astype("float32") for w in model.get_weights()]
    model.set_weights(values)
    maps = rng.normal(size=(2, 3, 4, 6)).astype("float32")
    expected = np.empty_like(maps)
    for n, image in enumerate(maps):
        squeezed = np.maximum(image.mean((0, 1)) @ w1[0, 0] + b1, 0)
        gate = 1 / (1 + np.exp(-(squeezed @ w2[0, 0] + b2)))
        for y, x in itertools.product(range(3), range(4)):
            expected[n, y, x] = image[y, x] * gate
    np.testing.assert_allclose(model.predict_on_batch(maps), expected, rtol=1e-5, atol=1e-6)


def block(drop_path, **options):
    inputs = keras.Input((6, 6, 8))
    arguments = {"filters": 8, "kernel": 3, "stride": 1, "expanded": 16, "style": STYLE} | options
    return keras.Model(inputs, inverted_residual(inputs, drop_path=drop_path, **arguments))


def test_drop_path_leaves_out_whole_branches_in_training_and_keeps_the_expectation():
    keras.utils.set_random_seed(0)
    plain = block(0)
    dropping = block(0.25)
    dropping.set_weights(plain.get_weights() + dropping.get_weights()[len(plain.weights) :])  # the seed's state
    image = np.random.default_rng(0).normal(size=(1, 6, 6, 8)).astype("float32")
    images = np.repeat(image, 2000, axis=0)
    np.testing.assert_array_equal(plain(image, training=False), dropping(image, training=False))
    branch = np.asarray(plain(images[:2], training=True))[:1] - image
    branches = np.asarray(dropping(images, training=True)) - image
    is_kept = branches.any((1, 2, 3))
    assert 0.72 < is_kept.mean() < 0.78
    np.testing.assert_allclose(
        branches[is_kept], np.broadcast_to(branch / 0.75, branches[is_kept].shape), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(branches.mean(0), branch[0], rtol=0.05, atol=0.02)


def adds(model):
    return [layer for layer in model.layers if isinstance(layer, layers.Add)]


@pytest.mark.parametrize(("stride", "filters", "skips"), [(1, 8, 1), (2, 8, 0), (1, 16, 0)])
def test_the_identity_is_added_where_the_shape_stays(stride, filters, skips):
    model = block(0, stride=stride, filters=filters)
    assert len(adds(model)) == skips
    if skips:  # without weights in the branch only the identity is left
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])
        image = np.random.default_rng(0).normal(size=(1, 6, 6, 8)).astype("float32")
        np.testing.assert_array_equal(model.predict_on_batch(image), image)


def test_no_expansion_where_there_are_as_many_maps_already():
    convolutions = [type(layer).__name__ for layer in block(0, expanded=8).layers if "Conv" in type(layer).__name__]
    assert convolutions == ["DepthwiseConv2D", "Conv2D"]


# Blocks with stride 1 and as many maps out as in, counted in the papers' tables: MobileNetV2 Table 2, MobileNetV3
# Tables 1 and 2, EfficientNet Table 1. Then the sizes and channels of stage1 ... stage5 from the same tables.
TABLES = {
    "mobilenet_v2": (10, [(112, 16), (56, 24), (28, 32), (14, 96), (7, 320)]),
    "mobilenet_v3_large": (10, [(112, 16), (56, 24), (28, 40), (14, 112), (7, 960)]),
    "mobilenet_v3_small": (6, [(112, 16), (56, 16), (28, 24), (14, 48), (7, 576)]),
    "efficientnet_b0": (9, [(112, 16), (56, 24), (28, 40), (14, 112), (7, 320)]),
}


@pytest.mark.parametrize("arch", TABLES)
def test_tables_of_the_papers(arch):
    model = weightless(arch)
    skips, stages = TABLES[arch]
    assert len(adds(model)) == skips
    maps = [model.get_layer(f"stage{n}").output.shape for n in range(1, 6)]
    assert [(shape[1], shape[-1]) for shape in maps] == stages


def test_table_2_of_mobilenet_v2_block_by_block():
    """Input sizes of the 17 depthwise convolutions: t c of the row's input."""
    actual = [
        (layer.input.shape[1], layer.input.shape[-1], layer.strides[0])
        for layer in weightless("mobilenet_v2").layers
        if isinstance(layer, layers.DepthwiseConv2D)
    ]
    early = [(112, 32, 1), (112, 96, 2), (56, 144, 1), (56, 144, 2), (28, 192, 1), (28, 192, 1), (28, 192, 2)]
    late = [(14, 576, 1), (14, 576, 1), (14, 576, 2), (7, 960, 1), (7, 960, 1), (7, 960, 1)]
    assert actual == early + [(14, 384, 1)] * 4 + late
