"""Faster kernels give the results of Keras' own operations."""

import os
import subprocess
import sys
import zipfile
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.tfcnn.training.twin_networks import RNG, changes, check, graph_of, run, twins, types
from tfcnn import factory
from tfcnn.training import fused_kernels
from tfcnn.training.fused_kernels import accelerate


@pytest.fixture(autouse=True)
def without_vnni(monkeypatch):
    """All kernels are tested on every machine."""
    monkeypatch.setattr(fused_kernels, "has_vnni", lambda: False)


@pytest.mark.slow
@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"scale": False}, {"center": False}, {"momentum": 0.7, "epsilon": 0.1}, {"trainable": False}],
    ids=str,
)
def test_batch_norm(arguments, training, onednn, monkeypatch):
    monkeypatch.setattr(fused_kernels, "onednn", lambda: onednn)
    plain, fused, changed = twins(lambda: layers.BatchNormalization(**arguments), (5, 4, 3))
    assert changed == changes(batch_norms=1)
    before = [np.array(weight) for weight in plain.weights]
    check(plain, fused, RNG.normal(3, 2, (6, 5, 4, 3)).astype("float32"), training)
    moved = any((np.array(weight) != value).any() for weight, value in zip(fused.weights, before, strict=True))
    assert moved is (training and arguments.get("trainable", True))


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(9, 3), (4, 5, 6, 3), (None, 16), (4, None, 6, 16)], ids=str)
def test_batch_norm_of_sounds_and_volumes(shape, training):
    plain, fused, changed = twins(layers.BatchNormalization, shape)
    assert changed == changes(batch_norms=1)
    check(plain, fused, RNG.normal(3, 2, (6, *(side or 7 for side in shape))).astype("float32"), training)
    step = tf.function(fused).get_concrete_function(tf.TensorSpec((None, *shape)), training=True)
    assert step.structured_outputs.shape.as_list() == [None, *shape]  # what follows chooses its kernel by the shape
    assert types(fused, shape) & {"FusedBatchNormV3", "MatMul"}  # or, of small maps, a product with a row of 1/n


def test_batch_norm_of_a_sequence_leaves_masked_steps_out():
    pair = []
    for _ in range(2):
        inputs = keras.Input((8, 3))
        pair.append(keras.Model(inputs, layers.BatchNormalization()(layers.Masking()(inputs))))
    assert accelerate(pair[1]) == changes(batch_norms=1)
    x = RNG.normal(3, 2, (6, 8, 3)).astype("float32")
    x[:, 5:] = 0  # masked
    check(*pair, x, True)


@pytest.mark.parametrize(
    ("onednn", "dtype_policy", "shape", "kernel"),
    [
        (True, "float32", (2, 2, 256), False),
        (True, "float32", (2, 2, 257), True),
        (True, "float32", (None, 2, 8), True),
        (True, "mixed_bfloat16", (2, 2, 16), True),
        (False, "float32", (2, 2, 8), True),
    ],
)
def test_batch_norm_of_small_maps_does_without_onednns_kernel(onednn, dtype_policy, shape, kernel, monkeypatch):
    monkeypatch.setattr(fused_kernels, "onednn", lambda: onednn)
    _, fused, _ = twins(lambda: layers.BatchNormalization(dtype=dtype_policy), shape)
    assert ("FusedBatchNormV3" in types(fused, shape)) is kernel


@pytest.mark.parametrize(("channels", "dtype"), [(24, "float32"), (32, "bfloat16")])
def test_bfloat16_is_normalised_in_float32_where_channels_do_not_fill_a_vector(channels, dtype, monkeypatch):
    monkeypatch.setattr(fused_kernels, "onednn", lambda: True)
    _, fused, _ = twins(lambda: layers.BatchNormalization(dtype="mixed_bfloat16"), (8, 8, channels))
    (kernel,) = [op for op in graph_of(fused, (None, 8, 8, channels)) if op.type == "FusedBatchNormV3"]
    assert kernel.get_attr("T") == dtype


def test_batch_norm_of_small_maps_far_from_zero(monkeypatch):
    """The square of the mean, 90,000 times the variance, would leave nothing of it if it were taken from the sum."""
    monkeypatch.setattr(fused_kernels, "onednn", lambda: True)
    plain, fused, _ = twins(lambda: layers.BatchNormalization(momentum=0.0), (4, 4, 8))
    x = RNG.normal(300, 1, (64, 4, 4, 8)).astype("float32")
    for model in (plain, fused):
        model(x, training=True)
    np.testing.assert_allclose(fused.weights[3], x.astype(float).var((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(fused.weights[3], plain.weights[3], rtol=1e-4)


@pytest.mark.parametrize("dtype_policy", ["mixed_float16", "mixed_bfloat16"])
def test_batch_norm_in_mixed_precision_has_its_statistics_in_float32(dtype_policy):
    """The mean of values around 300, with a spread of 1, is lost in bfloat16's 8 bits and float16's 11."""
    plain, fused, _ = twins(lambda: layers.BatchNormalization(dtype=dtype_policy, momentum=0.0), (8, 8, 2))
    x = RNG.normal(300, 1, (16, 8, 8, 2)).astype("float32")
    for model in (plain, fused):
        assert model(x, training=True).dtype == dtype_policy.removeprefix("mixed_")
        assert all(weight.dtype == "float32" for weight in model.weights)
    for a, b in zip(plain.weights, fused.weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, (1, 4)], ids=str)
def test_convolution(kernel, padding):
    plain, fused, changed = twins(lambda: layers.Conv2D(4, kernel, padding=padding), (7, 6, 3))
    assert changed == changes(convolutions=1)
    check(plain, fused, RNG.normal(size=(2, 7, 6, 3)).astype("float32"), True)


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [2, 3, (1, 4)], ids=str)
@pytest.mark.parametrize(("size", "by_convolution"), [((7, 6), True), ((17, 16), False), ((None, 6), False)], ids=str)
def test_the_gradient_by_the_kernel_of_a_small_map_with_many_channels(size, by_convolution, kernel, padding):
    plain, fused, _ = twins(lambda: layers.Conv2D(5, kernel, padding=padding), (*size, fused_kernels.MANY_CHANNELS))
    x = RNG.normal(size=(3, *(side or 7 for side in size), fused_kernels.MANY_CHANNELS)).astype("float32")
    check(plain, fused, x, True)

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(fused(x))
        return tape.gradient(total, fused.trainable_variables[0].value)

    graph = gradient.get_concrete_function(tf.TensorSpec((None, *size, fused_kernels.MANY_CHANNELS))).graph
    assert any(op.type == "Conv2DBackpropFilter" for op in graph.get_operations()) is not by_convolution


def test_with_vnni_only_pointwise_convolutions_change(monkeypatch):
    monkeypatch.setattr(fused_kernels, "has_vnni", lambda: True)
    assert twins(lambda: layers.Conv2D(5, 3), (6, 6, 4))[-1] == changes()
    assert twins(lambda: layers.Conv2D(5, 1), (6, 6, 4))[-1] == changes(convolutions=1)


@pytest.mark.slow
@pytest.mark.parametrize(("value", "expected"), [("1", "True"), ("0", "False")])
def test_whether_onednn_is_on(value, expected):
    """In another process, as TensorFlow decides at its import."""
    code = (
        "from tfcnn.cli.startup import import_tensorflow; import_tensorflow(); "
        "from tfcnn.training import fused_kernels; print(fused_kernels.onednn())"
    )
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": value}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert process.stdout.strip() == expected, process.stderr


def test_eagerly():
    plain, fused, _ = twins(lambda: layers.Conv2D(4, 3), (7, 6, 3))
    x = RNG.normal(size=(2, 7, 6, 3)).astype("float32")
    gradients = []
    for model in (plain, fused):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(x, training=True) ** 2)
        gradients.append(tape.gradient(total, model.trainable_variables))
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "sides", "product"),
    [(1, (16, 16), True), (1, (16, 17), False), (1, (None, 4), False), (2, (4, 4), False)],
)
def test_a_pointwise_convolution_of_a_small_map_is_a_product(kernel, sides, product):
    _, fused, _ = twins(lambda: layers.Conv2D(4, kernel), (*sides, 3))
    assert ("MatMul" if product else "Conv2D") in types(fused, (*sides, 3))
    assert ("Conv2D" if product else "MatMul") not in types(fused, (*sides, 3))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [7, 6, 1])
def test_pointwise_convolution_with_a_stride(size, padding):
    plain, fused, changed = twins(lambda: layers.Conv2D(4, 1, 3, padding, activation="relu"), (size, 8, 3))
    assert changed["convolutions"] == 1
    check(plain, fused, RNG.normal(size=(2, size, 8, 3)).astype("float32"), True)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kernel", "dilation", "sides"),
    [(3, 2, (7, 6)), (7, 4, (25, 26)), ((2, 3), (3, 2), (5, 6)), (3, 2, (None, 9)), ((5, 1), (2, 1), (9, 4))],
    ids=str,
)
def test_dilated_convolution(kernel, dilation, sides, padding):
    check_dilated(sides, kernel_size=kernel, dilation_rate=dilation, padding=padding)


@pytest.mark.parametrize(("sides", "seen"), [((12, 12), (5, 5)), ((4, 9), (1, 5)), ((13, 40), (7, 7))], ids=str)
def test_weights_that_see_only_padding_are_left_out(sides, seen):
    """Of 7x7 with dilation 4, as in dilated VGG-16, whose map of an image of 96 pixels has 12."""
    check_dilated(sides, kernel_size=7, dilation_rate=4, padding="same")
    compute = tf.function(partial(fused_kernels.dilated_convolution, dilation=(4, 4), padding="same"))
    graph = compute.get_concrete_function(tf.zeros((2, *sides, 3)), tf.zeros((7, 7, 3, 4))).graph
    (operation,) = (op for op in graph.get_operations() if op.type == "Conv2D")
    assert tuple(operation.inputs[1].shape[:2]) == seen


def check_dilated(sides, **settings):
    """Values and gradients are Keras'; its gathering is replaced where oneDNN is on, whose gradients alone dilate."""
    plain, fused, changed = twins(lambda: layers.Conv2D(4, **settings), (*sides, 3))
    onednn = fused_kernels.onednn()
    assert changed == changes(convolutions=int(onednn))
    check(plain, fused, RNG.normal(size=(2, *(side or 8 for side in sides), 3)).astype("float32"), True)
    assert "SpaceToBatchND" in types(plain, (*sides, 3))
    assert ("SpaceToBatchND" in types(fused, (*sides, 3))) is not onednn


def test_dilated_convolutions_stay_where_onednn_is_off(monkeypatch):
    monkeypatch.setattr(fused_kernels, "onednn", lambda: False)
    assert twins(lambda: layers.Conv2D(4, 3, dilation_rate=2), (8, 8, 3))[-1] == changes()


def test_a_convolution_of_unknown_size_and_in_mixed_precision():
    plain, fused, _ = twins(lambda: layers.Conv2D(4, 3, padding="same", dtype="mixed_bfloat16"), (None, None, 3))
    check(plain, fused, RNG.normal(size=(2, 5, 9, 3)).astype("float32"), True, rtol=2e-2)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: layers.Conv2D(4, 3, 2), (8, 8, 3)),
        (lambda: layers.Conv2D(4, 3, groups=2), (8, 8, 2)),
        (lambda: layers.Conv2D(4, 3, dilation_rate=2, dtype="mixed_float16"), (8, 8, 3)),
        (lambda: layers.Conv2D(4, 3, dilation_rate=2, groups=2), (8, 8, 2)),
        (lambda: layers.DepthwiseConv2D(3), (8, 8, 3)),
        (lambda: layers.Conv1D(4, 3), (8, 3)),
        (lambda: layers.BatchNormalization(), (3,)),
        (lambda: layers.BatchNormalization(axis=1), (8, 8, 3)),
        (lambda: layers.BatchNormalization(renorm=True), (8, 8, 3)),
    ],
)
def test_what_has_no_faster_kernel_stays(layer, shape):
    assert not any(twins(layer, shape)[-1].values())


def test_layers_of_a_nested_network_are_found():
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.BatchNormalization()])
    assert accelerate(keras.Sequential([inner, layers.Flatten()])) == changes(batch_norms=1, convolutions=1)


@pytest.mark.slow
def test_a_step_of_a_network_and_its_file(tmp_path):
    """MobileNet has the logits, gradients and statistics that Keras gives it; the saved file knows nothing of this."""
    x = np.random.default_rng(4).normal(size=(16, 32, 32, 3)).astype("float32")
    results = []
    for fast in (False, True):
        keras.utils.set_random_seed(0)
        model = factory.build("mobilenet", (32, 32, 3), 5, width=0.25, dropout=0.0)
        if fast:
            assert accelerate(model) == changes(
                batch_norms=27, convolutions=14, depthwise_convolutions=int(fused_kernels.onednn())
            )
        model.save(tmp_path / "network.keras")
        results.append(run(model, x, np.eye(16, 5, dtype="float32"), True))
    # One part in a million more in all pixels turns some of these gradients by 1 - 0.99995: by the corners of ReLU6.
    for a, b in zip(*results, strict=True):
        lengths = np.linalg.norm(a), np.linalg.norm(b)
        assert np.vdot(a, b) >= 0.9999 * lengths[0] * lengths[1]
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-2)
    with zipfile.ZipFile(tmp_path / "network.keras") as archive:
        config = archive.read("config.json").decode()
    assert config.count('"BatchNormalization"') == 27
    assert "tfcnn" not in config
