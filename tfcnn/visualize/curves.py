"""Learning curves."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from tfcnn.metrics import HEADLINES, Headline

TRAINING, VALIDATION, TEST = "#4477aa", "#cc6633", "#555555"  # distinct without colour vision, too


def draw_curves(
    rows: list[dict[str, float]],
    path: str | Path,
    *,
    title: str,
    headline: Headline = HEADLINES["classification"],
    test: float | None = None,
) -> None:
    """Draw loss, the metric of the task and learning rate over the epochs.

    Args:
        rows: the lines of history.csv: epoch, loss, accuracy, val_loss, val_accuracy, learning_rate.
        path: where the picture goes, as PNG.
        title: above the picture.
        headline: which metric.
        test: its value on the test split, drawn as a level.
    """
    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    loss, metric, rate = figure.subplots(1, 3)
    for axes, name in ((loss, "loss"), (metric, headline.name)):
        axes.plot(
            epochs,
            [row[name] for row in rows],
            "o-",
            color=TRAINING,
            markersize=3,
            label="training, augmented",
        )
        axes.plot(
            epochs,
            [row[f"val_{name}"] for row in rows],
            "s-",
            color=VALIDATION,
            markersize=3,
            label="validation",
        )
    if test is not None:
        metric.axhline(test, color=TEST, linestyle=":", label=f"test, best model: {headline.form.format(test)}")
    unit = headline.form.partition("}")[2]
    metric.yaxis.set_major_formatter(
        PercentFormatter(1.0) if "%" in headline.form else StrMethodFormatter("{x:g}" + unit)
    )
    rate.plot(epochs, [row["learning_rate"] for row in rows], "o-", color=TEST, markersize=3)
    rate.set_ylim(bottom=0)
    for axes, name in ((loss, "loss"), (metric, headline.label), (rate, "learning rate at the epoch's end")):
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    loss.legend(frameon=False)
    metric.legend(frameon=False, loc="lower right")
    figure.suptitle(title)
    figure.savefig(path, dpi=110, format="png")
