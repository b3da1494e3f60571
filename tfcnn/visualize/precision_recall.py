"""Precision over recall of each class as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipelines.labelled_boxes import colour_of
from pipelines.text import plain, save

DASHES = ("-", "--", "-.", ":")
LONGEST = 24  # characters of a class in the legend
MOST = 20  # classes in the legend


def draw_precision_recall(
    curves: Mapping[str, Sequence[float]], averages: Mapping[str, float], path: Path, *, title: str
) -> None:
    """Draw the curves.

    Args:
        curves: for each class the best precision at the recalls 0, 0.01, ... 1 or beyond.
        averages: their means, for the legend.
        path: where the picture goes, as PNG.
        title: of the picture.
    """
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    recalls = np.linspace(0, 1, 101)
    for number, (name, precisions) in enumerate(curves.items()):
        label = f"{plain(name, LONGEST)}  {averages[name]:.1%}" if number < MOST else None
        dashes = DASHES[number % len(DASHES)]
        axes.plot(recalls, precisions, dashes, color=colour_of(number), linewidth=1.8, label=label)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision at that recall or a larger one")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(plain(title, 80), fontsize=11)
    figure.legend(loc="outside right upper", fontsize=9, frameon=False, title="class, AP at IoU 0.5")
    save(figure, path, dpi=110, format="png")
