"""The warning of a validation at chance, and the cause that it names."""

import keras
import numpy as np
import pytest

import pipelines
from tfcnn.training.chance import ChanceWarning, at_chance

ROW = {"accuracy": 0.9, "val_accuracy": 0.11}


@pytest.mark.parametrize(
    ("accuracy", "val_accuracy", "classes", "expected"),
    [
        (0.9, 0.10, 10, True),
        (0.9, 0.05, 10, True),
        (0.9, 0.20, 10, False),  # learns
        (0.15, 0.10, 10, False),  # neither does training
        (0.9, 0.52, 2, True),
        (0.7, 0.50, 2, False),  # not far enough above
        (0.1, 0.011, 100, True),
    ],
)
def test_chance(accuracy, val_accuracy, classes, expected):
    row = {"accuracy": accuracy, "val_accuracy": val_accuracy}
    assert at_chance(row, classes, validated=200) == expected


@pytest.fixture(scope="module")
def digits():
    return pipelines.load("digits", image_size=8, augmentation="none", batch_size=64)


def classifier(data, normalised=False):
    """The nearest class mean as a dense layer, which is right on nine digits in ten."""
    images, targets = (np.concatenate(part) for part in zip(*data.evaluation("train"), strict=True))
    means = targets.T @ images.reshape(len(images), -1) / targets.sum(0)[:, None]
    layers = [keras.Input(data.image_shape), keras.layers.Flatten()]
    layers += [keras.layers.BatchNormalization()] if normalised else []
    model = keras.Sequential([*layers, keras.layers.Dense(10)])
    model.layers[-1].set_weights([means.T, -(means**2).sum(1) / 2])
    return model


def warning(data, model, capsys, rows=(), row=ROW):
    callback = ChanceWarning(data, list(rows))
    callback.set_model(model)
    callback.on_epoch_end(0, row)
    return capsys.readouterr().err


def test_a_validation_split_that_does_not_match(digits, capsys):
    line = warning(digits, classifier(digits), capsys)
    assert line.count("\n") == 1
    assert line.startswith(
        "warning: validation accuracy 11.0% is chance, training accuracy is 90.0%; validated the same"
    )
    assert "the likely cause is the validation split" in line


def test_statistics_that_lag(digits, capsys):
    model = classifier(digits, normalised=True)
    model.layers[1].moving_mean.assign(np.random.default_rng(0).normal(size=64) * 100)
    assert "the statistics of batch norm lag behind" in warning(digits, model, capsys)


def test_weights_that_became_worse(digits, capsys):
    model = classifier(digits)
    model.layers[-1].set_weights([-weights for weights in model.layers[-1].get_weights()])
    assert "weights that became worse" in warning(digits, model, capsys)


def test_it_is_said_once(digits, capsys):
    assert warning(digits, None, capsys, rows=[ROW]) == ""


def test_an_epoch_that_learns_says_nothing(digits, capsys):
    assert warning(digits, None, capsys, row={"accuracy": 0.9, "val_accuracy": 0.8}) == ""


def test_a_small_split_has_more_noise():
    row = {"accuracy": 0.9, "val_accuracy": 0.2}
    assert at_chance(row, 10, validated=20)
    assert not at_chance(row, 10, validated=2000)
