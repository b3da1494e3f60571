"""The search with real worker processes: faults, kills, continuing, refusals. Most trials train nothing."""

import json
import os
import re
import signal
import sys
import time
import types
from functools import partial
from pathlib import Path

import keras_tuner
import optuna
import pytest
import sqlalchemy.exc

from benchmarks.faults import search as faults
from benchmarks.faults.search import in_process, starts, values
from tfcnn import train
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tuning import best, rerun
from tuning.report import report
from tuning.search import configured, search
from tuning.search import main as search_main
from tuning.study.folder import Study
from tuning.study.trials import command_of
from tuning.workers import worker
from tuning.workers.pool import Crew


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """(function that searches with the stand-in, folder): plans are of the study with that name."""
    monkeypatch.setattr("tuning.search.load_data", lambda config: types.SimpleNamespace(**faults.DATA))
    (tmp_path / "standin.py").write_text(faults.STANDIN)
    return partial(faults.searched, tmp_path), tmp_path


def ended(pid):
    """Whether a process is gone or only waits to be noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z"
    except FileNotFoundError:
        return True


def test_no_fault_of_a_trial_ends_the_search(standin, capsys):
    searched, folder = standin
    plan = {"1": ["raise"], "2": ["memory"], "3": ["nan"], "4": ["kill"], "5": ["kill"] * 9, "6": ["exit"] * 9}
    plan |= {"7": ["diverge"]}
    found = searched("faults", 10, plan)
    trials = {trial.number: trial for trial in Study(folder / "faults").trials()}
    assert list(trials) == list(range(10))
    assert {n: t.reason for n, t in trials.items() if t.state == "FAILED"} == {
        1: "raised ZeroDivisionError: of a layer",
        2: "out of memory: 3 GiB",
        3: "val_accuracy is nan",
        5: "killed: its process ended by SIGKILL, by hand or for lack of memory",
        6: "killed: its process ended with exit code 3",
        7: "diverged: the loss in step 3 of epoch 1 is not finite",
    }
    assert starts(folder, "faults") == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9]
    done = [n for n, trial in trials.items() if trial.state == "COMPLETED"]
    assert done == [0, 4, 8, 9]
    scores = {n: 1 / (1 + abs(t.values["lr"] - 0.01)) / t.values["width"] for n, t in trials.items() if n in done}
    assert [t.number for t in found] == sorted(done, key=scores.get, reverse=True)
    assert "raise ZeroDivisionError" in (folder / "faults" / "trial-1.log").read_text()
    assert "SIGKILL, by hand or for lack of memory; once more" in capsys.readouterr().out

    section = next(s for s in report(Study(folder / "faults")) if s.title == "Failures by reason")
    assert {row[0]: row[1:3] for row in section.table[1]} == {
        "killed": ["2", "5, 6"],
        "raised ZeroDivisionError": ["1", "1"],
        "out of memory": ["1", "2"],
        "val_accuracy is nan": ["1", "3"],
        "diverged": ["1", "7"],
    }
    assert section.text.startswith("3 trials were started a second time")


def test_workers_never_run_the_same_trial(standin):
    searched, folder = standin
    searched("four", 12, {"seconds": 0.3}, workers=4)
    assert sorted(starts(folder, "four")) == list(range(12))
    assert len(set((folder / "four.pids").read_text().split())) == 4
    assert all(trial.state == "COMPLETED" for trial in Study(folder / "four").trials())
    seen = [json.dumps(trial.values) for trial in Study(folder / "four").trials()]
    assert len(set(seen)) == 12


def test_kill_9_of_the_search_loses_the_running_trial_only(standin):
    """Trial 12, which TPE proposes, kills the search; the search that goes on is the one that was not killed."""
    searched, folder = standin
    searched("whole", 15)
    (folder / "killed.plan").write_text(json.dumps({"12": ["kill parent"]}))
    process = in_process(folder, "killed", 15)
    assert process.wait(timeout=120) == -signal.SIGKILL
    pid = (folder / "killed.pids").read_text().split()[-1]
    deadline = time.monotonic() + 10  # the trial would sleep for 60
    while not ended(pid):
        assert time.monotonic() < deadline, "the worker outlives the search"
        time.sleep(0.05)
    process.communicate()
    assert [trial.state for trial in Study(folder / "killed").trials()] == ["COMPLETED"] * 12 + ["RUNNING"]
    # What the kill may have left, had it come a little earlier.
    journal = folder / "killed" / "journal.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"wor')
    (folder / "killed" / "journal.log.lock").symlink_to(journal)
    searched("killed", 15)
    assert starts(folder, "killed") == [*range(13), 12, 13, 14]
    assert values(Study(folder / "killed")) == values(Study(folder / "whole"))
    assert all(trial.state == "COMPLETED" for trial in Study(folder / "killed").trials())


def test_ctrl_c_stops_and_the_search_goes_on(standin):
    _, folder = standin
    (folder / "stopped.plan").write_text(json.dumps({"1": ["wait", "wait"]}))
    process = in_process(folder, "stopped", 2)
    try:
        while not (folder / "stopped.starts").exists() or len(starts(folder, "stopped")) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert (folder / "stopped.stops").read_text() == "1\n"  # it was let end in order
    assert re.search(rf"^error: interrupted; continue with .* --study {folder / 'stopped'}$", errors, re.MULTILINE)
    (trial,) = (trial for trial in Study(folder / "stopped").trials() if trial.number == 1)
    assert (trial.state, trial.starts) == ("RUNNING", 0)


def test_a_worker_that_does_not_stop_in_order_gives_its_trial_back(standin):
    """As often as that happens: such a start does not count among those that kill their process."""
    searched, folder = standin
    (folder / "rude.plan").write_text(json.dumps({"1": ["die"] * 3}))
    for number in range(1, 4):
        process = in_process(folder, "rude", 2)
        while not (folder / "rude.starts").exists() or starts(folder, "rude").count(1) < number:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
    searched("rude", 2)
    assert [(trial.state, trial.starts) for trial in Study(folder / "rude").trials()] == [("COMPLETED", 1)] * 2


def test_a_worker_that_died_with_nothing_to_do_costs_no_trial(standin, monkeypatch):
    searched, folder = standin
    hired, workers = Crew._hired, []

    def hire(crew):
        worker = hired(crew)
        if not workers:
            worker.process.kill()
            worker.process.join()
        workers.append(worker)
        return worker

    monkeypatch.setattr(Crew, "_hired", hire)
    searched("idle", 3)
    assert [trial.state for trial in Study(folder / "idle").trials()] == ["COMPLETED"] * 3


def test_the_line_of_a_trial(monkeypatch):
    """Two of eight are over, in 10 and 20 seconds; two workers need 15 for each two of the six that are left."""

    def trial(number, status, score=None):
        hp = types.SimpleNamespace(values={"width": 0.5})
        return types.SimpleNamespace(trial_id=str(number), status=status, score=score, message=None, hyperparameters=hp)

    trials = {"0": trial(0, "COMPLETED", 0.75), "1": trial(1, "STOPPED"), "2": trial(2, "RUNNING")}
    oracle = types.SimpleNamespace(trials=trials, get_best_trials=lambda: [trials["0"]])
    crew = Crew(None, oracle, None, None, [("val_accuracy", "max")], 8, 2, None)
    crew.took = [10, 20]
    line = crew._line(trials["1"], "STOPPED", None)
    assert line == "trial 1 of 8  pruned  best 75.00 % (trial 0)  45 s left  width 0.5"


def test_a_trial_is_resumed_and_not_trained_twice_and_one_that_is_pruned_leaves_nothing(tmp_path, monkeypatch):
    resumed = []

    def run(config, callbacks):
        resumed.append(config.resume)
        folder = Path(config.out)
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("{}")
        if len(resumed) == 1:
            raise KeyboardInterrupt
        callbacks[0].on_epoch_end(0, {"val_loss": 1.5})
        (folder / "metrics.json").write_text('{"epochs": 1}')

    monkeypatch.setattr(train, "run", run)
    config, told = Config(arch="lenet5", out=str(tmp_path / "trial-0")), []
    with pytest.raises(KeyboardInterrupt):
        worker.train(config, lambda *epoch: told.append(epoch))
    assert worker.train(config, lambda *epoch: told.append(epoch)) == {"epochs": 1}
    assert worker.train(config, lambda *epoch: told.append(epoch)) == {"epochs": 1}
    assert resumed == [False, True]
    assert told == [(1, {"val_loss": 1.5})]

    def prune(*epoch):
        raise worker.Pruned

    config = Config(arch="lenet5", out=str(tmp_path / "trial-1"))
    with pytest.raises(worker.Pruned):
        worker.train(config, prune)
    assert not (tmp_path / "trial-1").exists()


def test_a_study_is_continued_with_its_own_settings_only(standin):
    searched, folder = standin
    searched("kept", 2)
    with pytest.raises(BadInput, match="was started with --sampler tpe, not random; give the same to continue it"):
        searched("kept", 3, sampler="random")
    with pytest.raises(BadInput, match=r"--budget-\.\.\. .*macs"):
        searched("kept", 3, limits={"macs": 1e6})
    with Study(folder / "kept").locked(), pytest.raises(BadInput, match=rf"process {os.getpid()} searches in"):
        searched("kept", 3)
    assert len(searched("kept", 4, workers=2)) == 4
    assert starts(folder, "kept")[:2] == [0, 1]
    (folder / "standin.py").write_text(faults.STANDIN.replace("1e-4", "1e-3"))
    with pytest.raises(BadInput, match=r"--space standin\.py:space [0-9a-f]{12}, not standin\.py:space [0-9a-f]{12};"):
        searched("kept", 5)


@pytest.mark.parametrize("name", ["journal.log", "study.json"])
def test_what_cannot_be_read_is_named(standin, name):
    searched, folder = standin
    searched("broken", 1)
    file = folder / "broken" / name
    file.write_text("#" + file.read_text()[1:])
    for action in (lambda: searched("broken", 2), lambda: report(Study.opened(folder / "broken"))):
        with pytest.raises(BadInput, match=re.escape(str(file))):
            action()


def test_a_database_that_cannot_be_read_is_named_without_its_password(standin):
    _, folder = standin
    (folder / "x.db").write_text("no database " * 100)
    study = Study(folder / "data", f"sqlite:///{folder / 'x.db'}")
    with pytest.raises(BadInput, match=r"storage 'sqlite:///.*x\.db' cannot be read: file is not a database"):
        search(study, Config(arch="lenet5"), 1, space=f"{folder / 'standin.py'}:space")
    assert "secret" not in Study(folder / "data", "postgresql://me:secret@host/x").place


def test_machines_that_begin_at_once_on_an_empty_database(tmp_path, monkeypatch):
    """The slower one finds the tables half made, as PostgreSQL and MySQL say it, and waits for the rest."""
    said = [
        sqlalchemy.exc.OperationalError("CREATE TABLE", {}, Exception("Table 'trials' already exists")),
        sqlalchemy.exc.IntegrityError("INSERT", {}, Exception("Duplicate entry 'v3.2.0.a' for key 'PRIMARY'")),
    ]
    real = optuna.storages.RDBStorage.__init__

    def opened(self, *args, **kwargs):
        if said:
            raise said.pop(0)
        real(self, *args, **kwargs)

    waited = []
    monkeypatch.setattr(optuna.storages.RDBStorage, "__init__", opened)
    monkeypatch.setattr(time, "sleep", waited.append)
    assert Study(tmp_path / "study", f"sqlite:///{tmp_path / 'trials.db'}").storage().get_all_studies() == []
    assert waited == [1, 1]


def test_pruned_trials_say_so(standin):
    searched, folder = standin
    searched("pruned", 12, pruner="median")
    trials = Study(folder / "pruned").trials()
    pruned = [trial for trial in trials if trial.state == "PRUNED"]
    assert pruned
    assert all(1 <= len(trial.curve) < 3 for trial in pruned)
    assert all(len(trial.curve) == 3 for trial in trials if trial.state == "COMPLETED")


def test_several_objectives(standin):
    searched, folder = standin
    front = searched("front", 12, objectives=["val_accuracy", "macs"], sampler="nsga2")
    trials = Study(folder / "front").trials()
    expected = {
        t.number
        for t in trials
        if not any(
            (u.scores[0] > t.scores[0] and u.scores[1] <= t.scores[1])
            or (u.scores[0] >= t.scores[0] and u.scores[1] < t.scores[1])
            for u in trials
        )
    }
    assert {trial.number for trial in front} == expected
    section = next(s for s in report(Study(folder / "front")) if s.title == "The Pareto front")
    assert {int(row[0]) for row in section.table[1]} == expected
    assert section.picture.startswith("<svg")
    with pytest.raises(BadInput, match="unknown objective 'val_acuracy'; did you mean val_accuracy"):
        searched("front2", 1, objectives=["val_acuracy"])
    assert not (folder / "front2").exists()


def test_a_folder_that_is_no_study_is_left_alone(standin):
    searched, folder = standin
    (folder / "photos").mkdir()
    (folder / "photos" / "one.jpg").touch()
    with pytest.raises(BadInput, match="photos' exists and is no study; give another --study"):
        searched("photos", 1)
    assert [file.name for file in (folder / "photos").iterdir()] == ["one.jpg"]


def test_nothing_completed_is_a_failure(standin):
    searched, _ = standin
    with pytest.raises(TrainingFailed, match=r"no trial of .* was completed"):
        searched("none", 2, {"0": ["raise"], "1": ["raise"]})


def test_a_real_search_in_a_database_trains_what_it_says(tmp_path):
    """Two trials of LeNet-5; the first trained again, here, gives the same to the last bit."""
    study = Study(tmp_path / "real", f"sqlite:///{tmp_path / 'trials.db'}")
    file = tmp_path / "small.py"
    file.write_text(
        'def small(hp):\n    return {"width": hp.Choice("width", [0.25, 4.0]), "lr": hp.Float("lr", 0.01, 0.02)}'
    )
    settings = {"space": f"{file}:small", "limits": {"parameters": 30_000}}
    found = search(study, Config(arch="lenet5", epochs=2, image_size=16), 2, **settings)
    trials = Study(tmp_path / "real").trials()
    assert sorted(trial.number for trial in found) == [0, 1]
    for trial in trials:
        run = study.run(trial.number).check_finished()
        metrics = run.read_metrics()
        assert trial.scores == (metrics["val_accuracy"],)
        assert metrics["parameters"] <= 30_000
        assert [row["val_accuracy"] for row in run.read_history()] == [trial.curve[1], trial.curve[2]]
        assert (tmp_path / "real" / "tensorboard" / f"trial-{trial.number}").is_dir()
    assert len({trial.config["seed"] for trial in trials}) == 2

    compared = rerun.rerun(trials[0], "val_accuracy")
    assert {"val_accuracy", "test_loss", "val_accuracy after epoch 2"} <= set(compared)
    assert all(before == now for before, now in compared.values())
    assert best.winner(study).number == found[0].number


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
    monkeypatch.setattr(train, "run", trained.append)
    import shlex

    monkeypatch.setattr(sys, "argv", shlex.split(command_of(config))[2:])
    train.main()
    assert trained == [config]


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
    done = run_command("tuning.search", *flags, "--study", tmp_path / "study", PYTHONPROFILEIMPORTTIME="1")
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert (done.returncode, len(lines)) == (2, 1)
    assert lines[0].startswith(f"error: {message}")
    assert "tensorflow" not in done.stderr
    assert not (tmp_path / "study").exists()


def test_a_score_that_came_out_otherwise_is_an_error(standin, monkeypatch, capsys):
    searched, folder = standin
    searched("again", 1)
    trial = Study(folder / "again").trials()[0]
    (folder / "other.py").write_text(
        "def trainer(config, go_on):\n"
        "    for epoch in (1, 2, 3):\n"
        "        go_on(epoch, {'val_accuracy': 0.5})\n"
        "    return {'val_accuracy': 0.5}\n"
    )
    found = rerun.rerun(trial, "val_accuracy", f"{folder / 'other.py'}:trainer")
    assert found["val_accuracy"] == (trial.scores[0], 0.5)
    assert found["val_accuracy after epoch 2"] == (trial.curve[2], 0.5)
    monkeypatch.setattr(rerun, "rerun", lambda trial, objective: found)
    monkeypatch.setattr(sys, "argv", ["rerun", str(folder / "again"), "0"])
    with pytest.raises(rerun.Differs, match="trial 0 came out with another val_accuracy"):
        rerun.main()
    assert rerun.Differs.exit_code == 1
    assert "not equal" in capsys.readouterr().out


def test_what_a_study_leaves_and_keeps(tmp_path):
    """No password in its file; no lock of Optuna's that a killed search left."""
    study = Study(tmp_path / "study", "postgresql://me:secret@host/x")
    study.make()
    assert "secret" not in study.file.read_text()
    lock = study.journal.with_name("journal.log.lock")
    lock.symlink_to(study.journal)
    with study.locked():
        assert not lock.is_symlink()


def test_what_is_not_said(monkeypatch):
    """Trials are short, and several objectives are for NSGA-II, unless flags say otherwise."""
    asked = []

    def searched(study, config, trials, **more):
        asked.append((config.epochs, config.warmup_epochs, more["sampler"], study.path.name))
        raise BadInput("it was only asked")

    monkeypatch.setattr("tuning.search.search", searched)
    front = ("--objective", "val_accuracy, macs")
    for flags in ((), front, ("--epochs", "7"), (*front, "--sampler", "random", "--study", "runs/mine")):
        monkeypatch.setattr(sys, "argv", ["search", "--arch", "lenet5", *flags])
        with pytest.raises(BadInput, match="it was only asked"):
            search_main()
    name, warmup = "search-lenet5-digits", Config().warmup_epochs
    assert asked == [
        (4, 0.5, "tpe", name),
        (4, 0.5, "nsga2", name),
        (7, warmup, "tpe", name),
        (4, 0.5, "random", "mine"),
    ]


def test_arguments_of_the_builder_that_are_given_go_to_every_trial():
    ask = configured(Config(arch="mobilenet", arch_args={"stem": "imagenet"}), None, (32, 32, 1), frozenset())
    found = ask(keras_tuner.HyperParameters()).arch_args
    assert found["stem"] == "imagenet"
    assert len(found) > 1


def test_a_value_that_the_space_searches_cannot_be_given(tmp_path):
    with pytest.raises(BadInput, match=r"the space searches --opt: leave it out, or give a space of your own"):
        search(Study(tmp_path / "s"), Config(arch="lenet5", opt="sgd"), 1, given=frozenset({"opt", "arch"}))
    with pytest.raises(BadInput, match="the space searches --arch-args kernel_size: leave it out"):
        search(Study(tmp_path / "s"), Config(arch="lecture_cnn", arch_args={"kernel_size": 3}), 1)
    assert not (tmp_path / "s").exists()
