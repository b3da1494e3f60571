"""How well engines search, on a table of real trainings: `python -m benchmarks.search [--seeds N] [--engines E ...]`.

Nothing is trained: every configuration that an engine can propose stands in search_table.csv, which `--build` makes
(benchmarks/search_table.py; an hour). All engines are keras-tuner oracles to the caller: ours is `tuning.oracle`, with
its journal file, the others are keras-tuner's own, with their JSON files.

An engine has as many epochs as N full trainings take, N = 10, 25, 50, 100; ASHA and Hyperband spend them on more
configurations and fewer epochs of most. Of each configuration it sees the accuracies of one of the two seeds, which the
seed of the run draws. Its choice at a moment is, among the configurations that it trained longest, the one with the
best accuracy that it saw; its regret is the accuracy of the best configuration of the table less that of its choice,
both the means of the two seeds after the last epoch.

A configuration lies in the diverging region if it ends below 20 % (chance is 10 %) or without a finite loss, and a
lower learning rate of the same network does not. Repeats are proposals of what the run proposed before, without those
that Hyperband goes on with. The overhead is the time in the oracle's calls. Engines that are slow have fewer runs: as
many as `--minutes` allow.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import search_table
from benchmarks.search_table import AXES, EPOCHS, SEEDS
from tfcnn.cli.parser import run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import BadInput

TRIALS = (10, 25, 50, 100)
FAILING = 0.2  # accuracy below which a network has not learned
REPORT = Path(__file__).resolve().parents[1] / "docs" / "search.md"


class Table(NamedTuple):
    """The trainings, by the number of the configuration."""

    number: dict[tuple, int]  # values in the order of AXES -> number
    accuracy: np.ndarray  # float (configurations, seeds, epochs), nan where the loss was not finite
    macs: np.ndarray  # int (configurations,)

    @property
    def final(self) -> np.ndarray:
        """Accuracy after the last epoch, the mean of the seeds; one that is not finite counts as 0."""
        return np.nan_to_num(self.accuracy[:, :, -1]).mean(1)

    @property
    def regret(self) -> np.ndarray:
        """What the choice of each configuration costs, in accuracy."""
        return self.final.max() - self.final

    @property
    def diverging(self) -> np.ndarray:
        """Whether each configuration fails where a lower learning rate of the same network does not."""
        *_, rates = AXES.values()
        grid = self.final.reshape(-1, len(rates)) < FAILING
        grid |= np.isnan(self.accuracy[:, :, -1]).any(1).reshape(grid.shape)
        learned = np.cumsum(~grid, axis=1) > 0
        return (grid & learned).ravel()


def read(path: Path = search_table.PATH) -> Table:
    """The table in a file. Raises BadInput if it lacks trainings."""
    rows = {tuple(row[name] for name in (*AXES, "seed")): row for row in search_table.rows(path)}
    points = list(search_table.configurations(AXES))
    needed = [[tuple(map(str, (*point.values(), seed))) for seed in SEEDS] for point in points]
    if missing := sum(key not in rows for keys in needed for key in keys):
        raise BadInput(f"'{path}' lacks {missing} trainings: python -m benchmarks.search --build does them")
    epochs = [f"epoch{n}" for n in range(1, EPOCHS + 1)]
    return Table(
        {tuple(point.values()): number for number, point in enumerate(points)},
        np.array([[[float(rows[key][epoch] or "nan") for epoch in epochs] for key in keys] for keys in needed]),
        np.array([int(rows[keys[0]]["macs"]) for keys in needed]),
    )


def space():
    """The axes of the table as keras-tuner's hyperparameters: numbers in their order, the optimiser by name."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    for name, values in AXES.items():
        hp.Choice(name, list(values), **({} if isinstance(values[0], str) else {"ordered": True}))
    return hp


def ours(sampler: str, pruner: str = "none", objectives: tuple[str, ...] = ("accuracy",)) -> Callable:
    """A function (seed, folder) -> OptunaOracle."""

    def make(seed, folder):
        import keras_tuner

        from tuning.oracle import OptunaOracle
        from tuning.study.storage import journal

        goals = [keras_tuner.Objective(name, "max" if name == "accuracy" else "min") for name in objectives]
        return OptunaOracle(
            goals if len(goals) > 1 else goals[0],
            sampler=sampler,
            pruner=pruner,
            seed=seed,
            storage=journal(f"{folder}/journal.log"),
            hyperparameters=space(),
        )

    return make


def theirs(name: str, **arguments) -> Callable:
    """A function (seed, folder) -> an oracle of keras-tuner.

    keras-tuner takes seed 0 for none, and counts its seed up with each value that it draws: runs of neighbouring seeds
    would propose the same, a few draws later.
    """

    def make(seed, folder):
        import keras_tuner

        oracle = getattr(keras_tuner.oracles, f"{name}Oracle")(
            objective=keras_tuner.Objective("accuracy", "max"),
            seed=100_000 * (seed + 1),
            hyperparameters=space(),
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


def search(table: Table, oracle, seed: int) -> Run:
    """Search with an oracle until its epochs are used up or it has no more to propose."""
    seen = np.random.default_rng(seed).integers(len(SEEDS), size=len(table.final))  # which seed each one shows
    names = [objective.name for objective in getattr(oracle.objective, "objectives", [oracle.objective])]
    used, clock, best, choices, proposed, proposals = 0, Clock(), (0, -np.inf), [], [], 0
    oracle.verbose = 0
    while used < EPOCHS * max(TRIALS):
        with clock:
            trial = oracle.create_trial("tuner")
        if trial.status != "RUNNING":
            break
        values = trial.hyperparameters.values
        number = table.number[tuple(values[name] for name in AXES)]
        first, last = values.get("tuner/initial_epoch", 0) + 1, values.get("tuner/epochs", EPOCHS)
        proposals += 1
        if first == 1:
            proposed.append(number)
        for epoch in range(first, last + 1):
            used += 1
            accuracy = table.accuracy[number, seen[number], epoch - 1]
            trial.status = "COMPLETED" if np.isfinite(accuracy) else "FAILED"
            if trial.status == "COMPLETED":
                known = {"accuracy": float(accuracy), "macs": int(table.macs[number])}
                with clock:
                    told = oracle.update_trial(trial.trial_id, {name: known[name] for name in names}, step=epoch)
                if told.status == "STOPPED" and epoch < last:
                    trial.status = "STOPPED"
            if trial.status != "COMPLETED":
                break
        with clock:
            oracle.end_trial(trial)
        if trial.status != "FAILED" and (epoch, accuracy) > best:
            best = epoch, accuracy
            choices.append((used, table.regret[number]))
    return Run(
        [chosen(choices, EPOCHS * trials) for trials in TRIALS],
        proposals,
        int(table.diverging[proposed].sum()),
        len(proposed) - len(set(proposed)),
        clock.seconds,
    )


def chosen(choices: list[tuple[int, float]], epochs: int) -> float:
    """The regret of the last choice that was made within `epochs`; of none, 1: an accuracy of 0.

    >>> chosen([(6, 0.3), (18, 0.1), (30, 0.2)], 20)
    0.1
    """
    return [1.0, *(regret for used, regret in choices if used <= epochs)][-1]


class Clock:
    """A context that adds up the seconds within it."""

    seconds = 0.0

    def __enter__(self):
        self.began = time.perf_counter()

    def __exit__(self, *error):
        self.seconds += time.perf_counter() - self.began


def runs_of(table: Table, make: Callable, seeds: int, minutes: float) -> list[Run]:
    """Searches with seeds 0, 1, ...; no new one after `minutes`."""
    found, began = [], time.monotonic()
    for seed in range(seeds):
        if found and time.monotonic() - began > 60 * minutes:
            break
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's, under BayesianOptimization
            with contextlib.redirect_stdout(io.StringIO()):
                found.append(search(table, make(seed, folder), seed))
    return found


def interval(values, draws: int = 10_000, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap confidence interval of the median: percentiles of the medians of resampled values."""
    values = np.asarray(values)
    medians = np.median(np.random.default_rng(0).choice(values, (draws, len(values))), axis=1)
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


HEAD = (
    *("engine", "runs", *(f"regret at {trials}" for trials in TRIALS), "configurations", "in the diverging region"),
    *("repeats a run", "ms a trial"),
)


def row(name: str, runs: list[Run]) -> list[str]:
    """A line of the report."""
    cells = []
    for column in np.transpose([run.regrets for run in runs]):
        low, high = interval(column)
        cells.append(f"{100 * np.median(column):.2f} ({100 * low:.2f} ... {100 * high:.2f})")
    proposals = sum(run.proposals for run in runs)
    overhead = np.quantile([1000 * run.seconds / run.proposals for run in runs], [0.5, 0.25, 0.75])
    return [
        *(name, str(len(runs)), *cells, f"{np.mean([run.proposals for run in runs]):.0f}"),
        f"{sum(run.diverging for run in runs) / proposals:.0%}",
        f"{np.mean([run.repeats for run in runs]):.1f}",
        "{:.1f} ({:.1f} ... {:.1f})".format(*overhead),
    ]


def introduction(table: Table) -> str:
    learned = np.quantile(table.final, [0.5, 0.9, 0.99])
    return f"""# Search

Written by `python -m benchmarks.search`, from benchmarks/search_table.csv: {len(table.final)} small networks, each
trained with {len(SEEDS)} seeds for {EPOCHS} epochs on `digits` (`--build` does that). The best of them has an accuracy
of {table.final.max():.2%}, half are below {learned[0]:.1%}, one in ten is above {learned[1]:.1%} and one in a hundred
above {learned[2]:.1%}; {table.diverging.mean():.0%} lie in the diverging region.

Medians over the runs of the regret in points of accuracy (0: the best of the table) when as many epochs are used as
10, 25, 50 and 100 full trainings take, with 95 % bootstrap confidence intervals; the milliseconds of an oracle's calls
for a trial, with the middle half of the runs (of this machine and of this moment). What each word means is said in
benchmarks/search.py.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", action="store_true", help="train what the table lacks, and do no more")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60, help="for the runs of one engine [%(default)g]")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES), metavar="ENGINE")
    given = parser.parse_args()
    if given.build:
        search_table.build()
        return
    table = read()
    import_tensorflow()  # under keras-tuner
    lines = [introduction(table), "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    print(*lines, sep="\n", flush=True)
    for name in given.engines:
        lines.append("| " + " | ".join(row(name, runs_of(table, ENGINES[name], given.seeds, given.minutes))) + " |")
        print(lines[-1], flush=True)
    if given.engines == list(ENGINES):
        REPORT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(run_main(main))
