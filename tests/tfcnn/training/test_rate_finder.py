"""--lr auto: the range test, the rate that it chooses, and the run that follows."""

import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image

from tfcnn import train
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.training import rate_finder
from tfcnn.training.data import load_data
from tfcnn.training.fit import build_model
from tfcnn.training.rate_finder import Sweep, settle_rate, sweep_rates

SMALL = {"arch": "lenet5", "epochs": 1, "batch_size": 124, "precision": "float32"}
RATES = np.geomspace(1e-4, 1, 201).tolist()


def valley(lowest):
    """Losses of a parabola over the logarithm of the rate."""
    return [1 + 0.1 * np.log(rate / lowest) ** 2 for rate in RATES]


@pytest.mark.parametrize(("lowest", "expected"), [(0.03, 0.01), (0.0012, 0.0004)])
def test_a_third_of_the_rate_with_the_lowest_loss(lowest, expected):
    assert Sweep(RATES, valley(lowest)).rate == pytest.approx(expected, rel=0.05)


def test_noise_of_single_batches_does_not_decide():
    losses = np.array(valley(0.03))
    losses[5] = 0.5
    assert Sweep(RATES, losses.tolist()).rate == Sweep(RATES, valley(0.03)).rate


def test_a_loss_that_only_rises_is_refused(monkeypatch):
    sweep = Sweep(RATES, np.linspace(2, 3, 201).tolist())
    monkeypatch.setattr(rate_finder, "sweep_rates", lambda config, data: sweep)
    with pytest.raises(BadInput, match=r"falls at no rate from 0.0001 to 1: give a number instead of --lr auto"):
        settle_rate(Config(lr="auto"), None, None)


def test_a_resumed_run_takes_the_number_of_its_config(finished_run):
    rate = finished_run.read_config()["config"]["lr"]
    config = Config(lr="auto", resume=True, out=str(finished_run.path))
    assert settle_rate(config, finished_run, None) == (dataclasses.replace(config, lr=rate), None)


@pytest.mark.slow
def test_each_update_has_its_rate(monkeypatch):
    """Against train_on_batch with the rate set by hand."""
    monkeypatch.setattr(rate_finder, "UPDATES", 8)
    config = Config(**SMALL, lr="auto", opt="momentum", weight_decay=0)
    data = load_data(config)
    sweep = sweep_rates(config, data)
    np.testing.assert_allclose(sweep.rates, np.geomspace(0.05e-3, 0.05e2, 8)[: len(sweep.rates)], rtol=1e-6)

    model, _ = build_model(config, data)
    model.compile(keras.optimizers.SGD(1.0, momentum=0.9), model.loss, jit_compile=False)
    losses = []
    for rate, (images, targets) in zip(sweep.rates, data.train(1).as_numpy_iterator(), strict=False):
        model.optimizer.learning_rate = rate
        model.reset_metrics()
        losses.append(model.train_on_batch(images, targets)[0])
    np.testing.assert_allclose(sweep.losses, losses, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("no_export")
def test_the_run_is_that_of_the_chosen_rate(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rate_finder, "UPDATES", 50)
    runs = [train.run(Config(**SMALL, lr="auto", out=str(tmp_path / "auto")))]
    rate = runs[0].read_config()["config"]["lr"]
    assert f"range test --lr {rate:g}: a third of" in capsys.readouterr().out
    assert np.asarray(Image.open(runs[0].lr_finder)).std() > 10

    runs.append(train.run(Config(**SMALL, lr=rate, out=str(tmp_path / "number"))))
    assert not runs[1].lr_finder.exists()
    assert [run.read_config()["recipe"]["range_test"] for run in runs] == [True, False]
    weights, same_weights = (run.load_model().get_weights() for run in runs)
    for left, right in zip(weights, same_weights, strict=True):
        np.testing.assert_array_equal(left, right)
