"""Small maps with their values written in the cells, as lectures and textbooks print them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from pipelines.text import plain

CELL = 0.42  # inches
MARGIN = 0.06  # inches
TITLE = 0.3  # inches
LETTER = 0.085  # inches of a title's letter
COLOURS = "RdBu_r"  # white at 0
LIGHTNESS = 1.6  # the largest value has so much less than the full colour: black numbers can be read on it


def draw_number_maps(maps: Mapping[str, np.ndarray], *, digits: int = 2, cell: float = CELL) -> Figure:
    """Draw maps from left to right, each under its title; zeros are white, larger absolute values darker.

    Args:
        maps: title and values (rows, columns) of each; a vector is one row.
        digits: decimals of a value, without trailing zeros.
        cell: side of a cell, in inches.

    Raises:
        ValueError: no maps, or one that has neither one nor two axes.
    """
    arrays = {title: np.asarray(values) for title, values in maps.items()}
    if not arrays or any(values.ndim not in (1, 2) for values in arrays.values()):
        shapes = {title: values.shape for title, values in arrays.items()}
        raise ValueError(f"maps must have one or two axes, one map or more; got {shapes}")
    arrays = {title: np.atleast_2d(values) for title, values in arrays.items()}
    widths = [max(values.shape[1], LETTER * len(title) / cell) + 0.8 for title, values in arrays.items()]
    height = max(len(values) for values in arrays.values())
    figure = Figure(figsize=(sum(widths) * cell + 2 * MARGIN, height * cell + TITLE + 2 * MARGIN))
    place = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    place.set(
        xlim=(-MARGIN / cell, sum(widths) + MARGIN / cell),
        ylim=(height + MARGIN / cell, -(TITLE + MARGIN) / cell),
    )
    place.axis("off")
    start = 0.0
    for (title, values), width in zip(arrays.items(), widths, strict=True):
        left = start + (width - values.shape[1]) / 2
        top = (height - len(values)) / 2
        limit = LIGHTNESS * max(float(np.abs(values).max()), 1e-12)
        columns = left + np.arange(values.shape[1] + 1)
        rows = top + np.arange(len(values) + 1)
        place.pcolormesh(
            columns, rows, values, cmap=COLOURS, vmin=-limit, vmax=limit, edgecolors="#999999", linewidth=0.6
        )
        for (row, column), value in np.ndenumerate(values):
            text = f"{round(float(value), digits) + 0.0:g}"
            place.text(left + column + 0.5, top + row + 0.5, text, ha="center", va="center", fontsize=23 * cell)
        place.text(start + width / 2, top - 0.08 / cell, plain(title), ha="center", va="bottom", fontsize=10)
        start += width
    return figure
