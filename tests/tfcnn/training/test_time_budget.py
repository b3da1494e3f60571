"""--time: the number of epochs that fit a budget."""

import time
import types

import keras
import numpy as np
import pytest

from tfcnn import train
from tfcnn.cli.signals import Interrupted
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.flag_values import seconds_of
from tfcnn.run_directory import RunDirectory
from tfcnn.training import recipes, time_budget
from tfcnn.training.data import load_data
from tfcnn.training.fit import build_model
from tfcnn.training.progress import Progress


@pytest.mark.parametrize("text", ["10", "m", "0s", "-1m", "tenm", "10d", "nanm", "1 0m"])
def test_a_budget_without_number_or_unit_is_refused(text):
    with pytest.raises(BadInput, match=rf"--time must be .* as in 90s, 10m or 2h, got '{text}'"):
        Config(time=text)


def test_an_empty_budget_is_refused():
    with pytest.raises(BadInput, match=r"--time must be .* not empty, got ''"):
        Config(time="")


def test_a_budget_in_hours():
    assert seconds_of("0.5h") == 30 * 60


def test_time_and_epochs_are_either_or(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", "--time", "10m", "--epochs", "3"])
    with pytest.raises(BadInput, match="--time 10m sets the number of epochs: leave --epochs or --time out"):
        train.main()


def test_the_epochs_of_a_recipe_do_not_exclude_a_budget():
    assert recipes.resolve({"time": "10m", "recipe": "fast", "arch": "lenet5"}).time == "10m"


def simulate(monkeypatch, step, batch, saving, steps, scoring=0):
    """A network and its data on a simulated clock: the first step takes 10 s more, the first validation batch 4.

    After each epoch a callback of the task takes `scoring` seconds, the first time 2 more.
    """
    clock = [50.0]
    monkeypatch.setattr(time_budget.time, "monotonic", lambda: clock[0])
    counts = types.SimpleNamespace(steps=0, batches=0)

    def fit(data, *, steps_per_epoch, validation_data, callbacks, **rest):
        (watch,) = callbacks
        watch.set_model(model)
        model.stop_training = False
        for i in range(steps_per_epoch):
            clock[0] += step + 10 * (i == 0)
            watch.on_train_batch_end(i)
            counts.steps += 1
            if model.stop_training:
                break
        for i in range(validation_data):
            clock[0] += batch + 4 * (i == 0)
            watch.on_test_batch_end(i)
            counts.batches += 1

    def save(path):
        clock[0] += saving

    def score(epoch, logs):
        clock[0] += scoring + 2 * (epoch == 0)

    callbacks = [types.SimpleNamespace(on_epoch_end=score)] if scoring else []
    hooks = types.SimpleNamespace(watch=lambda model, data, rows, shipped: callbacks)
    monkeypatch.setattr(time_budget, "hooks_of", lambda task: hooks)

    class Batches:
        def take(self, most):
            return min(most, 7)

    model = types.SimpleNamespace(fit=fit, save=save)
    data = types.SimpleNamespace(
        task="any", train=lambda epochs: None, steps_per_epoch=steps, evaluation=lambda split: Batches()
    )
    return model, data, counts


def test_speed_leaves_out_what_compiles(monkeypatch):
    model, data, counts = simulate(monkeypatch, step=0.5, batch=0.25, saving=3, steps=1000)
    speed = time_budget.measure(model, data, Config(), 200)
    assert speed == pytest.approx(time_budget.Speed(14, step=0.5, validation_batch=0.25, scoring=0, saving=6))
    assert speed.epoch(steps=100, validation_batches=8) == pytest.approx(100 * 0.5 + 8 * 0.25 + 6)
    assert counts.steps * 0.5 == pytest.approx(200 * 0.05, abs=1)  # a twentieth of the budget


def test_speed_counts_the_scores_of_a_task(monkeypatch):
    model, data, _ = simulate(monkeypatch, step=0.5, batch=0.25, saving=3, steps=1000, scoring=5)
    speed = time_budget.measure(model, data, Config(), 200)
    assert speed.compiling == pytest.approx(14 + 2)
    assert speed.epoch(steps=100, validation_batches=8) == pytest.approx(100 * 0.5 + 8 * 0.25 + 5 + 6)


@pytest.mark.parametrize(("step", "steps", "expected"), [(60, 1000, 6), (0.001, 3, 3), (0.001, 1, 1)])
def test_measuring_takes_some_steps_and_at_most_an_epoch(step, steps, expected, monkeypatch):
    model, data, counts = simulate(monkeypatch, step, batch=0.25, saving=3, steps=steps)
    speed = time_budget.measure(model, data, Config(), 1)
    assert counts.steps == expected
    if steps > 1:
        assert speed.step == pytest.approx(step)


def test_the_epochs_end_within_the_budget():
    for left, epoch, compiling in np.random.default_rng(0).uniform((0, 1, 0), (1000, 50, 20), (200, 3)):
        epochs = time_budget.epochs_within(left, epoch, compiling)
        assert epochs == 1 or compiling + epochs * epoch <= left * (1 - time_budget.RESERVE)
        assert compiling + (epochs + 1) * epoch > left * (1 - time_budget.RESERVE)


SMALL = {"arch": "lenet5", "width": 0.25, "image_size": 16}
FOR_TWO_EPOCHS = time_budget.Speed(0, 13_000 / 39, 0, 0, 0)  # of ten hours; digits have 39 steps


@pytest.mark.slow
@pytest.mark.usefixtures("no_export")
def test_a_timed_run_keeps_its_length_when_it_is_resumed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(time_budget, "measure", lambda *arguments: FOR_TWO_EPOCHS)
    timed = Config(**SMALL, time="10h", out=str(tmp_path / "timed"))
    begin = Progress.on_epoch_begin

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_epoch_begin", stop)
        with pytest.raises(Interrupted):
            train.run(timed)
    assert "10h: 2 epochs of 1.3e+04 s each" in capsys.readouterr().out
    config = RunDirectory(timed.out).read_config()["config"]
    assert (config["time"], config["epochs"]) == ("10h", 2)

    monkeypatch.setattr(time_budget, "measure", None)  # a resumed run has its length
    run = train.run(train.restore_config({"resume": True, "out": timed.out}))
    rates = [row["learning_rate"] for row in run.read_history()]
    assert rates == pytest.approx([6e-3, 0], abs=1e-5)  # warm-up, and a cosine that ends with the run


@pytest.mark.slow
def test_measuring_leaves_no_trace(monkeypatch):
    measure = time_budget.measure
    weights = []

    def check_measurement(model, *arguments):
        weights.append(model.get_weights())
        assert min(measure(model, *arguments)) > 0
        assert any((old != new).any() for old, new in zip(weights[0], model.get_weights(), strict=True))
        return FOR_TWO_EPOCHS

    monkeypatch.setattr(time_budget, "measure", check_measurement)
    config = Config(**SMALL, time="10h", precision="mixed_bfloat16")
    data = load_data(config)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        settled = time_budget.settle_epochs(config, data, started=time.monotonic())
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy(before)
    after, _ = build_model(settled, data)
    keras.backend.clear_session()
    fresh, _ = build_model(Config(**SMALL, epochs=2, precision="mixed_bfloat16"), data)
    assert [layer.name for layer in after.layers] == [layer.name for layer in fresh.layers]
    for ours, theirs in zip(after.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert after.optimizer.get_config() == fresh.optimizer.get_config()


@pytest.mark.slow
def test_a_warm_up_that_does_not_fit_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(time_budget, "measure", lambda *arguments: FOR_TWO_EPOCHS)
    out = tmp_path / "run"
    with pytest.raises(BadInput, match="--time 10h allows 2 epochs, fewer than --warmup-epochs 50: raise --time or"):
        train.run(Config(**SMALL, time="10h", warmup_epochs=50, out=str(out)))
    assert not out.exists()
