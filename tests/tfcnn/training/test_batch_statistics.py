"""Batch norm's statistics before a validation, against NumPy."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipelines
from tfcnn.training import batch_statistics, fused_kernels
from tfcnn.training.batch_statistics import BatchStatistics, observer, precise_statistics
from tfcnn.training.weight_average import WeightAverage

SHAPE = (6, 6, 3)


def normalise(x, epsilon=1e-3):
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / np.sqrt(x.var(axes) + epsilon)


def network(dropout=0.0):
    """Batch norm, a convolution of 1x1 and batch norm, whose moving statistics fit nothing."""
    image = keras.Input(SHAPE)
    x = keras.layers.BatchNormalization(name="first")(image)
    x = keras.layers.Dropout(dropout, seed=1)(x) if dropout else x
    x = keras.layers.Conv2D(4, 1, name="conv")(x)
    model = keras.Model(image, keras.layers.BatchNormalization(name="second")(x))
    for layer in batch_statistics.batch_norms(model):
        layer.moving_mean.assign(keras.ops.ones_like(layer.moving_mean) * 7)
    return model


def draw_batches(count=3):
    rng = np.random.default_rng(0)
    return [rng.normal(n, 1 + n, (8, *SHAPE)).astype("float32") for n in range(count)]


def as_dataset(batches):
    return tf.data.Dataset.from_tensor_slices((np.stack(batches), np.zeros(len(batches))))


@pytest.mark.parametrize("fused", [False, True], ids=["keras", "fused"])
def test_statistics_are_those_of_all_batches_together(fused):
    model, batches = network(), draw_batches()
    if fused:
        fused_kernels.accelerate(model)
    statistics = precise_statistics(observer(model, batch_statistics.batch_norms(model)), as_dataset(batches))
    kernel, bias = model.get_layer("conv").get_weights()
    first = np.concatenate(batches).astype("float64")
    second = np.concatenate([normalise(batch.astype("float64")) @ kernel[0, 0] + bias for batch in batches])
    expected = [first.mean((0, 1, 2)), first.var((0, 1, 2)), second.mean((0, 1, 2)), second.var((0, 1, 2))]
    for result, values in zip(statistics, expected, strict=True):
        np.testing.assert_allclose(result, values, rtol=1e-4, atol=1e-5)


def test_earlier_statistics_leave_no_bit():
    model, batches = network(), as_dataset(draw_batches())
    observe = observer(model, batch_statistics.batch_norms(model))
    first = precise_statistics(observe, batches)
    for layer in batch_statistics.batch_norms(model):
        layer.moving_variance.assign(keras.ops.ones_like(layer.moving_variance) * 1e-3)
    for one, other in zip(first, precise_statistics(observe, batches), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.fixture(scope="module")
def digits():
    """Three steps an epoch."""
    data = pipelines.load("digits", image_size=8, batch_size=32)
    return dataclasses.replace(data, sizes=data.sizes | {"train": 96})


def begin_validation(model, data, epoch=0, average=None):
    callback = BatchStatistics(data, average.replace if average else None)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(epoch)
    callback.on_test_begin()


def classifier(dropout=0.0):
    layers = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.Dropout(dropout, seed=1)]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(10)])


def test_inference_is_that_of_the_present_weights(digits):
    """On images like those of training it agrees with batch statistics; before, it is off by more than their size."""
    model = classifier()
    model.layers[0].kernel.assign(model.layers[0].kernel * 100)
    images, _ = next(iter(digits.train()))
    before = model(images, training=False)
    begin_validation(model, digits)
    after, in_training = model(images, training=False), model(images, training=True)
    assert np.abs(before - in_training).mean() > 10
    assert np.abs(after - in_training).mean() < 0.2


def test_nothing_but_moving_statistics_changes(digits):
    """The seeds of random layers among the rest, so that a validation that is repeated changes no step."""
    model = classifier(dropout=0.5)
    before = {variable.path: variable.numpy() for variable in model.variables}
    begin_validation(model, digits)
    changed = {v.path for v in model.variables if not np.array_equal(v.numpy(), before[v.path])}
    assert {path.split("/")[-1] for path in changed} == {"moving_mean", "moving_variance"}


def test_frozen_layers_keep_their_statistics(digits):
    model = classifier()
    model.layers[1].trainable = False
    begin_validation(model, digits)
    np.testing.assert_array_equal(model.layers[1].moving_mean, 0)


def test_later_validations_keep_the_moving_average(digits):
    model = classifier()
    begin_validation(model, digits, epoch=batch_statistics.FEW_STEPS // digits.steps_per_epoch)
    np.testing.assert_array_equal(model.layers[1].moving_mean, 0)


def test_an_average_of_the_weights_gets_statistics_that_fit_it(digits):
    """The model's weights and statistics come back after the validation, the average keeps its own."""
    model = classifier()
    average = WeightAverage(model, 0.9)
    average.set_model(model)
    model.layers[0].kernel.assign(model.layers[0].kernel * 100)
    average.on_test_begin()
    begin_validation(model, digits, average=average)
    validated = model.layers[1].moving_variance.numpy()
    average.on_test_end()
    np.testing.assert_array_equal(model.layers[1].moving_variance, 1)
    with average.in_place():
        np.testing.assert_array_equal(model.layers[1].moving_variance, validated)
    assert not np.array_equal(validated, np.ones_like(validated))
