"""Depthwise and separable convolutions: their values and gradients are Keras' own."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.tfcnn.training.twin_networks import RNG, changes, check, graph_of, run, twins
from tfcnn.training import fused_depthwise, fused_kernels

KINDS = {layers.DepthwiseConv2D: [], layers.SeparableConv2D: [5]}  # and their filters


@pytest.fixture(autouse=True)
def with_onednn(monkeypatch):
    """The kernels are tested on every machine."""
    monkeypatch.setattr(fused_kernels, "onednn", lambda: True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sides", "strides"),
    [((1, 1), 1), ((2, 2), 1), ((2, 5), 1), ((1, 1), 2), ((2, 2), 2), ((2, 1), 2), ((3, 3), 2), ((6, 3), 2)],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_depthwise_convolution_of_a_map_smaller_than_its_kernel(kind, sides, strides):
    settings = {"strides": strides, "padding": "same", "activation": "softplus", "depth_multiplier": 2}
    plain, fused, changed = twins(lambda: kind(*KINDS[kind], 3, **settings), (*sides, 4))
    assert changed == changes(depthwise_convolutions=1)
    check(plain, fused, RNG.normal(size=(3, *sides, 4)).astype("float32"), True)
    kernels = [op for op in graph_of(fused, (None, *sides, 4)) if op.type == "DepthwiseConv2dNative"]
    assert {op.get_attr("padding") for op in kernels} == (set() if max(sides) <= strides else {b"VALID"})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [(2, 3, 3, 1), (5, 5, 3, 1), (5, 5, 3, 2), (7, 4, 3, 2)], ids=str)
def test_gradients_by_parts_of_the_kernel(kernel, stride, padding, dtype):
    """They are those of TensorFlow's kernels in float32, those by the kernel of up to three columns each."""
    x, weights = (tf.round(8 * RNG.normal(size=shape)) / 8 for shape in ((2, 12, 11, 3), kernel))

    def gradients(convolve, x, weights):
        with tf.GradientTape() as tape:
            tape.watch([x, weights])
            outputs = convolve(x, weights)
        return [outputs, *tape.gradient(outputs, [x, weights], tf.sign(outputs))]

    @tf.function
    def ours():
        return gradients(lambda *pair: fused_depthwise.convolution(*pair, stride, padding), *cast(dtype))

    def cast(dtype):
        return tf.cast(x, dtype), tf.cast(weights, dtype)

    window = [1, stride, stride, 1], padding.upper()
    expected = gradients(lambda *pair: tf.nn.depthwise_conv2d(*pair, *window), *cast("float32"))
    for actual, value in zip(ours(), expected, strict=True):
        error = 1e-6 if dtype == "float32" else 2**-7
        np.testing.assert_allclose(tf.cast(actual, "float32"), value, atol=error * np.abs(value).max())
    operations = ours.get_concrete_function().graph.get_operations()
    parts = [op.outputs[0].shape for op in operations if op.type == "DepthwiseConv2dNativeBackpropFilter"]
    assert [part[1] for part in parts] == [min(3, kernel[1] - left) for left in range(0, kernel[1], 3)]
    by_convolution = padding == "same" and stride == 1 and kernel == (5, 5, 3, 1)
    assert ("DepthwiseConv2dNativeBackpropInput" in {op.type for op in operations}) == (not by_convolution)


@pytest.mark.slow
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize(
    ("sides", "kernel", "padding"),
    [((6, 6), 5, "same"), ((6, 6), 5, "valid"), ((3, 3), 5, "same"), ((5, 6), (2, 4), "same"), ((3, 4), 7, "same")],
    ids=str,
)
def test_large_kernels_on_small_maps(sides, kernel, padding, strides):
    settings = {"strides": strides, "padding": padding, "activation": "softplus"}
    plain, fused, changed = twins(lambda: layers.DepthwiseConv2D(kernel, **settings), (*sides, 4))
    assert changed == changes(depthwise_convolutions=1)
    check(plain, fused, RNG.normal(size=(3, *sides, 4)).astype("float32"), True)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel", "strides"), [(3, 2), (5, 2), (5, 1), ((1, 7), 1)], ids=str)
def test_bfloat16(kernel, strides, padding):
    """As in float32, to bfloat16's eight bits; inputs and weights have no more, so that only sums are rounded."""
    x = RNG.integers(-8, 9, (2, 9, 9, 4)).astype("float32") / 8
    results = []
    for dtype in ("float32", "mixed_bfloat16"):
        plain, fused, changed = twins(
            lambda dtype=dtype: layers.DepthwiseConv2D(kernel, strides, padding, dtype=dtype), (9, 9, 4)
        )
        for weight in (*plain.weights, *fused.weights):
            weight.assign(np.round(np.cos(np.arange(np.size(weight))) * 8).reshape(weight.shape) / 8)
        upstream = np.arange(math.prod(plain.output_shape[1:])).reshape(1, *plain.output_shape[1:]) % 17 / 8 - 1
        results.append(run(plain if dtype == "float32" else fused, x, upstream.astype("float32"), True))
    assert changed == changes(depthwise_convolutions=1)
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, atol=2**-7 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: layers.DepthwiseConv2D(3, padding="same", use_bias=False), (3, 3, 2)),
        (lambda: layers.DepthwiseConv2D(3, strides=2, padding="same"), (4, 4, 2)),
        (lambda: layers.DepthwiseConv2D(3), (3, 3, 2)),
        (lambda: layers.DepthwiseConv2D(3, padding="same", dilation_rate=2), (2, 2, 2)),
        (lambda: layers.DepthwiseConv2D(3, padding="same", dtype="mixed_bfloat16"), (4, 4, 2)),
        (lambda: layers.DepthwiseConv2D(5, padding="same", dtype="mixed_bfloat16"), (None, 9, 2)),
        (lambda: layers.DepthwiseConv2D(5, padding="same", dilation_rate=2), (6, 6, 2)),
        (lambda: layers.DepthwiseConv2D((5, 3)), (7, 7, 2)),
    ],
)
def test_other_depthwise_convolutions_stay(layer, shape):
    assert twins(layer, shape)[-1] == changes()


def test_depthwise_convolutions_stay_where_onednn_is_off(monkeypatch):
    monkeypatch.setattr(fused_kernels, "onednn", lambda: False)
    assert twins(lambda: layers.DepthwiseConv2D(3, padding="same"), (2, 2, 2))[-1] == changes()


def test_a_layer_that_also_sees_a_map_of_unknown_size_stays():
    layer = layers.DepthwiseConv2D(5, padding="same", dtype="mixed_bfloat16")
    known, unknown = keras.Input((9, 9, 2)), keras.Input((None, None, 2))
    model = keras.Model([known, unknown], [layer(known), layer(unknown)])
    assert fused_kernels.accelerate(model) == changes()
