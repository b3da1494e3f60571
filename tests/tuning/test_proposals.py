"""A space that raises or exits: a failed trial with its reason, and the end after ten in a row."""

import sys

import keras_tuner
import optuna
import pytest

from tests.tuning.mixed_space import SCORE, run_trials
from tfcnn.errors import BadInput
from tuning import spaces
from tuning.oracle import OptunaOracle
from tuning.proposals import MOST_FAILURES


def recurse():
    return recurse()


def fail_with(kind):
    if kind == "KeyError":
        return {}["units"]
    if kind == "exit":
        sys.exit(3)
    if kind == "recursion":
        recurse()
    raise BadInput("lr must be a number above 0, got -1 (--lr)")


REASONS = {
    "KeyError": "the space raised KeyError: 'units'",
    "exit": "the space exited: 3",
    "recursion": "the space raised RecursionError: maximum recursion depth exceeded",
    "refusal": "refused: lr must be a number above 0, got -1 (--lr)",
}


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid", "nsga2", "cmaes"])
@pytest.mark.parametrize("kind", REASONS)
def test_a_space_that_fails_for_some_values_is_a_failed_trial(kind, sampler):
    def space(hp):
        if hp.Choice("branch", ["good", "bad"]) == "bad":
            fail_with(kind)
        hp.Float("rate", 0.0, 1.0)

    oracle = OptunaOracle(SCORE, sampler, max_trials=10, space=space)
    run_trials(oracle, score=lambda values: values["rate"])
    trials = oracle.study.trials
    assert len(trials) == 10
    failed = [trial for trial in trials if trial.state.name == "FAIL"]
    assert {trial.user_attrs["reason"] for trial in failed} == {REASONS[kind]}
    assert all(trial.user_attrs["values"] == {"branch": "bad"} for trial in failed)
    assert sum(trial.state.name == "COMPLETE" for trial in trials) == 10 - len(failed) > 0


@pytest.mark.parametrize("kind", ["KeyError", "exit", "recursion"])
def test_a_space_that_always_fails_ends_the_search(kind):
    def space(hp):
        hp.Float("rate", 0.0, 1.0)
        fail_with(kind)

    oracle = OptunaOracle(SCORE, "random", space=space)
    with pytest.raises(BadInput) as caught:
        oracle.create_trial("tuner")
    assert str(caught.value).startswith(f"the space fails at 10 proposals in a row, at the last one as {REASONS[kind]}")
    assert [trial.state.name for trial in oracle.study.trials] == ["FAIL"] * MOST_FAILURES


def test_what_always_is_refused_is_the_refusal():
    oracle = OptunaOracle(SCORE, "random", space=lambda hp: fail_with("refusal"))
    with pytest.raises(BadInput, match=r"^lr must be a number above 0, got -1 \(--lr\)$"):
        oracle.create_trial("tuner")


def test_what_cannot_be_measured_is_a_failed_trial():
    def accept(proposal):
        raise ZeroDivisionError("of a layer")

    oracle = OptunaOracle(SCORE, "random", max_trials=3, space=lambda hp: hp.Float("x", 0.0, 1.0), accept=accept)
    assert oracle.create_trial("tuner").status == "STOPPED"
    assert {t.user_attrs["reason"] for t in oracle.study.trials} == {"the space raised ZeroDivisionError: of a layer"}


def test_a_file_that_exits_is_no_space(tmp_path):
    (tmp_path / "x.py").write_text("import sys\nsys.exit(5)")
    with pytest.raises(BadInput, match="cannot be run: SystemExit: 5"):
        spaces.load(f"{tmp_path / 'x.py'}:space")


class Tuner(keras_tuner.Tuner):
    """Scores `lr` and trains nothing."""

    def run_trial(self, trial, **kwargs):
        self.hypermodel.build(trial.hyperparameters)
        return {"score": trial.hyperparameters.get("lr")}


def tune(folder, storage, trials):
    def build(hp):
        hp.Float("lr", 0.1, 1.0)
        hp.Int("units", 2, 8)

    oracle = OptunaOracle(SCORE, "tpe", max_trials=trials, storage=storage)
    tuner = Tuner(oracle=oracle, hypermodel=build, directory=str(folder), project_name="p")
    tuner.search(verbose=0)
    return oracle.study.trials


def test_a_tuner_on_a_storage_is_continued(tmp_path):
    storage = optuna.storages.InMemoryStorage()
    tune(tmp_path, storage, 3)
    trials = tune(tmp_path, storage, 6)
    assert [sorted(trial.user_attrs["values"]) for trial in trials] == [["lr", "units"]] * 6


def test_a_tuner_on_a_study_without_its_hyperparameters_is_refused(tmp_path):
    """As in a study from before it remembered them."""
    storage = optuna.storages.InMemoryStorage()
    tune(tmp_path, storage, 2)
    study = optuna.load_study(study_name="study", storage=storage)
    study.set_user_attr("hyperparameters", keras_tuner.HyperParameters().get_config())
    with pytest.raises(BadInput, match="does not know its hyperparameters: give OptunaOracle hyperparameters= or"):
        tune(tmp_path, storage, 4)


def test_a_tuner_whose_choices_depend_on_another_names_the_choice(tmp_path):
    """keras-tuner knows one list for a name; the other branch would train with values of the first."""

    def build(hp):
        blocks = {"small": ["a", "b"], "large": ["c", "d"]}
        hp.Choice("block", blocks[hp.Choice("net", ["small", "large"])])
        hp.Float("lr", 0.1, 1.0)

    oracle = OptunaOracle(SCORE, "random", max_trials=20)
    tuner = Tuner(oracle=oracle, hypermodel=build, directory=str(tmp_path), project_name="p")
    with pytest.raises(keras_tuner.errors.FatalValueError, match=r"the value of 'block' is '[ab]', which Choice"):
        tuner.search(verbose=0)
