"""What the database has of a hyperparameter, and what a sampler sees of it."""

import keras_tuner
import numpy as np
import optuna
import pytest
from keras_tuner.engine import hyperparameters as kinds

from tests.tuning.mixed_space import SCORE, mixed_space, run_trials
from tuning.coding import as_drawn, coding_of, stepped_values
from tuning.oracle import OptunaOracle
from tuning.sampling import SAMPLERS

BLOCKS = {"small": ["a", "b"], "large": ["c", "d", "e"]}


def branching(hp):
    """Each name after the first has other choices, another kind or another scale in the other branch."""
    net = hp.Choice("net", ["small", "large"])
    hp.Choice("block", BLOCKS[net])
    if net == "small":
        hp.Int("size", 1, 4)
        hp.Float("rate", 0.001, 1.0, sampling="log")
        hp.Choice("width", [8, 16])
    else:
        hp.Float("size", 10.0, 20.0)
        hp.Float("rate", 0.0, 0.5, step=0.1)
        hp.Choice("width", [8, 32, 64])


def is_of_its_branch(values):
    if values["net"] == "small":
        return values["block"] in "ab" and values["size"] in (1, 2, 3, 4) and values["width"] in (8, 16)
    is_step = any(abs(values["rate"] - step / 10) < 1e-12 for step in range(6))
    return values["block"] in "cde" and 10 <= values["size"] <= 20 and values["width"] in (8, 32, 64) and is_step


@pytest.mark.parametrize(
    "sampler",
    [pytest.param(name, marks=[pytest.mark.slow] if name in ("gp", "nsga2") else []) for name in sorted(SAMPLERS)],
)
def test_a_name_may_have_other_values_in_each_branch(sampler):
    if sampler == "gp":
        pytest.importorskip("torch")
    storage = optuna.storages.InMemoryStorage()
    for most in (20, 25):  # the second time the study is continued
        oracle = OptunaOracle(SCORE, sampler, max_trials=most, space=branching, storage=storage)
        trials = run_trials(oracle, score=lambda values: values["size"])
    assert len(trials) == 25
    assert all(map(is_of_its_branch, trials.values()))
    assert {values["net"] for values in trials.values()} == {"small", "large"}


@pytest.mark.parametrize(
    ("low", "high", "step", "values"),
    [
        (0.0, 0.5, 0.1, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (0.1, 0.7, 0.2, [0.1, 0.3, 0.5, 0.7]),
        (0.0, 1.0, 0.3, [0.0, 0.3, 0.6, 0.9]),
        (1.0, 1.0, 0.5, [1.0]),
    ],
)
def test_a_step_reaches_its_end(low, high, step, values):
    assert stepped_values(kinds.Float("x", low, high, step=step)) == values


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_every_step_is_drawn(sampler):
    oracle = OptunaOracle(SCORE, sampler, max_trials=6, space=lambda hp: hp.Float("x", 0.0, 0.5, step=0.1))
    trials = run_trials(oracle, score=lambda values: values["x"])
    assert sorted(values["x"] for values in trials.values()) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def everything(hp):
    mixed_space(hp)
    hp.Int("power", 1, 8, step=2, sampling="log")
    hp.Float("drop", 0.0, 0.5, step=0.1)
    hp.Float("late", 0.1, 10.0, sampling="reverse_log")
    hp.Choice("loose", [3, 1, 2], ordered=False)


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid", "cmaes"])
def test_the_database_has_the_values_that_are_trained(sampler):
    oracle = OptunaOracle(SCORE, sampler, max_trials=15, space=everything)
    run_trials(oracle)
    for trial in oracle.study.trials:
        stored = {name.split(" [")[0]: value for name, value in trial.params.items()}
        values = {name: value for name, value in trial.user_attrs["values"].items() if name != "fixed"}
        assert stored == pytest.approx(values)


def test_a_sampler_sees_an_order_where_there_is_one():
    oracle = OptunaOracle(SCORE, "random", max_trials=1, space=everything)
    run_trials(oracle)
    (trial,) = oracle.study.trials
    drawn = as_drawn(trial)
    assert drawn.params["power"] == [1, 2, 4, 8].index(trial.params["power"])
    assert drawn.params["loose"] == trial.params["loose"]
    share = drawn.params["late"]
    assert kinds.Float("late", 0.1, 10.0, sampling="reverse_log").prob_to_value(share) == pytest.approx(
        trial.params["late"]
    )


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2", "random"])
def test_proposals_are_those_of_a_study_that_has_indices(sampler):
    """As studies from before have: what the database has does not change what is proposed."""
    with_values = OptunaOracle(SCORE, sampler, max_trials=25, space=mixed_space)
    with_indices = OptunaOracle(SCORE, sampler, max_trials=25, space=mixed_space)
    with_indices.stores_indices = True
    assert run_trials(with_values) == run_trials(with_indices)
    assert {trial.params["wide"] for trial in with_indices.study.trials} == {0, 1, 2}
    assert {trial.params["wide"] for trial in with_values.study.trials} == {8, 16, 64}


def test_metrics_have_their_names():
    oracle = OptunaOracle([SCORE, keras_tuner.Objective("cost", "min")], "random", space=mixed_space)
    assert oracle.study.metric_names == ["score", "cost"]


def test_a_reverse_log_draw_has_the_median_of_its_scale():
    draw, read, stored, _ = coding_of(kinds.Float("x", 0.1, 100.0, sampling="reverse_log"))
    assert (draw.low, draw.high) == (0.0, 1.0)
    assert (stored.low, stored.high) == (0.1, 100.0)
    assert np.isclose(read(0.5), 100.1 - np.sqrt(10))
