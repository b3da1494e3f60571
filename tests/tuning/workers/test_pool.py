"""The search with real worker processes: faults, kills, continuing. The trials train nothing."""

import contextlib
import io
import json
import os
import re
import signal
import time
import types
from pathlib import Path

import keras_tuner
import pytest

from tfcnn.files import DiskFull
from tuning.report import report
from tuning.workers import pool
from tuning.workers.pool import describe_trial

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def faulty(module_standin):
    """(a search of ten trials of which seven meet a fault, its best trials, what it printed); for reading only."""
    plan = {"1": ["raise"], "2": ["memory"], "3": ["nan"], "4": ["kill"], "5": ["kill"] * 9, "6": ["exit"] * 9}
    plan |= {"7": ["diverge"]}
    with contextlib.redirect_stdout(io.StringIO()) as output:
        best = module_standin.search("faults", 10, plan)
    return module_standin, best, output.getvalue()


@slow
def test_no_fault_of_a_trial_ends_the_search(faulty):
    standin, _, _ = faulty
    trials = standin.study("faults").trials()
    assert [trial.number for trial in trials] == list(range(10))
    assert [trial.number for trial in trials if trial.state == "COMPLETED"] == [0, 4, 8, 9]


@slow
def test_each_fault_has_its_reason(faulty):
    standin, _, _ = faulty
    trials = standin.study("faults").trials()
    assert {trial.number: trial.reason for trial in trials if trial.state == "FAILED"} == {
        1: "raised ZeroDivisionError: of a layer",
        2: "out of memory: 3 GiB",
        3: "val_accuracy is nan",
        5: "killed: its process ended by SIGKILL, by hand or for lack of memory",
        6: "killed: its process ended with exit code 3",
        7: "diverged: the loss in step 3 of epoch 1 is not finite",
    }


@slow
def test_only_trials_whose_process_is_killed_are_started_twice(faulty):
    standin, _, _ = faulty
    assert standin.starts("faults") == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9]


@slow
def test_the_completed_trials_come_best_first(faulty):
    standin, best, _ = faulty
    trials = [trial for trial in standin.study("faults").trials() if trial.state == "COMPLETED"]
    scores = {t.number: 1 / (1 + abs(t.values["lr"] - 0.01)) / t.values["width"] for t in trials}
    assert [trial.number for trial in best] == sorted(scores, key=scores.get, reverse=True)


@slow
def test_the_log_of_a_trial_has_its_traceback(faulty):
    standin, _, _ = faulty
    assert "raise ZeroDivisionError" in standin.study("faults").log(1).read_text()


@slow
def test_a_second_start_is_announced(faulty):
    _, _, output = faulty
    assert "SIGKILL, by hand or for lack of memory; once more" in output


@slow
def test_the_report_counts_failures_by_reason(faulty):
    standin, _, _ = faulty
    section = next(s for s in report(standin.study("faults")) if s.title == "Failures by reason")
    assert {row[0]: row[1:3] for row in section.table[1]} == {
        "killed": ["2", "5, 6"],
        "raised ZeroDivisionError": ["1", "1"],
        "out of memory": ["1", "2"],
        "val_accuracy is nan": ["1", "3"],
        "diverged": ["1", "7"],
    }
    assert section.text.startswith("3 trials were started a second time")


@slow
def test_workers_never_run_the_same_trial(standin):
    standin.search("four", 12, {"seconds": 0.3}, workers=4)
    trials = standin.study("four").trials()
    assert sorted(standin.starts("four")) == list(range(12))
    assert len(set((standin.folder / "four.pids").read_text().split())) == 4
    assert all(trial.state == "COMPLETED" for trial in trials)
    assert len({json.dumps(trial.values) for trial in trials}) == 12


def is_gone(pid):
    """Whether a process is gone or only waits to be noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z"
    except FileNotFoundError:
        return True


@slow
def test_kill_9_of_the_search_loses_the_running_trial_only(standin):
    """Trial 12, which TPE proposes, kills the search; the search that continues is the one that was not killed."""
    standin.search("whole", 15)
    (standin.folder / "killed.plan").write_text(json.dumps({"12": ["kill parent"]}))
    process = standin.start("killed", 15)
    assert process.wait(timeout=120) == -signal.SIGKILL
    pid = (standin.folder / "killed.pids").read_text().split()[-1]
    deadline = time.monotonic() + 10  # the trial would sleep for 60
    while not is_gone(pid):
        assert time.monotonic() < deadline, "the worker outlives the search"
        time.sleep(0.05)
    process.communicate()
    study = standin.study("killed")
    assert [trial.state for trial in study.trials()] == ["COMPLETED"] * 12 + ["RUNNING"]
    # What the kill may have left, had it come a little earlier.
    study.journal.write_bytes(study.journal.read_bytes() + b'{"op_code":4,"wor')
    study.journal.with_name("journal.log.lock").symlink_to(study.journal)
    standin.search("killed", 15)
    assert standin.starts("killed") == [*range(13), 12, 13, 14]
    assert standin.values("killed") == standin.values("whole")
    assert all(trial.state == "COMPLETED" for trial in study.trials())


def wait_for_start(standin, name, process, trial, times=1):
    """Returns once a trial was started as often as `times`."""
    while standin.starts(name).count(trial) < times:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@slow
def test_ctrl_c_stops_and_the_search_goes_on(standin):
    (standin.folder / "stopped.plan").write_text(json.dumps({"1": ["wait", "wait"]}))
    process = standin.start("stopped", 2)
    try:
        wait_for_start(standin, "stopped", process, trial=1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert (standin.folder / "stopped.stops").read_text() == "1\n"  # it ended in order
    path = standin.folder / "stopped"
    assert re.search(rf"^error: interrupted; continue with .* --study {path}$", errors, re.MULTILINE)
    (trial,) = (trial for trial in standin.study("stopped").trials() if trial.number == 1)
    assert (trial.state, trial.starts) == ("RUNNING", 0)


@slow
def test_a_full_disk_ends_the_search_and_fails_no_trial(standin):
    message = "^'model.keras' cannot be written: .*; make room, then continue with the same command and --study .*full$"
    with pytest.raises(DiskFull, match=message):
        standin.search("full", 4, {"1": ["full"]})
    assert [trial.state for trial in standin.study("full").trials()] == ["COMPLETED", "RUNNING"]
    standin.search("full", 4)
    assert [(trial.state, trial.starts) for trial in standin.study("full").trials()] == [("COMPLETED", 1)] * 4
    assert standin.starts("full") == [0, 1, 1, 2, 3]


@slow
def test_a_worker_that_does_not_stop_in_order_gives_its_trial_back(standin):
    """As often as that happens: such a start does not count among those that kill their process."""
    (standin.folder / "rude.plan").write_text(json.dumps({"1": ["die"] * 2}))
    for number in (1, 2):
        process = standin.start("rude", 2)
        wait_for_start(standin, "rude", process, trial=1, times=number)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
    standin.search("rude", 2)
    trials = standin.study("rude").trials()
    assert [(trial.state, trial.starts) for trial in trials] == [("COMPLETED", 1)] * 2


@slow
def test_a_worker_that_died_while_idle_costs_no_trial(standin, monkeypatch):
    start_worker = pool.start_worker
    workers = []

    def start_and_kill_the_first(trainer):
        worker = start_worker(trainer)
        if not workers:
            worker.process.kill()
            worker.process.join()
        workers.append(worker)
        return worker

    monkeypatch.setattr(pool, "start_worker", start_and_kill_the_first)
    standin.search("idle", 3)
    assert len(workers) == 2
    assert [trial.state for trial in standin.study("idle").trials()] == ["COMPLETED"] * 3


@slow
def test_pruned_trials_say_so(standin):
    standin.search("pruned", 12, pruner="median")
    trials = standin.study("pruned").trials()
    pruned = [trial for trial in trials if trial.state == "PRUNED"]
    assert pruned
    assert all(1 <= len(trial.curve) < 3 for trial in pruned)
    assert all(len(trial.curve) == 3 for trial in trials if trial.state == "COMPLETED")


def make_trial(number, status, score=None, message=None):
    hp = types.SimpleNamespace(values={"width": 0.5})
    return types.SimpleNamespace(trial_id=str(number), status=status, score=score, message=message, hyperparameters=hp)


@pytest.mark.parametrize(
    ("trial", "line"),
    [
        (make_trial(1, "STOPPED"), "trial 1 of 8  pruned  best 75.00 % (trial 0)  45 s left  width 0.5"),
        (make_trial(1, "COMPLETED", 0.5), "trial 1 of 8  50.00 %  best 75.00 % (trial 0)  45 s left  width 0.5"),
        (
            make_trial(1, "FAILED", None, "raised X"),
            "trial 1 of 8  failed, raised X  best 75.00 % (trial 0)  45 s left",
        ),
        (
            make_trial(1, "INVALID", None, "killed"),
            "trial 1 of 8  killed; once more  best 75.00 % (trial 0)  52 s left",
        ),
    ],
)
def test_the_line_of_a_trial(trial, line):
    """Of eight trials at 7.5 seconds six are left, or seven where this one is to be started again."""
    trials = {"0": make_trial(0, "COMPLETED", 0.75), "1": trial, "2": make_trial(2, "RUNNING")}
    oracle = types.SimpleNamespace(
        trials=trials,
        objectives=[keras_tuner.Objective("val_accuracy", "max")],
        get_best_trials=lambda: [trials["0"]],
    )
    assert describe_trial(trial, oracle, trials=8, seconds=7.5).startswith(line)
