"""The oracle between keras-tuner and Optuna: conditions, resumed studies, dead processes, failures, pruning."""

import itertools
import math
import statistics
import time

import keras_tuner
import optuna
import pytest

from tests.tuning.mixed_space import SCORE, mixed_space, run_trials, score_of
from tuning.oracle import OptunaOracle
from tuning.proposals import DRAWS
from tuning.study import storage
from tuning.study.folder import Study
from tuning.study.trials import NO_HEARTBEAT, record_of


def test_conditions_decide_what_is_asked():
    trials = run_trials(OptunaOracle(SCORE, "random", max_trials=40, space=mixed_space)).values()
    for values in trials:
        assert values["units"] in (range(1, 5) if values["kind"] == "a" else range(10, 41, 10))
        assert values["style"] in (("thin", "flat") if values["kind"] == "a" else ("bold", "round"))
        assert values["fixed"] == "always"
    assert {values["kind"] for values in trials} == {"a", "b", "c"}


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "cmaes", "grid"])
def test_a_study_that_was_stopped_is_the_one_that_was_not(sampler):
    whole = run_trials(OptunaOracle(SCORE, sampler, max_trials=30, seed=5, space=mixed_space))
    storage = optuna.storages.InMemoryStorage()
    for most in (3, 9, 10**6):
        continued = run_trials(
            OptunaOracle(SCORE, sampler, max_trials=30, seed=5, space=mixed_space, storage=storage), most
        )
    assert continued == whole
    assert len(whole) == 30
    assert whole != run_trials(OptunaOracle(SCORE, sampler, max_trials=30, seed=6, space=mixed_space))


def test_a_killed_process_loses_the_running_trial_only(tmp_path):
    """The oracle is thrown away in the middle of trial 4, as by kill -9, and then of its second start, too."""

    def oracle():
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
        storage = optuna.storages.JournalStorage(backend)
        return OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed_space, storage=storage, is_dead=lambda trial: True)

    whole = run_trials(OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed_space))
    first = oracle()
    run_trials(first, 4)
    begun = first.create_trial("tuner")
    second = oracle().create_trial("tuner")
    assert (second.trial_id, second.hyperparameters.values) == ("4", begun.hyperparameters.values)
    third = oracle()
    assert third.study.trials[4].state.name == "FAIL"
    assert third.study.trials[4].user_attrs["reason"] == "killed: its process ended 2 times"
    # Once killed, the trial and all after it are those of the whole study.
    assert {n: values for n, values in run_trials(third, 1).items() if n < 5} == {n: whole[n] for n in range(5)}


def test_a_killed_trial_that_runs_again_leaves_no_trace():
    whole = run_trials(OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed_space))
    storage = optuna.storages.InMemoryStorage()
    first = OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed_space, storage=storage)
    run_trials(first, 11)
    first.create_trial("tuner")
    again = OptunaOracle(SCORE, "tpe", max_trials=14, space=mixed_space, storage=storage, is_dead=lambda trial: True)
    assert run_trials(again) == whole


@pytest.mark.slow
def test_a_trial_of_a_dead_machine_is_begun_again_by_another(tmp_path, monkeypatch):
    """Signs of life a second apart at most, in a database that two machines share."""
    monkeypatch.setattr(storage, "HEARTBEAT", 1)
    monkeypatch.setattr(storage, "GRACE", 1)

    def oracle(folder, trials=2):
        study = Study(tmp_path / folder / "study", f"sqlite:///{tmp_path / 'trials.db'}")
        return OptunaOracle(
            SCORE,
            "random",
            max_trials=trials,
            storage=study.storage(),
            space=mixed_space,
            is_dead=study.owns,
            labels={"owner": study.owner},
        )

    here = oracle("here")
    there = oracle("there")
    first = here.create_trial("tuner")
    second = there.create_trial("tuner")
    assert (first.trial_id, second.trial_id) == ("0", "1")
    here.beat()
    assert oracle("elsewhere").create_trial("tuner").status == "STOPPED"  # both are running
    time.sleep(2.5)
    there.beat()
    second.status = "FAILED"
    second.message = "raised"
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
    assert record_of(there.study.trials[0]).reason == NO_HEARTBEAT
    more = oracle("there", trials=3)  # the trial that was begun again counts once
    assert [more.create_trial(tuner).status for tuner in "ab"] == ["RUNNING", "STOPPED"]


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_workers_have_a_trial_each_and_no_values_come_twice(sampler):
    def small(hp):
        with_units = hp.Boolean("with_units")
        with hp.conditional_scope("with_units", [True]):
            hp.Int("units", 1, 5)
        return with_units

    oracle = OptunaOracle(SCORE, sampler, space=small)
    trials = [oracle.create_trial(f"tuner{n}") for n in range(6)]
    assert oracle.create_trial("tuner0") is trials[0]
    assert oracle.create_trial("tuner6").status == "STOPPED"  # 1 + 5 are all there are
    assert len({tuple(sorted(trial.hyperparameters.values.items())) for trial in trials}) == 6


def test_a_range_that_has_become_smaller_is_kept():
    """TPE proposes from what it saw."""
    high = 1000

    def space(hp):
        return hp.Int("n", 1, high)

    oracle = OptunaOracle(SCORE, "tpe", space=space)
    run_trials(oracle, most=15, score=lambda values: values["n"])
    high = 3
    values = run_trials(oracle, most=3, score=lambda values: values["n"])
    assert all(values[number]["n"] <= high for number in (15, 16, 17))


def test_the_least_is_the_best_where_it_is_sought():
    oracle = OptunaOracle(keras_tuner.Objective("score", "min"), "random", max_trials=5, space=mixed_space)
    run_trials(oracle)
    scores = [trial.score for trial in oracle.get_best_trials(5)]
    assert scores == sorted(scores)
    assert len(scores) == 5


def test_scores_that_are_not_finite_and_failures_end_nothing():
    oracle = OptunaOracle(SCORE, "tpe", max_trials=12, space=mixed_space)
    scores = itertools.cycle([math.nan, None, math.inf, 1.0])
    run_trials(oracle, score=lambda values: next(scores))
    states = [trial.state.name for trial in oracle.study.trials]
    assert states == ["FAIL", "FAIL", "FAIL", "COMPLETE"] * 3
    reasons = [trial.user_attrs.get("reason") for trial in oracle.study.trials[:4]]
    assert reasons == ["score is nan", "diverged: it has no score", "score is inf", None]
    assert {trial.score for trial in oracle.get_best_trials(10)} == {1.0}


@pytest.mark.slow
def test_what_diverges_is_avoided():
    """Rates above 0.01, half of the space, diverge: at random half of the trials would."""

    def score(values):
        return None if values["rate"] > 0.01 else -abs(math.log10(values["rate"]) + 3)

    share = {}
    for sampler in ("random", "tpe"):
        diverged = 0
        for seed in range(3):
            trials = run_trials(OptunaOracle(SCORE, sampler, max_trials=40, seed=seed, space=mixed_space), score=score)
            diverged += sum(values["rate"] > 0.01 for number, values in trials.items() if number >= 20)
        share[sampler] = diverged / 60
    assert share["tpe"] < 0.2 < 0.35 < share["random"]


def test_infeasible_proposals_cost_no_trial():
    proposals = []

    def accept(proposal):
        proposals.append(proposal["units"])
        return proposal["units"] <= 10

    storage = optuna.storages.InMemoryStorage()
    oracle = OptunaOracle(SCORE, "random", max_trials=20, space=mixed_space, accept=accept, storage=storage)
    trials = run_trials(oracle)
    assert len(trials) == 20
    assert all(values["units"] <= 10 for values in trials.values())
    assert oracle.infeasible == sum(units > 10 for units in proposals) > 0
    assert OptunaOracle(SCORE, storage=storage).infeasible == oracle.infeasible


@pytest.mark.slow
def test_a_space_without_a_feasible_proposal_is_exhausted():
    none = OptunaOracle(SCORE, "random", space=mixed_space, accept=lambda proposal: False)
    assert none.create_trial("tuner").status == "STOPPED"
    assert none.infeasible == DRAWS


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_pruners_end_the_bad_trials(pruner):
    """Trial n comes to n % 5 in nine epochs: what is let to the end is better than what is ended."""
    oracle = OptunaOracle(SCORE, "random", pruner, max_trials=40, space=mixed_space)
    while (trial := oracle.create_trial("tuner")).status == "RUNNING":
        level = int(trial.trial_id) % 5
        for epoch in range(1, 10):
            status = oracle.update_trial(trial.trial_id, {"score": level * epoch / 9}, step=epoch).status
            if status == "STOPPED":
                break
        trial.status = status if status == "STOPPED" else "COMPLETED"
        oracle.end_trial(trial)
    levels = {"COMPLETE": [], "PRUNED": []}
    for frozen in oracle.study.trials:
        levels[frozen.state.name].append(frozen.number % 5)
    assert len(levels["PRUNED"]) >= 5
    assert statistics.fmean(levels["PRUNED"]) < statistics.fmean(levels["COMPLETE"])


def test_a_keras_tuner_tuner_runs_on_it(tmp_path):
    class Tuner(keras_tuner.Tuner):
        def run_trial(self, trial, **kwargs):
            return {"score": score_of(mixed_space(trial.hyperparameters))}

    def hypermodel(hp):
        mixed_space(hp)

    oracle = OptunaOracle(SCORE, "tpe", max_trials=10, seed=0)
    tuner = Tuner(oracle=oracle, hypermodel=hypermodel, directory=str(tmp_path), project_name="p")
    tuner.search(verbose=0)
    best = max(score_of(t.hyperparameters.values) for t in oracle.trials.values())
    assert len(oracle.trials) == 10
    assert tuner.get_best_hyperparameters()[0].get("rate") > 0
    assert oracle.get_best_trials()[0].score == best


def test_a_front_is_that_of_brute_force():
    objectives = [SCORE, keras_tuner.Objective("cost", "min")]
    oracle = OptunaOracle(objectives, "nsga2", max_trials=60, space=mixed_space)
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
