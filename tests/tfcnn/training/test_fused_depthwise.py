"""Depthwise and separable convolutions: their values and gradients are Keras' own."""

import numpy as np
import pytest
from keras import layers

from tests.tfcnn.training.twin_networks import RNG, changes, check, graph_of, run, twins
from tfcnn.training import fused_kernels

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
    settings = {"strides": strides, "padding": "same", "activation": "tanh", "depth_multiplier": 2}
    plain, fused, changed = twins(lambda: kind(*KINDS[kind], 3, **settings), (*sides, 4))
    assert changed == changes(depthwise_convolutions=1)
    check(plain, fused, RNG.normal(size=(3, *sides, 4)).astype("float32"), True)
    kernels = [op for op in graph_of(fused, (None, *sides, 4)) if op.type == "DepthwiseConv2dNative"]
    assert {op.get_attr("padding") for op in kernels} == (set() if max(sides) <= strides else {b"VALID"})


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("kernel", [4, 5, 7, (1, 5), (6, 2)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_kernels_of_more_than_three(kind, kernel, strides, padding):
    """The gradient by the kernel is put together of parts."""
    settings = {"strides": strides, "padding": padding, "depth_multiplier": 2}
    plain, fused, changed = twins(lambda: kind(*KINDS[kind], kernel, **settings), (11, 8, 3))
    assert changed == changes(depthwise_convolutions=1)
    check(plain, fused, RNG.normal(size=(2, 11, 8, 3)).astype("float32"), True)
    sides = {tuple(op.outputs[0].shape[:2]) for op in gradient_of(fused, (2, 11, 8, 3))}
    assert sides
    assert max(map(max, sides)) <= 3


def gradient_of(model, shape):
    """The kernels of a training step that make the gradient by a depthwise kernel."""
    import tensorflow as tf

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(x, training=True))
        return tape.gradient(total, [weight.value for weight in model.trainable_weights])

    operations = step.get_concrete_function(tf.TensorSpec(shape)).graph.get_operations()
    return [op for op in operations if op.type == "DepthwiseConv2dNativeBackpropFilter"]


@pytest.mark.parametrize("kernel", [3, 5])
def test_strides_in_bfloat16(kernel):
    """As in float32, to bfloat16's eight bits, whose rounding of inputs and weights is in both."""
    x, upstream = (RNG.integers(-8, 9, (2, side, side, 4)).astype("float32") / 8 for side in (9, 5))
    results = []
    for dtype in ("float32", "mixed_bfloat16"):
        plain, fused, changed = twins(
            lambda dtype=dtype: layers.DepthwiseConv2D(kernel, 2, "same", dtype=dtype), (9, 9, 4)
        )
        for weight in (weight for model in (plain, fused) for weight in model.weights):
            weight.assign(np.round(np.cos(np.arange(np.size(weight))) * 8).reshape(weight.shape) / 8)
        results.append(run(plain if dtype == "float32" else fused, x, upstream, True))
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
        (lambda: layers.DepthwiseConv2D(5, padding="same"), (None, 9, 2)),
    ],
)
def test_other_depthwise_convolutions_stay(layer, shape):
    assert twins(layer, shape)[-1] == changes()


def test_depthwise_convolutions_stay_where_onednn_is_off(monkeypatch):
    monkeypatch.setattr(fused_kernels, "onednn", lambda: False)
    assert twins(lambda: layers.DepthwiseConv2D(3, padding="same"), (2, 2, 2))[-1] == changes()
