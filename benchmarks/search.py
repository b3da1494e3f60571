"""How well engines search, on a table of real trainings: `python -m benchmarks.search [--seeds N] [--engines E ...]`.

Nothing is trained: search_table.csv has every configuration that an engine can propose; `--build` makes it in an hour
(benchmarks/search_table.py). The caller sees a keras-tuner oracle in each engine: ours is `tuning.oracle` with its
journal file, the others are keras-tuner's with their JSON files.

An engine has as many epochs as N full trainings take, N = 10, 25, 50, 100; ASHA and Hyperband spend them on more
configurations and fewer epochs of most. It sees each configuration's accuracies for one of the two seeds, drawn by the
seed of the run. Its choice at a moment is, among the configurations that it trained longest, the one with the best
accuracy it has seen; its regret is the accuracy of the best configuration of the table less that of its choice, both
the means of the two seeds after the last epoch.

A configuration lies in the diverging region if it ends below 20 % (chance is 10 %) or without a finite loss, and a
lower learning rate of the same network does not. Repeats are proposals that the run has made before, without those
that Hyperband continues. The overhead is the time in the oracle's calls.

Each search is a row of search_runs.csv, which becomes docs/search.md; rows that are there are not searched again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks import search_table
from benchmarks.search_table import AXES, EPOCHS, SEEDS
from benchmarks.training_runs import append_row, read_rows
from tfcnn.cli.parser import run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import BadInput
from tfcnn.tables import as_markdown

if TYPE_CHECKING:
    import keras_tuner

# keras-tuner imports TensorFlow, which --help and --build's check of the table do without.

MakeOracle = Callable[[int, str], "keras_tuner.Oracle"]  # from the seed and a folder
TRIALS = (10, 25, 50, 100)
REGRETS = [f"regret{trials}" for trials in TRIALS]  # columns of RUNS
FAILING = 0.2  # accuracy below which a network has not learned
RUNS = Path(__file__).with_name("search_runs.csv")
REPORT = Path(__file__).resolve().parents[1] / "docs" / "search.md"


class Table(NamedTuple):
    """The trainings, by the number of the configuration."""

    number: dict[tuple, int]  # values in the order of AXES -> number
    accuracy: np.ndarray  # float (configurations, seeds, epochs), nan where the loss was not finite
    macs: np.ndarray  # int (configurations,)

    @property
    def final(self) -> np.ndarray:
        """Accuracy after the last epoch, the mean of the seeds; 0 where the loss was not finite."""
        return np.nan_to_num(self.accuracy[:, :, -1]).mean(1)

    @property
    def regret(self) -> np.ndarray:
        """The accuracy that the choice of each configuration loses."""
        return self.final.max() - self.final

    @property
    def diverging(self) -> np.ndarray:
        """Whether each configuration fails where a lower learning rate of the same network does not."""
        *_, rates = AXES.values()
        grid = self.final.reshape(-1, len(rates)) < FAILING
        grid |= np.isnan(self.accuracy[:, :, -1]).any(1).reshape(grid.shape)
        learned = np.cumsum(~grid, axis=1) > 0
        return (grid & learned).ravel()


def read_table(path: Path = search_table.PATH) -> Table:
    """The table in a file. Raises BadInput if it lacks trainings."""
    rows = {tuple(row[name] for name in (*AXES, "seed")): row for row in search_table.read_rows(path)}
    points = list(search_table.configurations(AXES))
    needed = [[tuple(map(str, (*point.values(), seed))) for seed in SEEDS] for point in points]
    missing = sum(key not in rows for keys in needed for key in keys)
    if missing:
        raise BadInput(f"'{path}' lacks {missing} trainings: python -m benchmarks.search --build does them")
    epochs = [f"epoch{n}" for n in range(1, EPOCHS + 1)]
    return Table(
        {tuple(point.values()): number for number, point in enumerate(points)},
        np.array([[[float(rows[key][epoch] or "nan") for epoch in epochs] for key in keys] for keys in needed]),
        np.array([int(rows[keys[0]]["macs"]) for keys in needed]),
    )


def make_space() -> keras_tuner.HyperParameters:
    """The axes of the table as hyperparameters: ordered numbers, the optimiser by name."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    for name, values in AXES.items():
        hp.Choice(name, list(values))  # keras-tuner orders numbers
    return hp


def ours(sampler: str, pruner: str = "none", objectives: tuple[str, ...] = ("accuracy",)) -> MakeOracle:
    def make(seed: int, folder: str) -> keras_tuner.Oracle:
        import keras_tuner

        from tuning.oracle import OptunaOracle
        from tuning.study.storage import open_journal

        goals = [keras_tuner.Objective(name, "max" if name == "accuracy" else "min") for name in objectives]
        return OptunaOracle(
            goals if len(goals) > 1 else goals[0],
            sampler=sampler,
            pruner=pruner,
            seed=seed,
            storage=open_journal(f"{folder}/journal.log"),
            hyperparameters=make_space(),
        )

    return make


def theirs(name: str, **arguments: Any) -> MakeOracle:
    """An oracle of keras-tuner, with seeds far apart.

    keras-tuner takes seed 0 for none and adds 1 to its seed with each value it draws, so that runs of neighbouring
    seeds would propose the same a few draws later.
    """

    def make(seed: int, folder: str) -> keras_tuner.Oracle:
        import keras_tuner

        oracle = getattr(keras_tuner.oracles, f"{name}Oracle")(
            objective=keras_tuner.Objective("accuracy", "max"),
            seed=100_000 * (seed + 1),
            hyperparameters=make_space(),
            **arguments,
        )
        oracle._set_project_dir(folder, "search")
        return oracle

    return make


ENGINES = {
    "TPE": ours("tpe"),
    "TPE + ASHA": ours("tpe", "asha"),
    "NSGA-II, accuracy and MACs": ours("nsga2", objectives=("accuracy", "macs")),
    "random": ours("random"),
    "keras-tuner RandomSearch": theirs("RandomSearch", max_trials=max(TRIALS)),
    "keras-tuner BayesianOptimization": theirs("BayesianOptimization", max_trials=max(TRIALS)),
    "keras-tuner Hyperband": theirs("Hyperband", max_epochs=EPOCHS, hyperband_iterations=None),
}


class Run(NamedTuple):
    """One search."""

    regrets: list[float]  # at each of TRIALS
    proposals: int
    diverging: int
    repeats: int
    seconds: float  # in the oracle's calls

    def as_row(self, engine: str, seed: int) -> dict[str, Any]:
        """The row of RUNS."""
        values = self._asdict()
        return {"engine": engine, "seed": seed} | dict(zip(REGRETS, values.pop("regrets"), strict=True)) | values

    @classmethod
    def from_row(cls, row: dict[str, str]) -> Run:
        """The search of a row of RUNS."""
        counts = [int(row[name]) for name in ("proposals", "diverging", "repeats")]
        return cls([float(row[name]) for name in REGRETS], *counts, float(row["seconds"]))


class Replay:
    """Plays the trials of an oracle from the table.

    Attributes:
        used: epochs.
        numbers: of the configurations that were proposed, without those that a trial continues.
        proposals: how many, with those.
        choices: (epochs used, regret) whenever the choice changed.
        seconds: in the oracle's calls.
    """

    def __init__(self, table: Table, oracle: keras_tuner.Oracle, seed: int) -> None:
        self.table = table
        self.oracle = oracle
        self.shown = np.random.default_rng(seed).integers(len(SEEDS), size=len(table.final))  # a seed for each number
        self.goals = [goal.name for goal in getattr(oracle.objective, "objectives", [oracle.objective])]
        self.used = 0
        self.numbers: list[int] = []
        self.proposals = 0
        self.choices: list[tuple[int, float]] = []
        self.seconds = 0.0
        self._best = (0, -math.inf)

    def play(self) -> bool:
        """Play the next trial; returns whether there was one."""
        trial = self._time(self.oracle.create_trial, "tuner")
        if trial.status != "RUNNING":
            return False
        values = trial.hyperparameters.values
        number = self.table.number[tuple(values[name] for name in AXES)]
        first = values.get("tuner/initial_epoch", 0) + 1  # Hyperband's
        last = values.get("tuner/epochs", EPOCHS)
        self.proposals += 1
        if first == 1:
            self.numbers.append(number)
        for epoch in range(first, last + 1):
            accuracy = float(self.table.accuracy[number, self.shown[number], epoch - 1])
            self.used += 1
            trial.status = self._report(trial.trial_id, number, epoch, accuracy, is_last=epoch == last)
            if trial.status != "COMPLETED":
                break
        self._time(self.oracle.end_trial, trial)
        if trial.status != "FAILED" and (epoch, accuracy) > self._best:
            self._best = (epoch, accuracy)
            self.choices.append((self.used, self.table.regret[number]))
        return True

    def _report(self, trial_id: str, number: int, epoch: int, accuracy: float, is_last: bool) -> str:
        """The status of a trial after an epoch."""
        if not math.isfinite(accuracy):
            return "FAILED"
        values = {"accuracy": accuracy, "macs": int(self.table.macs[number])}
        metrics = {name: values[name] for name in self.goals}
        updated = self._time(self.oracle.update_trial, trial_id, metrics, step=epoch)
        return "STOPPED" if updated.status == "STOPPED" and not is_last else "COMPLETED"

    def _time(self, call: Callable, *arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*arguments, **options)
        finally:
            self.seconds += time.perf_counter() - began


def search(table: Table, oracle: keras_tuner.Oracle, seed: int) -> Run:
    """Search with an oracle until its epochs are used up or it has no more to propose."""
    oracle.verbose = 0
    replay = Replay(table, oracle, seed)
    while replay.used < EPOCHS * max(TRIALS) and replay.play():
        pass
    return Run(
        regrets=[regret_at(replay.choices, EPOCHS * trials) for trials in TRIALS],
        proposals=replay.proposals,
        diverging=int(table.diverging[replay.numbers].sum()),
        repeats=len(replay.numbers) - len(set(replay.numbers)),
        seconds=replay.seconds,
    )


def regret_at(choices: list[tuple[int, float]], epochs: int) -> float:
    """The regret of the last choice that was made within `epochs`; of none, 1: an accuracy of 0.

    >>> regret_at([(6, 0.3), (18, 0.1), (30, 0.2)], 20)
    0.1
    """
    return [1.0, *(regret for used, regret in choices if used <= epochs)][-1]


def run_once(table: Table, make_oracle: MakeOracle, seed: int) -> Run:
    """A search with an oracle in a folder that goes with it."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, under BayesianOptimization
        with contextlib.redirect_stdout(io.StringIO()):
            return search(table, make_oracle(seed, folder), seed)


def interval(values: Sequence[float], draws: int = 10_000, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap confidence interval of the median: percentiles of the medians of resampled values."""
    resamples = np.random.default_rng(0).choice(np.asarray(values), (draws, len(values)))
    medians = np.median(resamples, axis=1)
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


HEAD = ["engine", "runs", *(f"regret at {trials}" for trials in TRIALS)]
HEAD += ["configurations", "in the diverging region", "repeats a run", "ms a trial"]


def cells_of(name: str, runs: list[Run]) -> list[str]:
    """The row of an engine, in the order of HEAD."""
    cells = [name, str(len(runs))]
    for column in np.transpose([run.regrets for run in runs]):
        low, high = interval(column)
        cells.append(f"{100 * np.median(column):.2f} ({100 * low:.2f} ... {100 * high:.2f})")
    proposals = sum(run.proposals for run in runs)
    overhead = np.quantile([1000 * run.seconds / run.proposals for run in runs], [0.5, 0.25, 0.75])
    cells.append(f"{np.mean([run.proposals for run in runs]):.0f}")
    cells.append(f"{sum(run.diverging for run in runs) / proposals:.0%}")
    cells.append(f"{np.mean([run.repeats for run in runs]):.1f}")
    cells.append("{:.1f} ({:.1f} ... {:.1f})".format(*overhead))
    return cells


def introduction(table: Table) -> str:
    """The text above the report's table."""
    learned = np.quantile(table.final, [0.5, 0.9, 0.99])
    return f"""# Search

Written by `python -m benchmarks.search`, from benchmarks/search_table.csv: {len(table.final)} small networks, each
trained with {len(SEEDS)} seeds for {EPOCHS} epochs on `digits` (`--build` does that). The best of them has an accuracy
of {table.final.max():.2%}, half are below {learned[0]:.1%}, one in ten is above {learned[1]:.1%} and one in a hundred
above {learned[2]:.1%}; {table.diverging.mean():.0%} lie in the diverging region.

The regret is in points of accuracy (0: the best of the table), after as many epochs as 10, 25, 50 and 100 full
trainings take: medians over the runs, with 95 % bootstrap confidence intervals. The last column has the milliseconds
that an oracle takes for a trial, with the middle half of the runs (on this machine). benchmarks/search.py defines the
terms.
"""


def write_page(table: Table, rows: list[dict[str, str]]) -> None:
    """Write docs/search.md, a line for each engine that has rows."""
    runs = {name: [Run.from_row(row) for row in rows if row["engine"] == name] for name in ENGINES}
    lines = [cells_of(name, searches) for name, searches in runs.items() if searches]
    REPORT.write_text(f"{introduction(table)}\n{as_markdown(HEAD, lines, words=[0])}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", action="store_true", help="train what the table lacks, and end")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES), metavar="ENGINE")
    arguments = parser.parse_args()
    if arguments.build:
        search_table.build()
        return
    table = read_table()
    import_tensorflow()  # keras-tuner would, with its start-up lines
    for name in arguments.engines:
        for seed in range(arguments.seeds):
            done = {(row["engine"], int(row["seed"])) for row in read_rows(RUNS)}
            if (name, seed) not in done:
                append_row(RUNS, run_once(table, ENGINES[name], seed).as_row(name, seed))
    write_page(table, read_rows(RUNS))


if __name__ == "__main__":
    sys.exit(run_main(main))
