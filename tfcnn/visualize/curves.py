"""Learning curves, of one run and of several in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from pipelines.text import plain, plain_names, save
from tfcnn.tasks import TASKS, Headline

# Lines differ in lightness and in dashes: readable without colour vision and on a grey printer.
Style = dict[str, Any]
TRAINING: Style = {"color": "#1b3a6b", "linestyle": "-", "marker": "o"}
VALIDATION: Style = {"color": "#e07b1a", "linestyle": "--", "marker": "s", "markerfacecolor": "white"}
TEST: Style = {"color": "#555555", "linestyle": ":"}
RATE: Style = {"color": "#555555", "linestyle": "-", "marker": "o"}
BEST: Style = {"color": "#999999", "linewidth": 5, "alpha": 0.35}
MARKED = 40  # up to this many epochs each has a marker
LONGEST_TITLE = 100  # characters
LONGEST_RUN = 40


def draw_curves(
    rows: list[dict[str, float]],
    path: str | Path,
    *,
    title: str,
    headline: Headline = TASKS["classification"].headline,
    best: int | None = None,
    test: float | None = None,
) -> None:
    """Draw loss, the metric of the task and learning rate over the epochs.

    Args:
        rows: the lines of history.csv: epoch, loss, accuracy, val_loss, val_accuracy, learning_rate.
        path: where the picture goes, as PNG.
        title: of the picture.
        headline: the metric of the task.
        best: the epoch whose model was kept, marked.
        test: the metric of that model on the test split, a horizontal line.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    loss, metric, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in rows]
    size: Style = {"markersize": 4 if len(epochs) <= MARKED else 0, "linewidth": 1.6}
    for axes, name in ((loss, "loss"), (metric, headline.name)):
        axes.plot(epochs, [row[name] for row in rows], **TRAINING, **size, label="training, augmented")
        axes.plot(epochs, [row[f"val_{name}"] for row in rows], **VALIDATION, **size, label="validation")
    if test is not None:
        metric.axhline(test, **TEST, label=f"test, best model: {headline.form.format(test)}")
    rate.plot(epochs, [row["learning_rate"] for row in rows], **RATE, **size)
    rate.set_ylim(bottom=0)
    losses = [row[name] for row in rows for name in ("loss", "val_loss")]
    if min(losses) > 0 and max(losses) > 50 * min(losses):
        loss.set_yscale("log")
    _label_metric(metric, headline)
    for axes, name in ((loss, "loss"), (metric, headline.label), (rate, "learning rate at the epoch's end")):
        axes.set_title(name, fontsize=11)
        if best is not None:
            axes.axvline(best, **BEST, zorder=0, label=f"best epoch: {best} of {len(rows)}")
        _label_epochs(axes)
    figure.suptitle(plain(title, LONGEST_TITLE), fontsize=13)
    lines, labels = metric.get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=4, frameon=False)
    save(figure, path, dpi=130, format="png")


def _label_metric(axes: Axes, headline: Headline) -> None:
    """Write the values of the vertical axis in the unit of the metric."""
    if "%" in headline.form:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        unit = headline.form.partition("}")[2]
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}" + unit))


def _label_epochs(axes: Axes) -> None:
    """Make epochs the horizontal axis; of a single epoch, too, every number is a whole one."""
    axes.set_xlabel("epoch")
    low, high = axes.get_xlim()
    if high - low < 1:
        axes.set_xlim(low - 0.5, high + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


# Runs differ in colour, in dashes and in marker; the colours are Paul Tol's "bright", from dark to light.
RUN_COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#888888")
RUN_DASHES = ("-", "--", "-.", ":")
RUN_MARKS = "osD^vP*Xp"


def draw_comparison(
    curves: dict[str, list[dict[str, float]]],
    path: str | Path,
    *,
    headline: Headline = TASKS["classification"].headline,
) -> None:
    """Draw the validation loss and metric of several runs over their epochs.

    Args:
        curves: the lines of each run's history.csv, by the name of the run; a run without lines is in the legend only.
        path: where the picture goes, as PNG.
        headline: the metric of the task.
    """
    lines = -(-len(curves) // 3)
    figure = Figure(figsize=(11, 4.2 + 0.22 * lines), layout="constrained")
    loss, metric = figure.subplots(1, 2)
    runs = []  # the line of each in the legend
    for i, (name, rows) in enumerate(curves.items()):
        style: Style = {
            "color": RUN_COLOURS[i % len(RUN_COLOURS)],
            "linestyle": RUN_DASHES[i % len(RUN_DASHES)],
            "marker": RUN_MARKS[i % len(RUN_MARKS)],
            "markersize": 5 if len(rows) <= MARKED else 0,
        }
        epochs = [row["epoch"] for row in rows]
        loss.plot(epochs, [row["val_loss"] for row in rows], **style, label=name)
        runs += metric.plot(epochs, [row[f"val_{headline.name}"] for row in rows], **style, label=name)
    _label_metric(metric, headline)
    for axes, name in ((loss, "validation loss"), (metric, f"validation {headline.label}")):
        axes.set_title(name, fontsize=11)
        _label_epochs(axes)
    names = plain_names(list(curves), LONGEST_RUN)
    figure.legend(runs, names, loc="outside lower center", ncols=3, frameon=False)
    save(figure, path, dpi=130, format="png")
