"""A search: its command, its settings, and one that trains for real."""

import sys

import keras_tuner
import pytest

from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tuning import best, rerun
from tuning.report import report
from tuning.search import SearchSettings, main, make_configure, parse_objectives, search
from tuning.study.folder import Study


@pytest.fixture(scope="module")
def front(module_standin):
    """(study of twelve trials with two objectives, its front); for reading only."""
    best_trials = module_standin.search("front", 12, objectives=["val_accuracy", "macs"], sampler="nsga2")
    trials = module_standin.study("front").trials()
    expected = {
        t.number
        for t in trials
        if not any(
            (u.scores[0] > t.scores[0] and u.scores[1] <= t.scores[1])
            or (u.scores[0] >= t.scores[0] and u.scores[1] < t.scores[1])
            for u in trials
        )
    }
    return module_standin.study("front"), best_trials, expected


@pytest.mark.slow
def test_of_several_objectives_the_front_is_returned(front):
    _, best_trials, expected = front
    assert {trial.number for trial in best_trials} == expected


@pytest.mark.slow
def test_of_several_objectives_the_front_is_reported(front):
    study, _, expected = front
    section = next(s for s in report(study) if s.title == "The Pareto front")
    assert {int(row[0]) for row in section.table[1]} == expected
    assert section.picture.startswith("<svg")


def test_an_unknown_objective_is_refused(standin):
    with pytest.raises(BadInput, match="unknown objective 'val_acuracy'; did you mean val_accuracy"):
        standin.search("front", 1, objectives=["val_acuracy"])
    assert not (standin.folder / "front").exists()


def test_detectors_are_searched_for_precision():
    assert [(goal.name, goal.direction) for goal in parse_objectives([], "detection")] == [("val_map50", "max")]


@pytest.mark.slow
def test_nothing_completed_is_a_failure(standin):
    with pytest.raises(TrainingFailed, match=r"no trial of .* was completed"):
        standin.search("none", 2, {"0": ["raise"], "1": ["raise"]})


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """(study of two trials of LeNet-5 in a database, its best trials); for reading only."""
    folder = tmp_path_factory.mktemp("real")
    file = folder / "small.py"
    file.write_text(
        'def small(hp):\n    return {"width": hp.Choice("width", [0.25, 4.0]), "lr": hp.Float("lr", 0.01, 0.02)}'
    )
    settings = SearchSettings(2, space=f"{file}:small", limits={"parameters": 30_000})
    study = Study(folder / "real", f"sqlite:///{folder / 'trials.db'}")
    best_trials = search(study, Config(arch="lenet5", epochs=2, image_size=16), settings)
    return Study(folder / "real"), best_trials


@pytest.mark.slow
def test_trials_are_runs_within_the_budget(real):
    study, best_trials = real
    assert sorted(trial.number for trial in best_trials) == [0, 1]
    for trial in study.trials():
        run = study.run(trial.number).check_finished()
        metrics = run.read_metrics()
        assert trial.scores == (metrics["val_accuracy"],)
        assert metrics["parameters"] <= 30_000
        assert [row["val_accuracy"] for row in run.read_history()] == [trial.curve[1], trial.curve[2]]


@pytest.mark.slow
def test_each_trial_has_a_seed_and_a_page_of_tensorboard(real):
    study, _ = real
    trials = study.trials()
    assert len({trial.config["seed"] for trial in trials}) == 2
    assert all((study.path / "tensorboard" / f"trial-{trial.number}").is_dir() for trial in trials)


@pytest.mark.slow
def test_a_trial_that_is_trained_again_gives_the_same_to_the_last_bit(real):
    study, _ = real
    comparisons = rerun.rerun(study.trials()[0], "val_accuracy")
    names = {name for name, _, _ in comparisons}
    assert {"val_accuracy", "test_loss", "val_accuracy after epoch 2"} <= names
    assert all(before == now for _, before, now in comparisons)


@pytest.mark.slow
def test_the_winner_is_the_best_trial(real):
    study, best_trials = real
    assert best.find_winner(study).number == best_trials[0].number


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--sampler", "tpee"), "unknown sampler 'tpee'; did you mean tpe? (--sampler)"),
        (("--budget-macs", "many"), "--budget-macs must be a number above 0 with K, M or G, as in 30M, got 'many'"),
        (("--budget-latency", "5"), "--budget-latency must be a number above 0 with ms or s, as in 5ms, got '5'"),
        (("--trials", "0"), "--trials must be a whole number at least 1, got '0'"),
        (("--space", "nowhere.py:space"), "no file 'nowhere.py': give path/to/file.py:function (--space)"),
        (("--arch", "mobilnet"), "unknown architecture 'mobilnet'; did you mean mobilenet"),
    ],
)
def test_bad_input_is_one_line_without_tensorflow(run_command, tmp_path, flags, message):
    process = run_command("tuning.search", *flags, "--study", tmp_path / "study", PYTHONPROFILEIMPORTTIME="1")
    lines = [line for line in process.stderr.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, len(lines)) == (2, 1)
    assert lines[0].startswith(f"error: {message}")
    assert "tensorflow" not in process.stderr
    assert not (tmp_path / "study").exists()


FRONT = ("--objective", "val_accuracy, macs")
WARMUP = Config().warmup_epochs


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), (4, 0.5, "tpe", "search-lenet5-digits")),
        (FRONT, (4, 0.5, "nsga2", "search-lenet5-digits")),
        (("--epochs", "7"), (7, WARMUP, "tpe", "search-lenet5-digits")),
        (("--warmup-epochs", "0.5"), (4, 0.5, "tpe", "search-lenet5-digits")),
        (("--warmup-epochs", "1"), (4, 1, "tpe", "search-lenet5-digits")),
        ((*FRONT, "--sampler", "random", "--study", "runs/mine"), (4, 0.5, "random", "mine")),
    ],
)
def test_flags_that_are_not_given(monkeypatch, flags, expected):
    """Trials are short, and several objectives are for NSGA-II, unless flags say otherwise."""
    searches = []

    def refuse(study, config, settings):
        searches.append((config.epochs, config.warmup_epochs, settings.sampler, study.path.name))
        raise BadInput("searched")

    monkeypatch.setattr("tuning.search.search", refuse)
    monkeypatch.setattr(sys, "argv", ["search", "--arch", "lenet5", *flags])
    with pytest.raises(BadInput, match="searched"):
        main()
    assert searches == [expected]


def test_arguments_of_the_builder_that_are_given_go_to_every_trial():
    config = Config(arch="mobilenet", arch_args={"stem": "imagenet"})
    configure = make_configure(config, SearchSettings(1), (32, 32, 1))
    arguments = configure(keras_tuner.HyperParameters()).arch_args
    assert arguments["stem"] == "imagenet"
    assert len(arguments) > 1


def test_a_space_replaces_the_arguments_of_a_recipe():
    config = Config(arch="unet", arch_args={"batch_norm": True, "form": "same"})
    hp = keras_tuner.HyperParameters()
    hp.Fixed("batch_norm", False)
    arguments = make_configure(config, SearchSettings(1), (96, 96, 3))(hp).arch_args
    assert (arguments["batch_norm"], arguments["form"]) == (False, "same")


@pytest.mark.parametrize(
    ("config", "fixed", "message"),
    [
        (Config(arch="lenet5", opt="sgd"), {"opt", "arch"}, "the space searches --opt: leave it out"),
        (Config(arch="lecture_cnn"), {"kernel_size"}, "the space searches --arch-args kernel_size"),
    ],
)
def test_a_value_that_the_space_searches_cannot_be_given(tmp_path, config, fixed, message):
    with pytest.raises(BadInput, match=message):
        search(Study(tmp_path / "study"), config, SearchSettings(1, fixed=frozenset(fixed)))
    assert not (tmp_path / "study").exists()


def test_more_workers_than_any_machine_has_are_refused(monkeypatch):
    monkeypatch.setattr("sys.argv", ["search", "--arch", "lenet5", "--workers", "999999999"])
    with pytest.raises(BadInput, match="--workers must be at most 1,024, got '999999999'"):
        main()
