"""The trials of a study: the best of them, and their commands."""

import shlex
import sys

from tfcnn import train
from tfcnn.config import Config
from tuning.study.trials import Objective, TrialRecord, best_first, command_of


def trial(number, scores, state="COMPLETED"):
    return TrialRecord(number, state, {}, scores, None, {}, {}, {}, 1, None, None)


def test_the_best_of_one_objective():
    trials = [trial(0, (0.5,)), trial(1, (), "FAILED"), trial(2, (0.7,)), trial(3, (), "PRUNED")]
    assert [t.number for t in best_first(trials, [Objective("val_accuracy", "max")])] == [2, 0]
    assert [t.number for t in best_first(trials, [Objective("val_loss", "min")])] == [0, 2]


def test_the_pareto_front():
    points = [(0.5, 10e6), (0.9, 40e6), (0.7, 20e6), (0.6, 30e6), (0.9, 50e6)]
    trials = [trial(number, point) for number, point in enumerate(points)]
    objectives = [Objective("val_accuracy", "max"), Objective("macs", "min")]
    assert [t.number for t in best_first(trials, objectives)] == [1, 2, 0]


def test_the_command_of_a_configuration_is_that_configuration(monkeypatch):
    config = Config(
        arch="densenet40",
        arch_args={"repeats": (2, 3, 4), "dropout": 0.1, "stem": "cifar"},
        lr=0.1 + 0.2,
        weight_decay=0.0,
        smoothing=0.0,
        hflip=0.25,
        seed=7,
    )
    trained = []
    monkeypatch.setattr(train, "run", lambda config, **rest: trained.append(config))
    monkeypatch.setattr(sys, "argv", shlex.split(command_of(config))[2:])
    train.main()
    assert trained == [config]
