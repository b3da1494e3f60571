"""Checkpoints, the history's decisions, and the callback that keeps a run on the disk."""

import errno
import math
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfcnn
from tfcnn.cli.signals import DeferredSignals
from tfcnn.errors import TrainingFailed
from tfcnn.run_directory import RunDirectory
from tfcnn.training.callbacks import Keeper
from tfcnn.training.checkpoint import Checkpoints, NotFinite
from tfcnn.training.history import best_epoch, out_of_patience, plateaus


def rows(*losses):
    return [{"epoch": i + 1, "val_loss": loss, "val_accuracy": 0.5} for i, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("losses", "best"),
    [((3, 1, 2), 1), ((2, 1, 1), 1), ((math.nan, 5, math.inf), 1), ((math.nan,), None), ((), None)],
)
def test_best_epoch(losses, best):
    assert best_epoch(rows(*losses)) == best


@pytest.mark.parametrize(
    ("precisions", "best"),
    [((0.1, 0.3, 0.2), 1), ((0.0, 0.0, 0.0), 2), ((0.1, math.nan, 0.2), 2), ((0.2, 0.3), 2)],
    ids=["highest", "equal", "no score", "not of all"],
)
def test_best_epoch_by_mean_average_precision(precisions, best):
    history = rows(3, 2, 1)
    for row, precision in zip(history, precisions, strict=False):
        row["val_map50"] = precision
    assert best_epoch(history) == best


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


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_plateaus_are_those_of_keras(patience):
    losses = [3, 2, 2, 2.5, 1, 1, math.nan, 1, 1, 1, 0.5, math.inf, *np.random.default_rng(0).uniform(0.4, 0.6, 30)]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0))
    keras_own = keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=patience, min_delta=0)
    keras_own.set_model(model)
    keras_own.on_train_begin()
    for epoch, loss in enumerate(losses):
        keras_own.on_epoch_end(epoch, {"val_loss": loss})
        count = plateaus(rows(*losses[: epoch + 1]), patience)
        assert float(model.optimizer.learning_rate) == pytest.approx(0.1**count, rel=1e-5), epoch
    assert count > 3


def build_compiled():
    keras.utils.set_random_seed(0)
    model = tfcnn.build("lenet5", (16, 16, 1), 3)
    model.compile(keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.slow
def test_checkpoint_holds_weights_and_optimiser(tmp_path):
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 1))
    labels = np.arange(8) % 3
    model = build_compiled()
    checkpoints = Checkpoints(model, tmp_path / "checkpoints")
    assert checkpoints.restore() == (0, 0, [])
    model.train_on_batch(images, labels)
    history = [{"epoch": 1, "val_loss": 0.1 + 0.2}, {"epoch": 2, "val_loss": math.inf}]
    checkpoints.save(2, 5, history)
    expected = [model.train_on_batch(images, labels) for _ in range(3)]

    other = build_compiled()
    assert Checkpoints(other, tmp_path / "checkpoints").restore() == (2, 5, history)
    assert [other.train_on_batch(images, labels) for _ in range(3)] == expected
    assert int(other.optimizer.iterations) == 4


@pytest.fixture
def three(tmp_path):
    """Three checkpoints of (epoch, 0, []), whose weights are all equal to `epoch`; a function that restores."""
    model = build_compiled()
    model.optimizer.build(model.trainable_variables)

    def fill(value):
        for variable in [*model.variables, *model.optimizer.variables]:
            variable.assign(keras.ops.full(variable.shape, value, variable.dtype))

    checkpoints = Checkpoints(model, tmp_path)
    for epoch in (1, 2, 3):
        fill(epoch)
        checkpoints.save(epoch, 0, [])

    def restore():
        """The epoch that the checkpoint says, and the values that the variables have."""
        fill(77)
        epoch = Checkpoints(model, tmp_path).restore()[0]
        values = {value for v in [*model.variables, *model.optimizer.variables] for value in np.unique(v.numpy())}
        return epoch, values

    return types.SimpleNamespace(folder=tmp_path, model=model, restore=restore)


def test_two_are_kept(three):
    parts = ("data-00000-of-00001", "index")
    assert sorted(file.name for file in three.folder.iterdir()) == [
        f"ckpt-{n}.{part}" for n in (2, 3) for part in parts
    ]
    assert three.restore() == (3, {3})


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "zeroed"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(damage, part, three, capsys):
    file = three.folder / f"ckpt-3.{part}"
    content = file.read_bytes()
    file.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "zeroed": bytes(len(content))}[damage])
    assert three.restore() == (2, {2})
    errors = capsys.readouterr().err
    assert errors.startswith(f"warning: checkpoint '{three.folder}/ckpt-3' cannot be read: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_a_run_whose_checkpoints_are_all_damaged_is_refused(part, three):
    for number in (2, 3):
        (three.folder / f"ckpt-{number}.{part}").write_bytes(b"")
    with pytest.raises(TrainingFailed, match=r"no checkpoint in .* can be read; start a new run with another --out"):
        three.restore()


@pytest.mark.slow
def test_no_bit_flips_unseen(three, capsys):
    """Whichever bit it is: either the checkpoint is named, or it is read correctly."""
    rng = np.random.default_rng(0)
    count = 0
    for part in ("index", "data-00000-of-00001"):
        file = three.folder / f"ckpt-3.{part}"
        content = file.read_bytes()
        for place in rng.integers(len(content), size=20):
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(rng.integers(8))
            file.write_bytes(flipped)
            restored = three.restore()
            errors = capsys.readouterr().err
            assert restored == ((2, {2}) if errors else (3, {3})), (part, place)
            if errors:
                count += 1
        file.write_bytes(content)
    assert count > 30  # the rest is padding, and one end of the protocol buffer that describes the objects


def test_after_a_damaged_one_the_good_one_stays_until_there_are_two(three, capsys):
    (three.folder / "ckpt-3.index").write_bytes(b"")
    (three.folder / "ckpt-4_temp").mkdir()  # of a process that was killed
    checkpoints = Checkpoints(three.model, three.folder)
    checkpoints.restore()
    capsys.readouterr()
    checkpoints.save(3, 1, [])
    assert sorted({file.stem for file in three.folder.iterdir()}) == ["ckpt-2", "ckpt-4"]
    checkpoints.save(3, 2, [])
    assert sorted({file.stem for file in three.folder.iterdir()}) == ["ckpt-4", "ckpt-5"]


def test_what_a_killed_writer_left_is_no_checkpoint(three, capsys):
    (three.folder / "ckpt-4.data-00000-of-00001").write_bytes(b"whole or half: its index was not written")
    assert three.restore() == (3, {3})
    assert capsys.readouterr().err == ""
    assert Checkpoints.numbers(three.folder) == [2, 3]


def test_a_checkpoint_that_cannot_be_written_costs_none_of_those_before(three, monkeypatch):
    checkpoints = Checkpoints(three.model, three.folder)
    checkpoints.restore()
    before = {file.name: file.read_bytes() for file in three.folder.iterdir()}

    def write(checkpoint, path):
        Path(f"{path}.data-00000-of-00001").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tf.train.Checkpoint, "write", write)
    with pytest.raises(TrainingFailed, match=r"ckpt-4' of [\d,]+ bytes cannot be written .*No space left.*--resume"):
        checkpoints.save(3, 1, [])
    kept = {file.name: file.read_bytes() for file in three.folder.iterdir()}
    assert kept == {name: content for name, content in before.items() if name in kept}
    assert set(kept) >= {"ckpt-3.data-00000-of-00001", "ckpt-3.index"}
    assert three.restore() == (3, {3})


def test_weights_that_are_not_finite_are_not_saved(three):
    checkpoints = Checkpoints(three.model, three.folder)
    checkpoints.restore()
    three.model.weights[-1].assign(three.model.weights[-1] * np.nan)
    with pytest.raises(NotFinite, match="a weight in step 7 of epoch 4"):
        checkpoints.save(3, 7, [])
    assert three.restore() == (3, {3})


def keeper(tmp_path, **kwargs):
    saved = types.SimpleNamespace(save=lambda epoch, step, rows: None)
    callback = Keeper(RunDirectory(tmp_path), saved, [], signals=DeferredSignals(), **kwargs)
    callback.set_model(build_compiled())
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


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite(loss, tmp_path):
    callback = keeper(tmp_path)
    callback.on_epoch_begin(1)
    callback.on_train_batch_begin(2)
    callback.on_train_batch_end(2, {"loss": 1e30})
    with pytest.raises(NotFinite, match="the loss in step 4 of epoch 2"):
        callback.on_train_batch_end(3, {"loss": loss})


def test_an_epoch_whose_validation_is_not_finite_is_not_the_best(tmp_path):
    callback = keeper(tmp_path)
    callback.on_epoch_end(0, logs(1.0, 1.0))
    before = callback.run.model.read_bytes()
    callback.on_epoch_end(1, logs(1.0, math.nan))
    assert callback.run.model.read_bytes() == before
    assert len(callback.run.read_history()) == 2


def test_early_stop(tmp_path):
    callback = keeper(tmp_path, early_stop=1)
    callback.on_epoch_end(0, logs(1.0, 1.0))
    assert not callback.model.stop_training
    callback.on_epoch_end(1, logs(1.0, 2.0))
    assert callback.model.stop_training
