"""Batch norm over the examples of two devices is that of all on one."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfcnn.training.synchronised_norm import synchronised

RNG = np.random.default_rng(0)


class Device(threading.Thread):
    """A device of two, as a thread: `exchanges` has what each has sent, in turn."""

    num_replicas_in_sync = 2
    barrier = threading.Barrier(2, timeout=60)

    def __init__(self, number, function, exchanges):
        super().__init__()
        self.replica_id_in_sync_group, self.function, self.exchanges = number, function, exchanges

    def run(self):
        self.result = self.function()

    def all_reduce(self, operation, value):
        assert operation == tf.distribute.ReduceOp.SUM
        self.exchanges[self.replica_id_in_sync_group].append(value)
        self.barrier.wait()
        total = sum(sent[-1] for sent in self.exchanges)
        self.barrier.wait()
        return total


@pytest.fixture
def on_devices(monkeypatch):
    """Runs two functions at the same time, each on its device; their results and the number of exchanges."""
    monkeypatch.setattr(tf.distribute, "get_replica_context", threading.current_thread)

    def run(functions):
        exchanges = [[], []]
        devices = [Device(number, function, exchanges) for number, function in enumerate(functions)]
        for device in devices:
            device.start()
        for device in devices:
            device.join()
        return [device.result for device in devices], len(exchanges[0])

    return run


def trained(model, x, upstream):
    """Outputs, the gradients by inputs and by weights, and the moving statistics after a step."""
    x = tf.constant(x, model.inputs[0].dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = model(x, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, "float64") * upstream)
    values = tape.gradient(loss, [x, *(weight.value for weight in model.trainable_weights)])
    return [np.asarray(tf.cast(value, "float64")) for value in [outputs, *values, *model.non_trainable_weights]]


def network(shape, dtype="float64", **settings):
    layer = layers.BatchNormalization(momentum=0.9, dtype=dtype, **settings)
    model = keras.Sequential([keras.Input(shape, dtype=keras.DTypePolicy(dtype).compute_dtype), layer])
    for weight in model.weights:
        weight.assign(1 + np.arange(np.size(weight)) / 8)
    return model


@pytest.mark.parametrize("settings", [{}, {"center": False}, {"scale": False}, {"dtype": "mixed_bfloat16"}], ids=str)
@pytest.mark.parametrize("shape", [(5,), (7, 5), (4, 3, 5), (2, 3, 4, 5)], ids=str)
def test_two_devices_are_one(shape, settings, on_devices):
    x, upstream = (RNG.normal(3, 2, (8, *shape)) for _ in range(2))
    x[:4] += 5  # the devices differ in their means
    expected = trained(network(shape, **settings), x, upstream)
    pair = [network(shape, **settings) for _ in range(2)]
    with synchronised(pair[0]), synchronised(pair[1]):
        parts = [
            lambda model=model, half=half: trained(model, x[half], upstream[half])
            for model, half in zip(pair, (slice(4), slice(4, 8)), strict=True)
        ]
        (first, second), exchanges = on_devices(parts)
    assert exchanges == 2
    weights = len(pair[0].trainable_weights)
    both = [
        *(np.concatenate(values) for values in zip(first[:2], second[:2], strict=True)),
        *(one + other for one, other in zip(first[2:][:weights], second[2:][:weights], strict=True)),
        *first[2 + weights :],
    ]
    error = 2**-7 if "dtype" in settings else 1e-12
    for actual, value in zip(both, expected, strict=True):
        np.testing.assert_allclose(actual, value, atol=error * np.abs(value).max())
    np.testing.assert_array_equal(first[2 + weights :], second[2 + weights :])


def test_the_layers_are_as_before_afterwards():
    model = network((4, 4, 2))
    before = model.get_config()
    with synchronised(model):
        assert model.layers[0].synchronized
    assert model.get_config() == before
    assert "call" not in vars(model.layers[0])


@pytest.mark.parametrize("frozen", [True, False])
def test_without_training_there_is_no_exchange(frozen, on_devices):
    model = network((4, 4, 2))
    model.trainable = not frozen
    x = RNG.normal(size=(2, 4, 4, 2))
    expected = model(x, training=False)
    with synchronised(model):
        outputs, exchanges = on_devices([lambda: model(x, training=frozen)] * 2)
    assert exchanges == 0
    np.testing.assert_array_equal(outputs[0], expected)
