"""`python -m tfcnn.compare RUN RUN ...`: what differs between runs, and what came of it, as a table and a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tfcnn import tables
from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import BadInput, choose
from tfcnn.files import writing
from tfcnn.run_directory import RunDirectory

FORMATS = ("text", "markdown", "csv")
OF_NO_ACCOUNT = ("out", "resume", "tensorboard", "profile", "data_dir", "data_memory")  # fields that change no result


class Column(NamedTuple):
    """A column of a comparison: its heading, how a value is written, and max or min if one is the best."""

    name: str
    form: Callable[[Any], str] = str
    better: Callable | None = None


class Comparison(NamedTuple):
    """Runs of one task beside each other: a row of plain values for each, None where a run has none yet."""

    columns: list[Column]
    rows: list[list[Any]]

    def best(self, column: int) -> Any:
        """The best value of a column; None if it has no better and worse, or only one value."""
        better = self.columns[column].better
        values = {row[column] for row in self.rows} - {None} if better else ()
        return better(values) if len(values) > 1 else None

    def cells(self, best: str, other: str) -> list[list[str]]:
        """The values as text: the best of a column in the form `best`, "{}*" for example, the others in `other`."""
        bests = [self.best(i) for i in range(len(self.columns))]
        rows = []
        for row in self.rows:
            cells = []
            for column, value, most in zip(self.columns, row, bests, strict=True):
                form = best if value is not None and value == most else other
                cells.append(form.format("-" if value is None else column.form(value)))
            rows.append(cells)
        return rows


def compare(runs: list[RunDirectory]) -> Comparison:
    """Compare runs of one task; of one that is not finished, what its history has.

    Returns:
        Comparison: name; the flags in which the runs differ; epochs done; best epoch and its validation metric; the
        metric of the test split; parameters; MACs; images a second in training; seconds in all.

    Raises:
        BadInput: the runs are of different tasks.
    """
    headline = _headline(runs)
    configs = [run.read_config()["config"] for run in runs]
    fields = dict.fromkeys(name for config in configs for name in config if name not in OF_NO_ACCOUNT)
    differing = [name for name in fields if any(config.get(name) != configs[0].get(name) for config in configs)]
    percent = headline.form.format
    columns = [
        *[Column("run"), *(Column(name) for name in differing), Column("epochs done"), Column("best epoch")],
        *[Column(f"val {headline.label}", percent, max), Column(f"test {headline.label}", percent, max)],
        *[Column("parameters", "{:,}".format, min), Column("MACs", "{:,}".format, min)],
        *[Column("images/s", "{:,.0f}".format, max), Column("seconds", "{:,.0f}".format, min)],
    ]
    names = [run.path.resolve().name for run in runs]
    rows = []
    for run, config, name in zip(runs, configs, names, strict=True):
        found = _found(run, headline.name)
        done = len(run.read_history())
        rows.append(
            [
                name if names.count(name) == 1 else str(run.path),
                *(config.get(field) for field in differing),
                done if run.metrics.exists() else f"{done} of {config['epochs']}, unfinished",
                *(found.get(key) for key in ("best_epoch", f"val_{headline.name}", f"test_{headline.name}")),
                *(found.get(key) for key in ("parameters", "macs", "images_per_second", "seconds")),
            ]
        )
    return Comparison(columns, rows)


def _headline(runs):
    """The metric of the task of all runs."""
    from tfcnn.tasks import HEADLINES

    tasks = [run.read_config()["data"]["task"] for run in runs]
    for run, task in zip(runs, tasks, strict=True):
        if task != tasks[0]:
            raise BadInput(
                f"the run in '{runs[0].path}' is for {tasks[0]} and the one in '{run.path}' for {task}: "
                f"give runs of one task (RUN)"
            )
    return HEADLINES[tasks[0]]


def _found(run, metric) -> dict[str, Any]:
    """metrics.json, or as much of it as config.json and history.csv give."""
    from tfcnn.training.history import best_epoch

    if run.metrics.exists():
        return run.read_metrics()
    found, rows = dict(run.read_config()["cost"]), run.read_history()
    if (best := best_epoch(rows)) is not None:
        found |= {"best_epoch": rows[best]["epoch"], f"val_{metric}": rows[best][f"val_{metric}"]}
    return found


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
    """Plain values for a program, empty where there is none."""
    return tables.as_csv([column.name for column in comparison.columns], comparison.rows)


def main() -> None:
    parser = Parser(prog="python -m tfcnn.compare", description=__doc__.split("`: ")[1])
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run directories of tfcnn.train, finished or not")
    parser.add_argument("--format", default="text", metavar="{" + ",".join(FORMATS) + "}", help="of the table [text]")
    parser.add_argument("--out", metavar="FILE.png", help="draw the validation curves of all runs")
    given = parser.parse_args()
    choose("format", given.format, FORMATS, flag="--format")
    runs = [RunDirectory.opened(path) for path in dict.fromkeys(given.runs)]
    import_tensorflow()
    comparison = compare(runs)
    print({"text": as_text, "markdown": as_markdown, "csv": as_csv}[given.format](comparison))
    if given.out:
        from tfcnn.visualize.curves import draw_comparison

        curves = {row[0]: run.read_history() for row, run in zip(comparison.rows, runs, strict=True)}
        with writing(Path(given.out)) as path:
            draw_comparison(curves, path, headline=_headline(runs))


if __name__ == "__main__":
    sys.exit(run_main(main))
