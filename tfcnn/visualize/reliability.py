"""Accuracy over confidence as a picture: Guo et al., "On calibration of modern neural networks" (2017), figure 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipelines.text import plain, save

if TYPE_CHECKING:
    from tfcnn.calibration import Bin

ACCURACY = "#7d97c2"
GAP = "#e07b1a"
EDGE = "#1b3a6b"
IDEAL = {"color": "#555555", "linestyle": ":", "linewidth": 1.6}
LONGEST_TITLE = 70  # characters


def draw_reliability(bins: Sequence[Bin], path: Path, *, title: str, note: str) -> None:
    """Draw the accuracy of each bin, its distance from the mean confidence, and below the number of its examples.

    Args:
        bins: from the lowest confidence to the highest.
        path: where the picture goes, as PNG.
        title: of the picture.
        note: a line below the title.
    """
    figure = Figure(figsize=(6, 6.4), layout="constrained")
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    full = [row for row in bins if row.examples]
    confidences = [row.confidence for row in full]
    accuracies = [row.accuracy for row in full]
    width = bins[0].high - bins[0].low
    bars = {"width": width, "align": "edge", "edgecolor": EDGE, "linewidth": 0.8}
    shares.bar([row.low for row in full], accuracies, color=ACCURACY, **bars, label="accuracy")
    shares.plot([0, 1], [0, 1], **IDEAL, label="accuracy = confidence")
    shares.vlines(
        confidences, accuracies, confidences, color=GAP, linewidth=2.5, label="distance from the mean confidence"
    )
    shares.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    counts.bar([row.low for row in bins], [row.examples for row in bins], color=ACCURACY, **bars)
    counts.set(xlabel="confidence: probability of the predicted class", ylabel="examples")
    counts.xaxis.set_major_formatter(PercentFormatter(1.0))
    shares.yaxis.set_major_formatter(PercentFormatter(1.0))
    counts.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    for axes in (shares, counts):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*shares.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle(f"{plain(title, LONGEST_TITLE)}\n{note}", fontsize=10)
    save(figure, path, dpi=110, format="png")
