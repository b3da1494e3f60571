"""How values are drawn: kinds of hyperparameters, repeated draws, seeds, what does not go together."""

import itertools
import math
import sys

import keras_tuner
import optuna
import pytest
from keras_tuner.engine import hyperparameters as kinds

from tests.tuning.mixed_space import SCORE, mixed_space, run_trials
from tfcnn.errors import BadInput
from tuning import search
from tuning.coding import coding_of
from tuning.oracle import OptunaOracle
from tuning.sampling import LOOSE, PRUNERS, SAMPLERS, Draw, check_sampler, seed_of


@pytest.mark.parametrize(
    ("hp", "allowed"),
    [
        (kinds.Int("n", 3, 12, step=4), {3, 7, 11}),
        (kinds.Int("n", 1, 20, step=3, sampling="log"), {1, 3, 9}),
        (kinds.Float("x", 0.0, 1.0, step=0.3), {0.0, 0.3, 0.6, 0.9}),
        (kinds.Float("x", 0.1, 100, step=10, sampling="log"), {0.1, 1.0, 10.0, 100.0}),
        (kinds.Choice("c", [0.5, 1.0, 4.0]), {0.5, 1.0, 4.0}),
        (kinds.Choice("c", ["x", "y"]), {"x", "y"}),
        (kinds.Boolean("b"), {False, True}),
    ],
    ids=["int", "int, log", "float", "float, log", "numbers", "words", "boolean"],  # a set has another text each time
)
def test_values_of_finite_kinds(hp, allowed):
    distribution, read, *_ = coding_of(hp)
    sampler = optuna.samplers.RandomSampler(0)
    study = optuna.create_study()
    values = [read(sampler.sample_independent(study, None, "x", distribution)) for _ in range(200)]
    assert {round(value, 9) if isinstance(value, float) else value for value in values} == allowed
    assert {type(value) for value in values} == {type(value) for value in allowed}


@pytest.mark.parametrize(
    ("sampling", "middle"), [("linear", 50.05), ("log", math.sqrt(10)), ("reverse_log", 100.1 - math.sqrt(10))]
)
def test_continuous_kinds_have_the_median_of_their_scale(sampling, middle):
    hp = kinds.Float("x", 0.1, 100.0, sampling=sampling)
    distribution, read, *_ = coding_of(hp)
    sampler = optuna.samplers.RandomSampler(0)
    study = optuna.create_study()
    values = sorted(read(sampler.sample_independent(study, None, "x", distribution)) for _ in range(2000))
    assert 0.1 <= values[0] <= values[-1] <= 100
    below = sum(value < middle for value in values)
    assert abs(below - 1000) < 4 * math.sqrt(500)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_sampler_fits_once_a_trial_and_all_values_come_once(sampler, monkeypatch):
    """A settled sampler proposes what was tried; that costs no other fit, and does not hide what was not tried."""
    fits = []
    kind = type(SAMPLERS[sampler](0))
    real = kind.sample_relative

    def count_fit(self, study, trial, space):
        fits.append(trial.number)
        return real(self, study, trial, space)

    monkeypatch.setattr(kind, "sample_relative", count_fit)
    hp = keras_tuner.HyperParameters()
    for name in "ab":
        hp.Choice(name, [1, 2, 3, 4, 5, 6], ordered=True)
    oracle = OptunaOracle(SCORE, sampler, max_trials=36, hyperparameters=hp)
    values = run_trials(oracle, score=lambda v: v["a"] + v["b"])
    assert sorted((v["a"], v["b"]) for v in values.values()) == list(itertools.product(range(1, 7), repeat=2))
    assert fits == list(range(36))


def test_one_draw_is_enough_where_values_are_many(monkeypatch):
    numbers = []
    real = Draw.__init__

    def count_draw(self, oracle, frozen, *more):
        numbers.append(frozen.number)
        real(self, oracle, frozen, *more)

    monkeypatch.setattr(Draw, "__init__", count_draw)
    run_trials(OptunaOracle(SCORE, "random", max_trials=20, space=mixed_space))
    assert numbers == list(range(20))


def test_further_draws_keep_less_and_less_of_the_first():
    hp = keras_tuner.HyperParameters()
    for number in range(100):
        hp.Int(f"i{number}", 0, 10**6)
    oracle = OptunaOracle(SCORE, "tpe", hyperparameters=hp)
    run_trials(oracle, most=12, score=lambda v: v["i0"])
    oracle.study.ask()
    frozen = oracle.study.trials[-1]
    first = Draw(oracle, frozen)
    first.merge(hp.space)

    def count_kept(number):
        other = Draw(oracle, frozen, number, first)
        other.merge(hp.space)
        return sum(other.values[name] == value for name, value in first.values.items())

    assert 80 < count_kept(2) < 99
    assert 35 < count_kept(LOOSE // 2) < 65
    assert count_kept(LOOSE) == count_kept(LOOSE + 5) == 0


@pytest.mark.parametrize(
    ("sampler", "pruner", "message"),
    [("nsga2", "asha", "one objective, got 2"), ("cmaes", "none", "cmaes is for one objective, got 2")],
)
def test_what_does_not_go_together_is_refused(sampler, pruner, message):
    with pytest.raises(BadInput, match=message):
        check_sampler(sampler, pruner, 2)


def test_a_sampler_without_its_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BadInput, match="--sampler gp needs the package torch: pip install torch"):
        check_sampler("gp", "none", 1)


def test_seeds_differ_by_study_and_trial():
    seeds = [seed_of(study, number) for study in range(20) for number in range(50)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_flags_name_every_sampler_and_pruner():
    assert set(search.SAMPLERS) == set(SAMPLERS) == {"random", "grid", "tpe", "gp", "nsga2", "cmaes"}
    assert set(search.PRUNERS) == set(PRUNERS)
