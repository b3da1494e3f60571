"""Faults: signals, kills and a full disk, each in a real process; losses that are not finite; data that change."""

import dataclasses
import random
import re
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from benchmarks.faults import training
from benchmarks.faults.processes import Program
from tfcnn import train
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.run_directory import RunDirectory
from tfcnn.training.checkpoint import Checkpoints
from tfcnn.training.data import load_data
from tfcnn.training.fit import build_model, fit
from tfcnn.training.progress import Progress

# Some rows of the table, a process each; the benchmark runs them all.
INJECTED = [training.FAULTS[row] for row in (3, 5, 8, 10, 11, 12, 13)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The digest of an undisturbed run, and its seconds."""
    out = tmp_path_factory.mktemp("faults") / "whole"
    Program("").wait()  # TensorFlow's import
    started = time.monotonic()
    process = training.run(out)
    assert process.returncode == 0, process.stderr
    return training.digest(out), time.monotonic() - started


def check_message(name, action, errors, out):
    """One line where the process could say something; none where it could not."""
    if action.startswith("full"):
        what = r"model\.keras" if "best model" in name else r"checkpoints/ckpt-\d+"
        assert re.search(rf"^error: .*'{out}/{what}'", errors), errors
        assert re.search(r"\d[\d,]+ bytes", errors), errors
        assert "File too large" in errors, errors
    elif action in ("term", "int"):
        assert errors == f"error: interrupted; continue with: python -m tfcnn.train --resume --out {out}\n"
        return
    assert errors.count("\n") == (1 if action.startswith("full") else 0), errors


@pytest.mark.slow
def test_a_run_with_many_faults(whole, tmp_path):
    out = tmp_path / "run"
    for name, kind, n, action, code in INJECTED:
        process = training.run_with(kind, n, action, out)
        assert process.returncode == code, (name, process.stdout, process.stderr)
        check_message(name, action, process.stderr, out)
        if RunDirectory(out).model.exists():
            RunDirectory(out).load_model()
    process = training.run(out)
    assert (process.returncode, process.stderr) == (0, "")
    assert training.digest(out) == whole[0]
    assert not list(out.glob(".*"))
    assert len(list((out / "checkpoints").iterdir())) in (4, 6)  # the two newest, and that of the best epoch


@pytest.mark.slow
def test_kills_at_random_moments(whole, tmp_path):
    digest, seconds = whole
    random.seed(1)
    out = tmp_path / "run"
    kills = 0
    while kills < 2 and training.kill_after(random.uniform(0.3, 0.8) * seconds, out):
        kills += 1
    assert kills > 0
    process = training.run(out)
    assert (process.returncode, process.stderr) == (0, "")
    assert training.digest(out) == digest


def network(**flags):
    """A compiled network of convolutions and its data: 64 `digits` for training, in steps of 16."""
    flags = {"steps_per_execution": "1"} | flags
    config = Config(arch="lenet5", epochs=2, batch_size=16, warmup_epochs=0, **flags)
    sizes = {"train": 64, "validation": 32, "test": 32}
    data = dataclasses.replace(load_data(config), sizes=sizes)
    return config, data, build_model(config, data)[0]


def act_before(monkeypatch, epoch, batch, act):
    """Call `act` before a step."""

    def begin(callback, number, logs=None):
        callback.first = number
        if (callback.epoch, number) == (epoch, batch):
            act()

    monkeypatch.setattr(Progress, "on_train_batch_begin", begin)


def outputs(model, images):
    """The output of each layer in turn; lenet5 is a chain."""
    for layer in model.layers[1:]:
        images = layer(images, training=True)
        yield layer.name, keras.ops.convert_to_numpy(images)


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["1", "4"])
def test_a_run_that_diverges_names_the_step_and_the_layer(steps, tmp_path):
    flags = {"opt": "sgd", "lr": 100, "sched": "constant", "steps_per_execution": steps}
    config, data, model = network(**flags)
    with pytest.raises(TrainingFailed) as caught:
        fit(model, data, config, RunDirectory(tmp_path))
    pattern = (
        r"the loss in step (\d+) of epoch (\d+) is not finite \(learning rate 100\), first in the output of layer "
        r"'(\w+)'; the last finite checkpoint and the best model so far are kept in '.*'; try --lr 10, a tenth of the "
        r"peak rate"
    )
    step, epoch, layer = re.fullmatch(pattern, str(caught.value)).groups()
    assert TrainingFailed.exit_code == 3

    _, _, again = network(**flags)
    batches = data.train(2).as_numpy_iterator()
    for _ in range(4 * int(epoch) + int(step) - 5):
        assert np.isfinite(again.train_on_batch(*next(batches))).all()
    images, targets = next(batches)
    assert layer == next(name for name, output in outputs(again, images) if not np.isfinite(output).all())
    assert not np.isfinite(again.train_on_batch(images, targets)[0])

    Checkpoints(again, tmp_path / "checkpoints").restore()
    assert all(np.isfinite(weight).all() for weight in again.get_weights())


@pytest.mark.slow
def test_a_weight_that_is_not_finite_is_named(tmp_path, monkeypatch):
    """Set after the first step, so that the loss of that step is finite and the checkpoint after it is refused."""
    config, data, model = network(checkpoint_every=1)
    layer = next(layer for layer in model.layers if layer.weights)
    end = Progress.on_train_batch_end

    def spoil(callback, batch, logs=None):
        end(callback, batch, logs)
        layer.kernel.assign(layer.kernel * np.inf)

    monkeypatch.setattr(Progress, "on_train_batch_end", spoil)
    with pytest.raises(TrainingFailed, match=r"a weight in step 1 of epoch 1 is not .*, first in the loss or its"):
        fit(model, data, config, RunDirectory(tmp_path))
    assert [file.name for file in (tmp_path / "checkpoints").glob("*.index")] == ["ckpt-1.index"]


@pytest.mark.slow
def test_steps_that_the_loss_scale_leaves_out_are_no_failure(tmp_path):
    config, data, model = network(precision="mixed_float16")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.dynamic_scale.assign(2.0**40)
    rows = fit(model, data, config, RunDirectory(tmp_path))
    assert len(rows) == 2
    left_out = 8 - int(model.optimizer.iterations)
    assert left_out > 0
    assert float(model.optimizer.dynamic_scale) == 2.0 ** (40 - left_out)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 40 noisy images, read from the disk in each epoch."""
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(0, 120, (32, 32)) + (120 if name == "light" else 0)
            Image.fromarray(pixels.astype("uint8")).save(tmp_path / "data" / name / f"{number:02}.png")
    return tmp_path / "data"


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["deleted", "truncated"])
def test_data_that_break_during_training(damage, folder, tmp_path, monkeypatch):
    def act():
        for file in Path(folder, "dark").iterdir():
            file.unlink() if damage == "deleted" else file.write_bytes(file.read_bytes()[:100])

    act_before(monkeypatch, 0, 1, act)
    config = Config(
        arch="lenet5", dataset=str(folder), epochs=50, batch_size=8, data_memory=0, out=str(tmp_path / "run")
    )
    with pytest.raises(TrainingFailed, match=r"the data cannot be read any more: .*dark.*") as caught:
        train.run(config)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_resuming_with_other_data_is_refused(folder, tmp_path, monkeypatch):
    def stop():
        raise KeyboardInterrupt

    act_before(monkeypatch, 0, 1, stop)
    config = Config(arch="lenet5", dataset=str(folder), epochs=1, batch_size=8, out=str(tmp_path / "run"))
    with pytest.raises(Exception, match="continue with"):
        train.run(config)
    before = RunDirectory(config.out).read_config()["data"]["fingerprint"]
    (folder / "dark" / "07.png").unlink()
    with pytest.raises(BadInput, match=rf"changed .*: fingerprint {before} then, (?!{before})\w+ now.*\(--data"):
        train.run(train.restore_config({"resume": True, "out": config.out}))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"config": {}}', '{"config": {"arhc": "lenet5"}}'])
def test_a_damaged_configuration_is_named(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(BadInput, match=rf"'{tmp_path}/config.json' is (damaged|not readable)"):
        train.restore_config({"resume": True, "out": str(tmp_path)})


DAMAGED_HISTORIES = ["epoch,loss\n1,0.5\n2", "epoch,loss\nx,1", "epoch,loss\n2,1", "\0\0", "loss\n1\n"]
ROWS = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]


@pytest.mark.parametrize("content", DAMAGED_HISTORIES)
def test_a_damaged_history_is_refused(content, tmp_path):
    run = RunDirectory(tmp_path)
    run.history.write_text(content)
    with pytest.raises(BadInput, match="is damaged"):
        run.read_history()


@pytest.mark.parametrize("content", DAMAGED_HISTORIES)
def test_a_damaged_history_is_named_and_replaced(content, tmp_path, capsys):
    run = RunDirectory(tmp_path)
    run.history.write_text(content)
    run.restore_history(ROWS)
    assert run.read_history() == ROWS
    errors = capsys.readouterr().err
    assert errors.startswith(f"warning: '{run.history}' is damaged: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("rows", [ROWS[:1], []])
def test_epochs_that_the_checkpoint_lacks_leave_the_history(rows, tmp_path):
    run = RunDirectory(tmp_path)
    run.write_history(ROWS)
    run.restore_history(rows)
    assert run.read_history() == rows
    assert run.history.exists() is bool(rows)
