"""The moving average against a running average in NumPy, and its place in validation, files and resumed runs."""

import keras
import numpy as np
import pytest

from tfcnn.training.checkpoint import Checkpoints
from tfcnn.training.weight_average import WeightAverage

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(24, 6)).astype("float32")
TARGETS = RNG.normal(size=(24, 2)).astype("float32")


class Weights(keras.callbacks.Callback):
    """Notes the weights after each batch, and in validation."""

    def __init__(self):
        super().__init__()
        self.batches = []
        self.validation = None

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append([w.numpy() for w in self.model.weights])

    def on_test_batch_end(self, batch, logs=None):
        self.validation = [w.numpy() for w in self.model.weights]


def network(**settings):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, **settings), "mse")
    return model


def fit(model, *callbacks, **settings):
    model.fit(IMAGES, TARGETS, batch_size=4, shuffle=False, verbose=0, callbacks=list(callbacks), **settings)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("decay", [0.3, 0.99])
def test_it_is_the_running_average_of_the_updates(decay, every):
    """With decay 0.99 the rule (1 + n) / (10 + n) holds, with 0.3 it ends after two updates."""
    model = network(gradient_accumulation_steps=every if every > 1 else None)
    average = WeightAverage(model, decay)
    history = Weights()
    expected = [w.numpy() for w in model.weights]
    fit(model, history, average, epochs=2)
    updates = history.batches[every - 1 :: every]
    assert len(updates) == 12 // every
    for n, weights in enumerate(updates, start=1):
        d = min(decay, (1 + n) / (10 + n))
        expected = [d * old + (1 - d) * new for old, new in zip(expected, weights, strict=True)]
    assert len(expected) == 6  # kernel, bias, gamma, beta, and the statistics of batch norm
    for averaged, value in zip(average.averages, expected, strict=True):
        np.testing.assert_allclose(averaged.numpy(), value, rtol=1e-5, atol=1e-7)


def test_validation_is_of_the_average_and_training_does_not_change():
    model = network()
    plain = network()
    average = WeightAverage(model, 0.9)
    history = Weights()
    alone = Weights()
    fit(model, average, history, epochs=3, validation_data=(IMAGES, TARGETS))
    fit(plain, alone, epochs=3)
    for weight, value in zip(history.validation, average.averages, strict=True):
        np.testing.assert_array_equal(weight, value.numpy())
    assert any((a != b).any() for a, b in zip(history.validation, history.batches[-1], strict=True))
    for with_average, without in zip(history.batches, alone.batches, strict=True):
        for a, b in zip(with_average, without, strict=True):
            np.testing.assert_array_equal(a, b)


def test_weights_come_back_after_an_error():
    model = network()
    average = WeightAverage(model, 0.9)
    fit(model, average)
    before = model.get_weights()
    with average.in_place():
        assert any((a != b).any() for a, b in zip(model.get_weights(), before, strict=True))
    with pytest.raises(ZeroDivisionError), average.in_place():
        1 / 0  # noqa: B018
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_keeps_both(tmp_path):
    model = network()
    average = WeightAverage(model, 0.9)
    fit(model, average)
    Checkpoints(model, tmp_path, average.averages).save(1, 0, [])
    fit(model, average)

    again = network()
    average_again = WeightAverage(again, 0.9)
    assert Checkpoints(again, tmp_path, average_again.averages).restore() == (1, 0, [])
    fit(again, average_again)
    for a, b in zip([*model.weights, *average.averages], [*again.weights, *average_again.averages], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_skipped_step_is_not_averaged():
    """In float16 an overflow leaves the weights, and the count of updates, as they were."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, dtype="mixed_float16")])
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "mse")
    average = WeightAverage(model, 0.9)
    start = [value.numpy() for value in average.averages]
    model.fit(IMAGES * np.nan, TARGETS, batch_size=24, verbose=0, callbacks=[average])
    for a, b in zip(start, average.averages, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    fit(model, average)
    assert (start[0] != average.averages[0].numpy()).any()
