import math
import types

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn.checkpoint import Checkpoints, Keeper, best_epoch, out_of_patience
from tfcnn.config import TrainingFailed
from tfcnn.run_directory import RunDirectory


def rows(*losses):
    return [{"epoch": i + 1, "val_loss": loss, "val_accuracy": 0.5} for i, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("losses", "best"),
    [((3, 1, 2), 1), ((2, 1, 1), 1), ((math.nan, 5, math.inf), 1), ((math.nan,), None), ((), None)],
)
def test_best_epoch(losses, best):
    assert best_epoch(rows(*losses)) == best


@pytest.mark.parametrize(
    ("losses", "patience", "stop"),
    [
        ((1, 2, 3), 2, True),
        ((1, 2), 2, False),
        ((3, 2, 1), 1, False),
        ((1, 2, 3), 0, False),
        ((math.nan,) * 2, 2, True),
    ],
)
def test_out_of_patience(losses, patience, stop):
    assert out_of_patience(rows(*losses), patience) is stop


def compiled():
    keras.utils.set_random_seed(0)
    model = tfcnn.build("lenet5", (16, 16, 1), 3)
    model.compile(keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_checkpoint_holds_weights_and_optimiser(tmp_path):
    images, labels = np.random.default_rng(0).normal(size=(8, 16, 16, 1)), np.arange(8) % 3
    model = compiled()
    checkpoints = Checkpoints(model, tmp_path)
    assert checkpoints.restore() == 0
    model.train_on_batch(images, labels)
    checkpoints.save(1)
    expected = [model.train_on_batch(images, labels) for _ in range(3)]

    other = compiled()
    assert Checkpoints(other, tmp_path).restore() == 1
    assert [other.train_on_batch(images, labels) for _ in range(3)] == pytest.approx(expected, rel=1e-6)
    assert int(other.optimizer.iterations) == 4


def keeper(tmp_path, **kwargs):
    saved = types.SimpleNamespace(save=lambda epochs: None)
    callback = Keeper(RunDirectory(tmp_path), saved, [], **kwargs)
    callback.set_model(compiled())
    return callback


def logs(loss, val_loss):
    return {"loss": loss, "accuracy": 0.5, "val_loss": val_loss, "val_accuracy": 0.5}


def test_the_best_model_is_kept(tmp_path):
    callback = keeper(tmp_path)
    run = callback.run
    for epoch, loss in enumerate((2.0, 1.0, 3.0)):
        for weight in callback.model.trainable_variables:
            weight.assign(keras.ops.full(weight.shape, float(epoch)))
        callback.on_epoch_end(epoch, logs(1.0, loss))
    assert {float(w.flat[0]) for w in run.load_model().get_weights()} == {1.0}
    assert [row["val_loss"] for row in run.read_history()] == [2.0, 1.0, 3.0]


def test_a_loss_that_is_not_finite_keeps_what_was_good(tmp_path):
    callback = keeper(tmp_path)
    callback.on_epoch_end(0, logs(1.0, 1.0))
    before = callback.run.model.read_bytes()
    with pytest.raises(TrainingFailed, match="the loss of epoch 2 is nan"):
        callback.on_epoch_end(1, logs(math.nan, math.nan))
    assert callback.run.model.read_bytes() == before
    assert len(callback.run.read_history()) == 1


def test_early_stop(tmp_path):
    callback = keeper(tmp_path, early_stop=1)
    callback.on_epoch_end(0, logs(1.0, 1.0))
    assert not callback.model.stop_training
    callback.on_epoch_end(1, logs(1.0, 2.0))
    assert callback.model.stop_training
