"""`python -m tfcnn.compare RUN RUN ...`: flags and results of several runs, as a table and a picture."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from tfcnn import tables
from tfcnn.cli.parser import Parser, run_main
from tfcnn.config import Config
from tfcnn.errors import BadInput, choose
from tfcnn.files import PNG, check_target, writing
from tfcnn.run_directory import RunDirectory
from tfcnn.tasks import TASKS, Headline, Task
from tfcnn.training.history import best_epoch

# Fields that change no result.
WITHOUT_EFFECT = ("out", "resume", "log", "tensorboard", "profile", "data_dir", "data_memory")


class Column(NamedTuple):
    """A column of a comparison."""

    name: str
    form: Callable[[Any], str] = str  # writes a value
    best: Callable | None = None  # max or min of the values; None where no value is better than another


class Comparison(NamedTuple):
    """Runs of one task: a row of plain values each, None where an unfinished run has none."""

    columns: list[Column]
    rows: list[list[Any]]

    def best(self, column: int) -> Any:
        """The best value of a column; None if the column has none, or all its values are equal."""
        choose_best = self.columns[column].best
        if choose_best is None:
            return None
        values = {row[column] for row in self.rows} - {None}
        return choose_best(values) if len(values) > 1 else None

    def cells(self, best: str, other: str) -> list[list[str]]:
        """The values as text: the best of a column formatted by `best`, "{}*" for example, the others by `other`."""
        best_values = [self.best(i) for i in range(len(self.columns))]
        rows = []
        for row in self.rows:
            cells = []
            for column, value, best_value in zip(self.columns, row, best_values, strict=True):
                form = best if value is not None and value == best_value else other
                cells.append(form.format("-" if value is None else column.form(value)))
            rows.append(cells)
        return rows


def compare(runs: list[RunDirectory]) -> Comparison:
    """Compare runs of one task; an unfinished run has the results in its history.

    Returns:
        Comparison: name; the flags in which the runs differ; epochs done; best epoch and its validation metric; the
        metric of the test split; parameters; MACs; images a second in training; seconds in all.

    Raises:
        BadInput: the runs are of different tasks.
    """
    headline = task_of(runs).headline
    configs = [run.read_config()["config"] for run in runs]
    fields = dict.fromkeys(name for config in configs for name in config if name not in WITHOUT_EFFECT)
    differing = [name for name in fields if any(config.get(name) != configs[0].get(name) for config in configs)]
    results = {
        "best_epoch": Column("best epoch"),
        f"val_{headline.name}": Column(f"val {headline.label}", headline.form.format, max),
        f"test_{headline.name}": Column(f"test {headline.label}", headline.form.format, max),
        "parameters": Column("parameters", "{:,}".format, min),
        "macs": Column("MACs", "{:,}".format, min),
        "images_per_second": Column("images/s", "{:,.0f}".format, max),
        "seconds": Column("seconds", "{:,.0f}".format, min),
    }
    columns = [Column("run"), *map(Column, differing), Column("epochs done"), *results.values()]
    names = [run.path.resolve().name for run in runs]
    rows = []
    for run, config, name in zip(runs, configs, names, strict=True):
        metrics = read_metrics(run, headline)
        epochs = len(run.read_history())
        rows.append(
            [
                name if names.count(name) == 1 else str(run.path),
                *(config.get(field) for field in differing),
                epochs if run.finished else f"{epochs} of {config['epochs']}, unfinished",
                *(metrics.get(key) for key in results),
            ]
        )
    return Comparison(columns, rows)


def compare_seeds(runs: list[RunDirectory]) -> Comparison:
    """Mean and standard deviation (with n - 1) of the finished runs that differ in the seed alone, one of each seed.

    Returns:
        Comparison: a row for each two or more of such runs; name; seeds; the flags in which the rows differ; validation
        metric and metric of the test split, as texts.
    """
    headline = task_of(runs).headline
    groups: dict[str, dict[int, RunDirectory]] = {}
    for run in runs:
        if run.finished:
            of_seed = groups.setdefault(json.dumps(_flags_of(run), sort_keys=True), {})
            of_seed[run.read_config()["config"]["seed"]] = run
    repeated = [list(of_seed.values()) for of_seed in groups.values() if len(of_seed) > 1]
    flags = [_flags_of(group[0]) for group in repeated]
    fields = dict.fromkeys(name for each in flags for name in each)
    differing = [name for name in fields if any(each.get(name) != flags[0].get(name) for each in flags)]
    rows = []
    for group, each in zip(repeated, flags, strict=True):
        names = [run.path.resolve().name for run in group]
        start = os.path.commonprefix(names)  # noqa: RUF071 (of characters)
        seeds = " ".join(str(run.read_config()["config"]["seed"]) for run in group)
        metrics = [run.read_metrics() for run in group]
        values = [_mean_and_spread(metrics, f"{split}_{headline.name}", headline.form) for split in ("val", "test")]
        name = f"{start}*" if start else " ".join(names)
        rows.append([name, seeds, *(each.get(field) for field in differing), *values])
    columns = ["runs", "seeds", *differing, f"val {headline.label}", f"test {headline.label}"]
    return Comparison([Column(name) for name in columns], rows)


def _flags_of(run: RunDirectory) -> dict[str, Any]:
    """The flags of a run that change its result, but for the seed. The rate of --lr auto differs from seed to seed."""
    facts = run.read_config()
    config = Config().to_dict() | facts["config"]  # an earlier version had fewer
    if facts.get("recipe", {}).get("range_test"):
        config["lr"] = "auto"
    return {name: value for name, value in config.items() if name not in (*WITHOUT_EFFECT, "seed")}


def _mean_and_spread(metrics: list[dict[str, Any]], name: str, form: str) -> str:
    values = [each[name] for each in metrics if name in each]
    if len(values) < len(metrics):
        return "-"
    return f"{form.format(statistics.mean(values))} ± {form.format(statistics.stdev(values))}"


def with_seeds(comparison: Comparison, runs: list[RunDirectory], form: str) -> str:
    """The comparison of runs in one of `WRITERS`, and below it, but in CSV, that of runs that differ in the seed."""
    parts = [WRITERS[form](comparison)]
    seeds = compare_seeds(runs)
    if seeds.rows and form != "csv":
        parts.append(WRITERS[form](seeds))
    return "\n\n".join(parts)


def task_of(runs: list[RunDirectory]) -> Task:
    """The task of all runs. Raises BadInput if they are of different tasks."""
    tasks = [run.read_config()["data"]["task"] for run in runs]
    for run, task in zip(runs, tasks, strict=True):
        if task != tasks[0]:
            raise BadInput(
                f"the run in '{runs[0].path}' is for {tasks[0]} and the one in '{run.path}' for {task}: "
                f"give runs of one task (RUN)"
            )
    return TASKS[tasks[0]]


def read_metrics(run: RunDirectory, headline: Headline) -> dict[str, Any]:
    """metrics.json; of an unfinished run, the metrics that config.json and history.csv have."""
    if run.finished:
        return run.read_metrics()
    metrics = dict(run.read_config()["cost"])
    rows = run.read_history()
    if (index := best_epoch(rows)) is not None:
        validation = f"val_{headline.name}"
        metrics["best_epoch"] = rows[index]["epoch"]
        metrics[validation] = rows[index].get(validation)  # None where it is known at the end only
    return metrics


def as_text(comparison: Comparison) -> str:
    """Aligned columns, numbers to the right; the best of a column has a star."""
    heads = [column.name + " " for column in comparison.columns]
    words = [i for i in range(len(heads)) if not all(isinstance(row[i], int | float | None) for row in comparison.rows)]
    return tables.as_text(heads, comparison.cells(best="{}*", other="{} "), words=words)


def as_markdown(comparison: Comparison) -> str:
    """A table for a README; the best of a column is bold."""
    heads = [column.name for column in comparison.columns]
    return tables.as_markdown(heads, comparison.cells(best="**{}**", other="{}"), words=range(len(heads)))


def as_csv(comparison: Comparison) -> str:
    """Plain values for a program; a value that a run does not have is empty."""
    return tables.as_csv([column.name for column in comparison.columns], comparison.rows)


WRITERS = {"text": as_text, "markdown": as_markdown, "csv": as_csv}


def _without_others(paths: list[str]) -> list[str]:
    """The paths without those of other files and folders, as `runs/*` has them, which are named on stderr.

    All paths where none is a run.
    """
    others = [path for path in paths if os.path.exists(path) and not RunDirectory(path).config.is_file()]
    if not others or len(others) == len(paths):
        return paths
    print(f"passed over, because they are no run directories: {', '.join(others)}", file=sys.stderr)
    return [path for path in paths if path not in others]


def main() -> None:
    parser = Parser(prog="python -m tfcnn.compare", description="Flags and results of several runs.")
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run directories of tfcnn.train, finished or not")
    parser.add_argument("--format", default="text", metavar="{" + ",".join(WRITERS) + "}", help="of the table [text]")
    parser.add_argument("--out", metavar="FILE.png", help="draw the validation curves of all runs")
    arguments = parser.parse_args()
    form = choose("format", arguments.format, WRITERS, flag="--format")
    target = None if arguments.out is None else check_target(arguments.out, PNG)
    if target is not None and target.suffix.lower() != ".png":
        raise BadInput(f"--out must be a .png file, got '{arguments.out}'")
    runs = [RunDirectory.open(path) for path in _without_others(list(dict.fromkeys(arguments.runs)))]
    comparison = compare(runs)
    print(with_seeds(comparison, runs, form))
    if target is not None:
        from tfcnn.visualize.curves import draw_comparison  # matplotlib takes a while to import

        curves = {row[0]: run.read_history() for row, run in zip(comparison.rows, runs, strict=True)}
        with writing(target) as path:
            draw_comparison(curves, path, headline=task_of(runs).watched)


if __name__ == "__main__":
    sys.exit(run_main(main))
