"""What is set up before and after a network's fine-tuning; its training is in test_compress.py."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tfcnn.compression import fine_tuning
from tfcnn.compression.fine_tuning import Lesson, prune, share_weights
from tfcnn.compression.settings import Settings
from tfcnn.config import Config

STEPS = 40


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((10,))
    hidden = keras.layers.Dense(20, name="first")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="second")(hidden))


@pytest.fixture
def lesson():
    data = SimpleNamespace(steps_per_epoch=STEPS, task="classification", std=[0.25])
    return Lesson(Config(arch="lenet5", weight_decay=0.1), data, rate=0.01)


def kept_of(model):
    return [float(np.mean(layer.kernel.numpy() != 0)) for layer in model.layers[1:]]


def test_without_epochs_a_network_is_pruned_at_once(model, lesson):
    prune(model, lesson, Settings(sparsity=0.5, scope="layer"))
    assert kept_of(model) == [0.5, 0.5]


def test_one_threshold_is_over_all_layers(model, lesson):
    prune(model, lesson, Settings(sparsity=0.5))
    first, second = kept_of(model)
    assert first != second
    assert 200 * first + 60 * second == 130


def test_the_sparsity_is_final_after_60_percent_of_the_epochs(model, lesson, monkeypatch):
    words = []

    def train(model, lesson, epochs, train_step, before):
        words.extend(before(share) for share in (0, 0.3, 0.6, 0.9))

    monkeypatch.setattr(fine_tuning, "train", train)
    prune(model, lesson, Settings(sparsity=0.8, epochs=10))
    assert words == ["sparsity 0.0%", "sparsity 70.0%", "sparsity 80.0%", "sparsity 80.0%"]  # Zhu & Gupta's equation 1


def test_kernels_share_values_and_lose_their_masks(model, lesson):
    settings = Settings(sparsity=0.5, bits=3)
    constraints = prune(model, lesson, settings)
    assert all(layer.kernel.constraint is not None for layer in model.layers[1:])
    share_weights(model, lesson, settings, constraints)
    for layer in model.layers[1:]:
        assert layer.kernel.constraint is None
        values = np.unique(layer.kernel.numpy())
        assert len(values) <= 8
        np.testing.assert_array_equal(values, values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(("rate", "pruning", "sharing"), [(None, 0.005, 0.0005), (0.02, 0.02, 0.002)])
def test_the_peaks_of_the_rate(model, lesson, rate, pruning, sharing):
    """Half of the run's, and a tenth of that for the shared values; without epochs it is the rate of the first step."""
    settings = Settings(sparsity=0.5, bits=3, rate=rate)
    constraints = prune(model, lesson, settings)
    assert float(model.optimizer.learning_rate) == pytest.approx(pruning)
    share_weights(model, lesson, settings, constraints)
    assert float(model.optimizer.learning_rate) == pytest.approx(sharing)
    assert not model.optimizer.weight_decay
