"""The confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipelines.text import plain, plain_names, save

MOST_NUMBERS = 20  # up to this many classes each cell shows its count
CHARACTERS = 10  # of the title, to an inch of the picture


def draw_confusion(matrix: np.ndarray, class_names: tuple[str, ...], path: str | Path, *, title: str) -> None:
    """Draw a confusion matrix.

    Args:
        matrix: int (classes, classes); row: true class, column: predicted.
        class_names: of the rows and columns.
        path: where the picture goes, as PNG.
        title: of the picture.
    """
    classes = len(class_names)
    side = min(4 + 0.35 * classes, 14)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    figure.suptitle(plain(title, int(CHARACTERS * side)), fontsize=12)
    axes.set(xlabel="predicted", ylabel="true")
    if classes <= MOST_NUMBERS:
        names = plain_names(list(class_names))
        axes.set_xticks(range(classes), names, rotation=0 if max(map(len, class_names)) < 4 else 90)
        axes.set_yticks(range(classes), names)
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour)
    save(figure, path, dpi=110, format="png")
