"""The replay of searches on a table, and the numbers of the report."""

import itertools
from types import SimpleNamespace

import keras_tuner
import numpy as np
import pytest
from keras_tuner.engine.trial import Trial

from benchmarks import search, search_table
from benchmarks.search import Table, interval, regret_at
from benchmarks.training_runs import append_row, read_rows
from tfcnn.errors import BadInput


def make_table(final):
    """A table whose seeds and epochs have the same accuracy."""
    accuracy = np.tile(np.array(final, float)[:, None, None], (1, 2, 6))
    return Table({}, accuracy, np.ones(len(final), int))


def test_regret_is_by_the_mean_of_the_seeds_after_the_last_epoch():
    table = make_table([0.5] * 8)
    table.accuracy[0, :, -1] = 0.9, 0.7
    table.accuracy[1, :, 0] = 1.0  # in an early epoch
    table.accuracy[2, :, -1] = 0.9, np.nan
    assert table.regret[:4] == pytest.approx([0, 0.3, 0.8 - 0.45, 0.3])


def test_what_fails_above_a_rate_that_does_not_diverges():
    """Two networks by eight rates: the first learns from the second rate on, the other nowhere."""
    table = make_table([0.1, 0.8, 0.9, 0.9, 0.15, 0.9, 0.1, 0.1] + [0.1] * 8)
    table.accuracy[5, 1, -1] = np.nan
    assert list(np.flatnonzero(table.diverging)) == [4, 5, 6, 7]


def test_the_choice_at_a_moment():
    choices = [(6, 0.5), (12, 0.1), (66, 0.3)]
    assert [regret_at(choices, epochs) for epochs in (6, 11, 12, 65, 66, 600)] == [0.5, 0.5, 0.1, 0.1, 0.3, 0.3]


def test_interval_is_that_of_every_resample():
    """All 4 ** 4 resamples of four values, counted; the bootstrap draws some of them."""
    values = [1.0, 2.0, 4.0, 8.0]
    medians = sorted(np.median(drawn) for drawn in itertools.product(values, repeat=4))
    low, high = interval(values, draws=20_000, level=0.5)
    assert (low, high) == (medians[len(medians) // 4], medians[3 * len(medians) // 4])


def test_interval_of_equal_values():
    assert interval([3.0] * 5) == (3, 3)


class ListOracle:
    """An oracle that proposes what a list holds, and stops a trial after `stop` epochs.

    `reports` has (epoch, accuracy) of each update, and the status of each end.
    """

    objective = keras_tuner.Objective("accuracy", "max")

    def __init__(self, proposals, stop=6):
        self.proposals = list(proposals)
        self.stop = stop
        self.reports = []

    def create_trial(self, tuner):
        if not self.proposals:
            return Trial(keras_tuner.HyperParameters(), status="STOPPED")
        trial = Trial(keras_tuner.HyperParameters(), status="RUNNING")
        trial.hyperparameters.values = self.proposals.pop(0)
        return trial

    def update_trial(self, trial_id, metrics, step):
        self.reports.append((step, metrics["accuracy"]))
        return SimpleNamespace(status="STOPPED" if step >= self.stop else "RUNNING")

    def end_trial(self, trial):
        self.reports.append(trial.status)


@pytest.fixture
def full():
    """The grid of the table, the accuracies those of a rule: epoch / 100 + number / 1000, and 0.0005 for one seed."""
    points = list(search_table.configurations(search_table.AXES))
    accuracy = np.arange(1, 7) / 100 + np.arange(len(points))[:, None, None] / 1000
    accuracy = np.repeat(accuracy, 2, axis=1) + np.array([0, 0.0005])[None, :, None]
    return Table({tuple(p.values()): n for n, p in enumerate(points)}, accuracy, np.arange(len(points))), points


def test_a_search_spends_epochs_and_counts(full):
    table, points = full
    oracle = ListOracle([points[0], *[points[3]] * 9, points[-1], points[-1]])
    run = search.search(table, oracle, seed=0)
    last = len(points) - 1
    assert run.regrets == pytest.approx([(last - 3) / 1000, 0, 0, 0])  # ten trials, of which the last is the tenth
    assert (run.proposals, run.repeats) == (12, 9)
    assert oracle.reports.count("COMPLETED") == 12
    draws = np.random.default_rng(0).integers(2, size=len(points))
    assert oracle.reports[5] == (6, pytest.approx(0.06 + 0.0005 * draws[0]))


def test_what_was_trained_longer_goes_before_what_was_stopped(full):
    """Though number 200 had the better accuracy. The promoted one goes on at its third epoch and is no repeat."""
    table, points = full
    promoted = {**points[2], "tuner/epochs": 6, "tuner/initial_epoch": 2, "tuner/trial_id": "0"}
    short = [{**points[n], "tuner/epochs": 2, "tuner/initial_epoch": 0} for n in (2, 200)]
    oracle = ListOracle([*short, promoted])
    run = search.search(table, oracle, seed=0)
    assert [report[0] for report in oracle.reports if report != "COMPLETED"] == [1, 2, 1, 2, 3, 4, 5, 6]
    assert run.regrets[-1] == pytest.approx((len(points) - 1 - 2) / 1000)
    assert run.repeats == 0


def test_a_stopped_trial_ends_after_its_epoch(full):
    table, points = full
    oracle = ListOracle(points[:3], stop=1)
    search.search(table, oracle, seed=0)
    assert oracle.reports.count("STOPPED") == 3
    assert len(oracle.reports) == 6


def test_a_table_that_lacks_trainings_says_so(tmp_path):
    (tmp_path / "table.csv").write_text(",".join(search_table.COLUMNS) + "\n")
    with pytest.raises(BadInput, match=r"lacks 1024 trainings: python -m benchmarks\.search --build"):
        search.read_table(tmp_path / "table.csv")


def test_a_line_that_was_cut_off_is_trained_again(tmp_path):
    path = tmp_path / "table.csv"
    whole = [",".join(search_table.COLUMNS), "2,2,1,0.0,adam,0.01,0,1,1,.1,.2,.3,.4,.5,.6"]
    path.write_text("\n".join([*whole, "2,2,1,0.0"]))
    assert [row["epoch6"] for row in search_table.read_rows(path)] == [".6"]
    assert path.read_text().endswith(".6\n")


def test_a_search_is_read_from_its_row_as_it_was(tmp_path):
    run = search.Run([0.5, 0.25, 0.125, 0.1], proposals=12, diverging=3, repeats=2, seconds=1.5)
    append_row(tmp_path / "runs.csv", run.as_row("TPE", 4))
    (row,) = read_rows(tmp_path / "runs.csv")
    assert (row["engine"], row["seed"]) == ("TPE", "4")
    assert search.Run.from_row(row) == run
