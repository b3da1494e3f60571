"""Batch norms folded into the layers before them: the same function."""

import contextlib

import keras
import numpy as np
import pytest

import tfcnn
from benchmarks.export import SHAPES, small_form
from tfcnn.export.folding import fold_batch_norms
from tfcnn.models import registry
from tfcnn.receptive_field import receptive_fields

RNG = np.random.default_rng(0)


def move_weights(model):
    """Moves weights and statistics off their initial values; variances stay positive."""
    model.set_weights([weight + 0.3 * abs(RNG.normal(size=weight.shape)) for weight in model.get_weights()])


def count_norms(model):
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)


def chain(shape, *layers):
    inputs = keras.Input(shape)
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    model = keras.Model(inputs, outputs)
    move_weights(model)
    return model


def test_the_formula():
    """A 1x1 convolution and a norm, by the equations of the paper."""
    model = chain((1, 1, 2), keras.layers.Conv2D(3, 1), keras.layers.BatchNormalization(epsilon=0.01))
    kernel, bias, gamma, beta, mean, variance = (weight.astype("float64") for weight in model.get_weights())
    factor = gamma / np.sqrt(variance + 0.01)
    folded = fold_batch_norms(model)
    assert count_norms(folded) == 0
    np.testing.assert_allclose(folded.get_weights()[0], kernel * factor, rtol=1e-6)
    np.testing.assert_allclose(folded.get_weights()[1], (bias - mean) * factor + beta, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((9, 3), keras.layers.Conv1D(4, 3, use_bias=False)),
        ((9, 9, 3), keras.layers.Conv2D(4, 3, strides=2, padding="same")),
        ((9, 9, 4), keras.layers.Conv2D(6, 3, groups=2)),
        ((5, 5, 5, 2), keras.layers.Conv3D(3, 2)),
        ((9, 9, 3), keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)),
        ((9, 3), keras.layers.DepthwiseConv1D(3)),
        ((5, 5, 3), keras.layers.Conv2DTranspose(4, 3, strides=2)),
        ((9, 9, 3), keras.layers.SeparableConv2D(4, 3, depth_multiplier=2)),
        ((7,), keras.layers.Dense(5)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.layers.Layer) else None,
)
@pytest.mark.parametrize("affine", [True, False])
def test_each_layer_that_folds(shape, layer, affine):
    twin = type(layer).from_config(layer.get_config())
    model = chain(shape, twin, keras.layers.BatchNormalization(scale=affine, center=affine), keras.layers.ReLU())
    inputs = RNG.normal(size=(2, *shape)).astype("float32")
    folded = fold_batch_norms(model)
    assert count_norms(folded) == 0
    np.testing.assert_allclose(folded(inputs), model(inputs, training=False), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arch", "arguments"),
    [
        ("dilated_vgg16", {"batch_norm": True, "width": 1 / 16}),
        ("resnet20", {}),
        ("mobilenet_v3_small", {"width": 0.25}),
    ],
)
def test_what_a_folded_network_sees(arch, arguments):
    """The places of a map come from it when a network is exported."""
    model = tfcnn.build(arch, (96, 96, 3), 4, **arguments)
    folded = fold_batch_norms(model)
    assert count_norms(model) > count_norms(folded) == 0
    assert receptive_fields(folded) == receptive_fields(model)


def test_what_cannot_be_folded_stays():
    """After an activation, after a pooling, where the map has another reader, and where a layer is applied twice."""
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    outputs = keras.layers.BatchNormalization()(keras.layers.MaxPooling2D()(outputs))
    maps = keras.layers.Conv2D(4, 1)(outputs)
    outputs = keras.layers.Add()([maps, keras.layers.BatchNormalization()(maps)])
    shared = keras.layers.Conv2D(4, 1)
    outputs = keras.layers.BatchNormalization()(shared(shared(outputs)))
    model = keras.Model(inputs, outputs)
    move_weights(model)
    assert fold_batch_norms(model) is model


@contextlib.contextmanager
def policy(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


FAMILIES = [family for family in registry.FAMILIES if family.task != "detection"]


@pytest.mark.slow
@pytest.mark.parametrize("arch", [*(family.names[0] for family in FAMILIES), "resnet20", "densenet_bc100", "m5"])
def test_networks(arch):
    """Where a family has no batch norm, the model itself; resnet20 pads by a function, not a layer.

    In float32 two values of a pooling window may lie closer than the rounding, and unpooling moves the larger;
    TensorFlow pools no volumes in float64.
    """
    family = registry.family_of(arch)
    with policy("float32" if family.axes == 3 else "float64"):
        model = small_form(arch)
        folded = fold_batch_norms(model)
    if not family.module.startswith("dense"):  # its norms come before the convolutions
        assert count_norms(folded) == 0
    images = RNG.normal(size=(2, *SHAPES[family.axes]))
    expected = np.asarray(model(images, training=False))
    np.testing.assert_allclose(folded(images), expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
