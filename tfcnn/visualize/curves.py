"""Learning curves."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

TRAINING, VALIDATION, TEST = "#4477aa", "#cc6633", "#555555"  # distinct without colour vision, too


def draw_curves(
    rows: list[dict[str, float]], path: str | Path, *, title: str, test_accuracy: float | None = None
) -> None:
    """Draw loss, accuracy and learning rate over the epochs.

    Args:
        rows: the lines of history.csv: epoch, loss, accuracy, val_loss, val_accuracy, learning_rate.
        path: where the picture goes, as PNG.
        title: above the picture.
        test_accuracy: drawn as a level.
    """
    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
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
    if test_accuracy is not None:
        label = f"test, best model: {test_accuracy:.1%}"
        accuracy.axhline(test_accuracy, color=TEST, linestyle=":", label=label)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    rate.plot(epochs, [row["learning_rate"] for row in rows], "o-", color=TEST, markersize=3)
    rate.set_ylim(bottom=0)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy"), (rate, "learning rate at the epoch's end")):
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    loss.legend(frameon=False)
    accuracy.legend(frameon=False, loc="lower right")
    figure.suptitle(title)
    figure.savefig(path, dpi=110, format="png")
