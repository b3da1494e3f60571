"""What a run says when its training goes wrong: when, how often, and the cause that it names."""

import math

import keras
import numpy as np
import pytest

import pipelines
from tfcnn.config import Config
from tfcnn.training.schedules import Schedule
from tfcnn.training.symptoms import (
    Facts,
    Symptoms,
    at_chance,
    facts_of,
    lacks_steps,
    learns_nothing,
    loss_rises,
    overfits,
)

ROW = {"loss": 1.0, "accuracy": 0.9, "val_loss": 2.5, "val_accuracy": 0.11}
FACTS = Facts(
    classes=10,
    chance=0.1,
    uniform_loss=math.log(10),
    validated=180,
    updates=39,
    slow_epochs=1,
    epochs=12,
    early_stop=0,
)


def history(accuracies, losses=None, validations=None):
    """The rows of a history, whose validation is as good as the training unless it says otherwise."""
    losses = losses or [1 - accuracy for accuracy in accuracies]
    validations = validations or accuracies
    return [
        {"epoch": i + 1, "loss": loss, "accuracy": accuracy, "val_loss": 1 - validation, "val_accuracy": validation}
        for i, (loss, accuracy, validation) in enumerate(zip(losses, accuracies, validations, strict=True))
    ]


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
    callback = Symptoms(data, Config(batch_size=64), list(rows))
    callback.set_model(model)
    callback.on_epoch_end(len(rows), row)
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
    assert warning(digits, None, capsys, row=ROW | {"val_accuracy": 0.8}) == ""


def test_a_small_split_has_more_noise():
    row = {"accuracy": 0.9, "val_accuracy": 0.2}
    assert at_chance(row, 10, validated=20)
    assert not at_chance(row, 10, validated=2000)


@pytest.mark.parametrize(
    ("accuracy", "loss", "epochs", "expected"),
    [
        (0.11, 2.30, 6, True),
        (0.11, 2.30, 4, False),  # within 200 updates
        (0.20, 2.25, 6, False),  # it learns
        (0.11, 2.10, 6, False),  # so does its loss
    ],
)
def test_training_at_chance(accuracy, loss, epochs, expected):
    assert learns_nothing(history([accuracy] * epochs, [loss] * epochs), FACTS) == expected


def test_new_layers_alone_and_a_warm_up_have_their_time():
    rows = history([0.1] * 6, [2.3] * 6)
    assert not learns_nothing(rows, FACTS._replace(slow_epochs=4))


def test_the_largest_class_is_chance(digits):
    facts = facts_of(digits, Config(smoothing=0))
    counts = np.bincount(digits.labels("train"), minlength=10)
    shares = counts / counts.sum()
    assert facts.chance == shares.max()
    assert facts.uniform_loss == pytest.approx(-(shares * np.log(shares)).sum())


@pytest.mark.parametrize(
    ("epochs", "accuracy", "expected"), [(2, 0.3, True), (2, 0.7, False), (1, 0.3, False), (6, 0.3, False)]
)
def test_too_few_steps(epochs, accuracy, expected):
    facts = FACTS._replace(epochs=max(epochs, 2))
    assert lacks_steps(history([accuracy] * epochs), facts) == expected


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([2.3, 1.0, 2.4], True), ([2.3, 1.0, 1.5], False), ([2.3, 2.2, 2.31], False), ([2.3], False)],
)
def test_a_loss_that_rises(losses, expected):
    assert loss_rises([{"loss": loss} for loss in losses], FACTS) == expected


def test_validation_far_below_training_at_the_end_of_the_run():
    rows = history([0.5] * 11 + [0.95], validations=[0.4] * 11 + [0.7])
    assert overfits(rows, FACTS)
    assert not overfits(rows, FACTS._replace(epochs=20))
    assert not overfits(history([0.95] * 12, validations=[0.85] * 12), FACTS)


def test_validation_far_below_training_for_long():
    validations = [0.72] + [0.7] * 5
    assert overfits(history([0.95] * 6, validations=validations), FACTS)
    assert not overfits(history([0.95] * 5, validations=validations[:5]), FACTS)


def test_a_network_whose_units_never_fire(digits, capsys):
    model = classifier(digits)
    model.layers[-1].set_weights([np.zeros((64, 10)), np.arange(10.0)])
    model.compile(keras.optimizers.SGD(Schedule("constant", 0.5, warmup=0, total=10)))
    rows = history([0.1] * 11, [2.3] * 11)
    line = warning(digits, model, capsys, rows=rows[:10], row=rows[10])
    assert line.count("\n") == 1
    assert "training accuracy 10.0% is chance after 11 epochs, and all images have the same answer" in line
    assert "(--lr 0.05 instead of 0.5, --lr auto)" in line


def test_a_network_that_does_not_change(digits, capsys):
    rows = history([0.1] * 11, [2.3] * 11)
    model = classifier(digits)
    model.compile(keras.optimizers.SGD(Schedule("constant", 1e-6, warmup=0, total=10)))
    line = warning(digits, model, capsys, rows=rows[:10], row=rows[10])
    assert "the likely cause is a learning rate that is too low (--lr 1e-05 instead of 1e-06, --lr auto), or" in line


def test_the_flags_against_overfitting(digits, capsys):
    rows = history([0.95] * 12, validations=[0.7] * 12)
    line = warning(digits, None, capsys, rows=rows[:10], row=rows[10])
    assert line == (
        "warning: validation accuracy is 70.0%, training accuracy 95.0%: the network overfits (--aa rand, --mixup 0.2, "
        "loaded --weights, --width 0.5, more images)\n"
    )
    assert warning(digits, None, capsys, rows=rows[:11], row=rows[11]) == ""
