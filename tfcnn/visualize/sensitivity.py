"""Accuracy against the sparsity of one layer at a time, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pipelines.labelled_boxes import colour_of
from pipelines.text import plain, save

DASHES = ("-", "--", "-.", ":")
MARKS = "os^vDP*X"
LONGEST = 28  # characters of a layer in the legend


def draw_sensitivity(
    accuracies: Mapping[str, Sequence[float]], sparsities: Sequence[float], path: Path, *, title: str
) -> None:
    """Draw a line for each layer.

    Args:
        accuracies: for each layer, in the order of the network, one accuracy for each sparsity.
        sparsities: shares of the layer's weights that are zero.
        path: where the picture goes, as PNG.
        title: of the picture.
    """
    columns = -(-len(accuracies) // 24)
    figure = Figure(figsize=(8 + 2 * columns, 5.5), layout="constrained")
    axes = figure.subplots()
    for number, (name, values) in enumerate(accuracies.items()):
        style = DASHES[number // len(MARKS) % len(DASHES)] + MARKS[number % len(MARKS)]
        label = plain(name, LONGEST)
        axes.plot(sparsities, values, style, color=colour_of(number), linewidth=1.6, markersize=4.5, label=label)
    axes.set(xlabel="sparsity of this layer alone, without fine-tuning", ylabel="validation accuracy")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(plain(title, 90), fontsize=12)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False, ncols=columns)
    save(figure, path, dpi=120, format="png")
