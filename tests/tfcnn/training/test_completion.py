"""A finished run that has lost a file is completed by --resume, without training."""

import shutil
import sys

import numpy as np
import pytest

from tfcnn import train
from tfcnn.cli.parser import run_main
from tfcnn.evaluate import evaluate
from tfcnn.training import fit

pytestmark = pytest.mark.slow


@pytest.fixture
def resume(run_copy, monkeypatch):
    """A function that resumes `run_copy` and returns the exit code; a step of training is an error."""

    def no_training(*arguments, **keywords):
        raise AssertionError("trains")

    monkeypatch.setattr(fit, "Loop", no_training)
    monkeypatch.setattr(sys, "argv", ["tfcnn.train", "--resume", "--out", str(run_copy.path)])
    return lambda: run_main(train.main)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_all_that_can_be_written_again_is(run_copy, resume, capsys):
    before = run_copy.read_metrics()
    weights = run_copy.load_model().get_weights()
    flip_a_bit(run_copy.model)
    run_copy.curves.unlink()
    run_copy.history.write_text("")
    shutil.rmtree(run_copy.saved_model)
    run_copy.card.write_text("changed by the user")
    assert resume() == 0
    assert run_copy.card.read_text() == "changed by the user"
    assert "is finished, but '" in capsys.readouterr().out
    assert run_copy.faults() == []
    assert run_copy.read_metrics() == before
    for now, then in zip(run_copy.load_model().get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


def test_metrics_are_measured_again(run_copy, resume):
    before = run_copy.read_metrics()
    run_copy.metrics.unlink()
    assert resume() == 0
    assert run_copy.read_metrics()["test_accuracy"] == before["test_accuracy"]


def test_a_run_without_checkpoints_is_completed_from_its_model(run_copy, resume):
    shutil.rmtree(run_copy.checkpoints)
    run_copy.curves.unlink()
    assert resume() == 0
    assert run_copy.faults() == []


def test_a_run_that_lost_model_and_checkpoints_is_not_trained_again(run_copy, resume, capsys):
    shutil.rmtree(run_copy.checkpoints)
    run_copy.model.unlink()
    history = run_copy.history.read_bytes()
    assert resume() == 3
    assert "has no checkpoint, and" in capsys.readouterr().err
    assert run_copy.history.read_bytes() == history


def test_the_model_of_an_unfinished_run_is_rebuilt_before_training(run_copy, resume, capsys):
    flip_a_bit(run_copy.model)
    run_copy.metrics.unlink()
    assert resume() == 0
    assert "it is rebuilt from checkpoint" in capsys.readouterr().err
    assert evaluate(run_copy)["accuracy"] > 0.5
