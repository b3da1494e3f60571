"""The bridge from keras-tuner to Optuna: kinds of hyperparameters, conditions, resumed studies, failures, pruning."""

import itertools
import math
import time

import keras_tuner
import optuna
import pytest

from tfcnn.errors import BadInput
from tuning.oracle import DRAWS, OptunaOracle
from tuning.sampling import LOOSE, SAMPLERS, Draw, check_sampler, distribution_of, seed_of
from tuning.study import storage
from tuning.study.folder import Study
from tuning.study.trials import NO_SIGN, found

SCORE = keras_tuner.Objective("score", "max")


def mixed(hp):
    """One of each kind; `units` and `style` are others under each of two conditions."""
    kind = hp.Choice("kind", ["a", "b", "c"])
    with hp.conditional_scope("kind", ["a"]):
        few = hp.Int("units", 1, 4)
        hp.Choice("style", ["thin", "flat"])
    with hp.conditional_scope("kind", ["b", "c"]):
        many = hp.Int("units", 10, 40, step=10)
        hp.Choice("style", ["bold", "round"])
    return {
        "units": few if kind == "a" else many,
        "rate": hp.Float("rate", 1e-4, 1.0, sampling="log"),
        "wide": hp.Choice("wide", [8, 16, 64]),
        "flag": hp.Boolean("flag"),
        "fixed": hp.Fixed("fixed", "always"),
    }


def score_of(values):
    return -abs(math.log10(values["rate"]) + 2) + values["flag"] - abs(values["wide"] - 16) / 100


def searched(oracle, most=10**6, score=score_of):
    """Run an oracle's trials; returns their values by number."""
    for _ in range(most):
        trial = oracle.create_trial("tuner")
        if trial.status == "STOPPED":
            break
        value = score(trial.hyperparameters.values)
        if value is None:
            trial.status, trial.message = "FAILED", "diverged: it was told to"
        else:
            oracle.update_trial(trial.trial_id, {"score": value})
            trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return {t.number: t.user_attrs["values"] for t in oracle.study.get_trials(deepcopy=False)}


@pytest.mark.parametrize(
    ("hp", "allowed"),
    [
        (keras_tuner.engine.hyperparameters.Int("n", 3, 12, step=4), {3, 7, 11}),
        (keras_tuner.engine.hyperparameters.Int("n", 1, 20, step=3, sampling="log"), {1, 3, 9}),
        (keras_tuner.engine.hyperparameters.Float("x", 0.0, 1.0, step=0.3), {0.0, 0.3, 0.6, 0.9}),
        (keras_tuner.engine.hyperparameters.Float("x", 0.1, 100, step=10, sampling="log"), {0.1, 1.0, 10.0, 100.0}),
        (keras_tuner.engine.hyperparameters.Choice("c", [0.5, 1.0, 4.0]), {0.5, 1.0, 4.0}),
        (keras_tuner.engine.hyperparameters.Choice("c", ["x", "y"]), {"x", "y"}),
        (keras_tuner.engine.hyperparameters.Boolean("b"), {False, True}),
    ],
    ids=["int", "int, log", "float", "float, log", "numbers", "words", "boolean"],  # a set has another text each time
)
def test_values_of_finite_kinds(hp, allowed):
    distribution, read = distribution_of(hp)
    sampler, study = optuna.samplers.RandomSampler(0), optuna.create_study()
    found = [read(sampler.sample_independent(study, None, "x", distribution)) for _ in range(200)]
    assert {round(value, 9) if isinstance(value, float) else value for value in found} == allowed
    assert {type(value) for value in found} == {type(value) for value in allowed}


@pytest.mark.parametrize(
    ("sampling", "middle"), [("linear", 50.05), ("log", math.sqrt(10)), ("reverse_log", 100.1 - math.sqrt(10))]
)
def test_continuous_kinds_have_the_median_of_their_scale(sampling, middle):
    hp = keras_tuner.engine.hyperparameters.Float("x", 0.1, 100.0, sampling=sampling)
    distribution, read = distribution_of(hp)
    sampler, study = optuna.samplers.RandomSampler(0), optuna.create_study()
    found = sorted(read(sampler.sample_independent(study, None, "x", distribution)) for _ in range(2000))
    assert 0.1 <= found[0] <= found[-1] <= 100
    below = sum(value < middle for value in found)
    assert abs(below - 1000) < 4 * math.sqrt(500)


def test_conditions_decide_what_is_asked():
    seen = searched(OptunaOracle(SCORE, "random", max_trials=40, space=mixed)).values()
    for values in seen:
        assert values["units"] in (range(1, 5) if values["kind"] == "a" else range(10, 41, 10))
        assert values["style"] in (("thin", "flat") if values["kind"] == "a" else ("bold", "round"))
        assert values["fixed"] == "always"
    assert {values["kind"] for values in seen} == {"a", "b", "c"}


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "cmaes", "grid"])
def test_a_study_that_was_stopped_is_the_one_that_was_not(sampler):
    whole = searched(OptunaOracle(SCORE, sampler, max_trials=30, seed=5, space=mixed))
    storage = optuna.storages.InMemoryStorage()
    for most in (3, 9, 10**6):
        stopped = searched(OptunaOracle(SCORE, sampler, max_trials=30, seed=5, space=mixed, storage=storage), most)
    assert stopped == whole
    assert len(whole) == 30
    assert whole != searched(OptunaOracle(SCORE, sampler, max_trials=30, seed=6, space=mixed))


def test_a_killed_process_loses_the_running_trial_only(tmp_path):
    """The oracle is thrown away in the middle of trial 4, as by kill -9, and then of its second start, too."""

    def oracle():
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
        storage = optuna.storages.JournalStorage(backend)
        return OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed, storage=storage, mine=lambda trial: True)

    whole = searched(OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed))
    first = oracle()
    searched(first, 4)
    begun = first.create_trial("tuner")
    second = oracle().create_trial("tuner")
    assert (second.trial_id, second.hyperparameters.values) == ("4", begun.hyperparameters.values)
    third = oracle()
    assert third.study.trials[4].state.name == "FAIL"
    assert third.study.trials[4].user_attrs["reason"] == "killed: its process ended 2 times"
    # Once killed, the trial and all after it are those of the whole study.
    assert {n: values for n, values in searched(third, 1).items() if n < 5} == {n: whole[n] for n in range(5)}


def test_a_killed_trial_that_runs_again_leaves_no_trace():
    whole = searched(OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed))
    storage = optuna.storages.InMemoryStorage()
    first = OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed, storage=storage)
    searched(first, 11)
    first.create_trial("tuner")
    again = OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed, storage=storage, mine=lambda trial: True)
    assert searched(again) == whole


def test_a_trial_of_a_dead_machine_is_begun_again_by_another(tmp_path, monkeypatch):
    """Signs of life a second apart at most, in a database that two machines share."""
    monkeypatch.setattr(storage, "HEARTBEAT", 1)
    monkeypatch.setattr(storage, "GRACE", 1)

    def oracle(folder, trials=2):
        study = Study(tmp_path / folder / "study", f"sqlite:///{tmp_path / 'trials.db'}")
        settings = {"max_trials": trials, "space": mixed, "mine": study.mine, "labels": {"owner": study.owner}}
        return OptunaOracle(SCORE, "random", storage=study.storage(), name="study", **settings)

    here, there = oracle("here"), oracle("there")
    first, second = here.create_trial("tuner"), there.create_trial("tuner")
    assert (first.trial_id, second.trial_id) == ("0", "1")
    here.beat()
    assert oracle("elsewhere").create_trial("tuner").status == "STOPPED"  # both are running
    time.sleep(2.5)
    there.beat()
    second.status, second.message = "FAILED", "raised"
    there.end_trial(second)
    again = there.create_trial("tuner")
    assert (again.trial_id, again.hyperparameters.values) == ("2", first.hyperparameters.values)
    assert there.attributes(again)["origin"] == 0
    there.update_trial("2", {"score": 1.0})
    again.status = "COMPLETED"
    there.end_trial(again)
    assert there.create_trial("tuner").status == "STOPPED"
    # The machine was only slow: what it says of its trial comes too late.
    here.update_trial("0", {"score": 2.0}, step=1)
    here.note(first, seconds=1)
    first.status = "COMPLETED"
    here.end_trial(first)
    assert [trial.state.name for trial in there.study.trials] == ["FAIL", "FAIL", "COMPLETE"]
    assert found(there.study.trials[0]).reason == NO_SIGN
    more = oracle("there", trials=3)  # the trial that was begun again counts once
    assert [more.create_trial(tuner).status for tuner in "ab"] == ["RUNNING", "STOPPED"]


def test_workers_have_a_trial_each_and_no_values_come_twice():
    def small(hp):
        with_units = hp.Boolean("with_units")
        with hp.conditional_scope("with_units", [True]):
            hp.Int("units", 1, 5)
        return with_units

    for sampler in ("random", "tpe", "grid"):
        oracle = OptunaOracle(SCORE, sampler, space=small)
        held = [oracle.create_trial(f"tuner{n}") for n in range(6)]
        assert oracle.create_trial("tuner0") is held[0]
        seen = [tuple(sorted(trial.hyperparameters.values.items())) for trial in held]
        assert oracle.create_trial("tuner6").status == "STOPPED"  # 1 + 5 are all there are
        assert len(set(seen)) == 6


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_sampler_fits_once_a_trial_and_all_values_come_once(sampler, monkeypatch):
    """A settled sampler proposes what was tried; that costs no other fit, and does not hide what was not tried."""
    fits = []
    kind = type(SAMPLERS[sampler](0))
    real = kind.sample_relative

    def counted(self, study, trial, space):
        fits.append(trial.number)
        return real(self, study, trial, space)

    monkeypatch.setattr(kind, "sample_relative", counted)
    hp = keras_tuner.HyperParameters()
    for name in "ab":
        hp.Choice(name, [1, 2, 3, 4, 5, 6], ordered=True)
    values = searched(OptunaOracle(SCORE, sampler, max_trials=36, hyperparameters=hp), score=lambda v: v["a"] + v["b"])
    assert sorted((v["a"], v["b"]) for v in values.values()) == list(itertools.product(range(1, 7), repeat=2))
    assert fits == list(range(36))


def test_each_trial_has_draws_of_its_own(monkeypatch):
    """One is enough where values are many: no trial is drawn as those before it were."""
    drawn = []
    real = Draw.__init__

    def counted(self, oracle, frozen, *more):
        drawn.append(frozen.number)
        real(self, oracle, frozen, *more)

    monkeypatch.setattr(Draw, "__init__", counted)
    searched(OptunaOracle(SCORE, "random", max_trials=20, space=mixed))
    assert drawn == list(range(20))


def test_a_range_that_has_become_smaller_is_kept():
    """TPE proposes from what it saw."""
    high = 1000

    def space(hp):
        return hp.Int("n", 1, high)

    oracle = OptunaOracle(SCORE, "tpe", space=space)
    searched(oracle, most=15, score=lambda values: values["n"])
    high = 3
    found = searched(oracle, most=3, score=lambda values: values["n"])
    assert all(found[number]["n"] <= high for number in (15, 16, 17))


def test_the_least_is_the_best_where_it_is_sought():
    oracle = OptunaOracle(keras_tuner.Objective("score", "min"), "random", max_trials=5, space=mixed)
    searched(oracle)
    scores = [trial.score for trial in oracle.get_best_trials(5)]
    assert scores == sorted(scores)
    assert len(scores) == 5


def test_further_draws_keep_less_and_less_of_the_first():
    hp = keras_tuner.HyperParameters()
    for number in range(100):
        hp.Int(f"i{number}", 0, 10**6)
    oracle = OptunaOracle(SCORE, "tpe", hyperparameters=hp)
    searched(oracle, most=12, score=lambda v: v["i0"])
    frozen = oracle.storage.get_trial(oracle.study.ask()._trial_id)
    first = Draw(oracle, frozen)
    first.merge(hp.space)

    def kept(number):
        other = Draw(oracle, frozen, number, first)
        other.merge(hp.space)
        return sum(other.values[name] == value for name, value in first.values.items())

    assert 80 < kept(2) < 99
    assert 35 < kept(LOOSE // 2) < 65
    assert kept(LOOSE) == kept(LOOSE + 5) == 0


def test_scores_that_are_not_finite_and_failures_end_nothing():
    oracle = OptunaOracle(SCORE, "tpe", max_trials=12, space=mixed)
    scores = itertools.cycle([math.nan, None, math.inf, 1.0])
    searched(oracle, score=lambda values: next(scores))
    states = [trial.state.name for trial in oracle.study.trials]
    assert states == ["FAIL", "FAIL", "FAIL", "COMPLETE"] * 3
    reasons = [trial.user_attrs.get("reason") for trial in oracle.study.trials[:4]]
    assert reasons == ["score is nan", "diverged: it was told to", "score is inf", None]
    assert {trial.score for trial in oracle.get_best_trials(10)} == {1.0}


def test_what_diverges_is_avoided():
    """Rates above 0.01, half of the space, diverge: at random half of the trials would."""

    def score(values):
        return None if values["rate"] > 0.01 else -abs(math.log10(values["rate"]) + 3)

    share = {}
    for sampler in ("random", "tpe"):
        diverged = 0
        for seed in range(3):
            found = searched(OptunaOracle(SCORE, sampler, max_trials=40, seed=seed, space=mixed), score=score)
            diverged += sum(values["rate"] > 0.01 for number, values in found.items() if number >= 20)
        share[sampler] = diverged / 60
    assert share["tpe"] < 0.2 < 0.35 < share["random"]


def test_infeasible_proposals_cost_no_trial():
    asked = []

    def accept(found):
        asked.append(found["units"])
        return found["units"] <= 10

    storage = optuna.storages.InMemoryStorage()
    oracle = OptunaOracle(SCORE, "random", max_trials=20, space=mixed, accept=accept, storage=storage)
    seen = searched(oracle)
    assert len(seen) == 20
    assert all(values["units"] <= 10 for values in seen.values())
    assert oracle.infeasible == sum(units > 10 for units in asked) > 0
    assert OptunaOracle(SCORE, storage=storage).infeasible == oracle.infeasible

    none = OptunaOracle(SCORE, "random", space=mixed, accept=lambda found: False)
    assert none.create_trial("tuner").status == "STOPPED"
    assert none.infeasible == DRAWS


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_pruners_end_the_bad_trials(pruner):
    """Trial n comes to n % 5 in nine epochs: what is let to the end is better than what is ended."""
    oracle = OptunaOracle(SCORE, "random", pruner, max_trials=40, space=mixed)
    while (trial := oracle.create_trial("tuner")).status == "RUNNING":
        level = int(trial.trial_id) % 5
        for epoch in range(1, 10):
            status = oracle.update_trial(trial.trial_id, {"score": level * epoch / 9}, step=epoch).status
            if status == "STOPPED":
                break
        trial.status = status if status == "STOPPED" else "COMPLETED"
        oracle.end_trial(trial)
    states = {"COMPLETE": [], "PRUNED": []}
    for each in oracle.study.trials:
        states[each.state.name].append(each.number % 5)
    assert len(states["PRUNED"]) >= 5
    mean = {name: sum(levels) / len(levels) for name, levels in states.items()}
    assert mean["PRUNED"] < mean["COMPLETE"]


def test_a_keras_tuner_tuner_runs_on_it(tmp_path):
    class Tuner(keras_tuner.Tuner):
        def run_trial(self, trial, **kwargs):
            return {"score": score_of(mixed(trial.hyperparameters))}

    def hypermodel(hp):
        mixed(hp)

    oracle = OptunaOracle(SCORE, "tpe", max_trials=10, seed=0)
    tuner = Tuner(oracle=oracle, hypermodel=hypermodel, directory=str(tmp_path), project_name="p")
    tuner.search(verbose=0)
    best = max(score_of(t.hyperparameters.values) for t in oracle.trials.values())
    assert len(oracle.trials) == 10
    assert tuner.get_best_hyperparameters()[0].get("rate") > 0
    assert oracle.get_best_trials()[0].score == best


def test_a_front_is_that_of_brute_force():
    objectives = [SCORE, keras_tuner.Objective("cost", "min")]
    oracle = OptunaOracle(objectives, "nsga2", max_trials=60, space=mixed)
    points = {}
    while (trial := oracle.create_trial("tuner")).status == "RUNNING":
        values = trial.hyperparameters.values
        points[trial.trial_id] = round(score_of(values), 1), values["wide"] * values["units"]
        oracle.update_trial(trial.trial_id, dict(zip(("score", "cost"), points[trial.trial_id], strict=True)))
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    front = {
        number
        for number, (score, cost) in points.items()
        if not any((s > score and c <= cost) or (s >= score and c < cost) for s, c in points.values())
    }
    assert {trial.trial_id for trial in oracle.get_best_trials()} == front
    assert 1 < len(front) < 60


def test_what_does_not_go_together_is_refused():
    with pytest.raises(BadInput, match="one objective, got 2"):
        check_sampler("nsga2", "asha", 2)
    with pytest.raises(BadInput, match="cmaes is for one objective, got 2"):
        check_sampler("cmaes", "none", 2)


def test_a_sampler_without_its_package_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(BadInput, match="--sampler gp needs the package torch: pip install torch"):
        check_sampler("gp", "none", 1)


def test_seeds():
    seeds = [seed_of(study, number) for study in range(20) for number in range(50)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert set(SAMPLERS) == {"random", "grid", "tpe", "gp", "nsga2", "cmaes"}
