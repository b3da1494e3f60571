"""What the first and the last output of a convolution see, as the figures of Dumoulin & Visin (2016) show it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import ConnectionPatch, Patch, Rectangle

from tfcnn.arithmetic.walk import Walk

PIXEL = "#c6dbef"
ZERO = "#ffffff"
OUTPUT = "#e4e4e4"
EDGE = "#999999"
ENDS = {"first": "#cc5522", "last": "#117755"}  # distinct without colour vision, too
MOST_NUMBERS = 16  # places a side up to which the cells show their numbers


def draw_windows(walk: Walk, path: str | Path, *, title: str) -> None:
    """Write the picture of `window_figure` to a file, in the format of its suffix; PNG where there is none."""
    window_figure(walk, title=title).savefig(path, dpi=130, format=Path(path).suffix.lstrip(".") or "png")


def window_figure(walk: Walk, *, title: str) -> Figure:
    """Draw the input with its border and inserted zeros, and the output to its right, with two equal axes each.

    The places that an output multiplies with the kernel's values are coloured; a frame shows all that the kernel
    covers.

    Args:
        walk: the kernel's walk along one axis.
        title: text above the picture.
    """
    height = max(walk.length, walk.output)
    inches = min(0.6, 5 / height)  # of one place
    widths = [max(side * inches, 2.4) for side in (walk.length, walk.output)]
    layout = ConstrainedLayoutEngine(wspace=0.12)
    figure = Figure(figsize=(sum(widths) + 1.6, height * inches + 1.6), layout=layout)
    left, right = figure.subplots(1, 2, width_ratios=widths)
    _draw_cells(left, _input_cells(walk), inches, height)
    _draw_cells(right, _output_cells(walk), inches, height)
    left.set_title(_describe_input(walk), fontsize=10)
    right.set_title(f"output, {walk.output} x {walk.output}", fontsize=10)

    outputs = {"first": 0} if walk.output == 1 else {"first": 0, "last": walk.output - 1}
    for end, output in outputs.items():
        _draw_window(left, right, walk.window(output), output, ENDS[end])

    keys = [Patch(facecolor=PIXEL, edgecolor=EDGE, label="input")]
    if walk.length > walk.size or walk.spacing > 1:
        keys.append(Patch(facecolor=ZERO, edgecolor=EDGE, linestyle="--", label="zero"))
    keys += [
        Patch(facecolor=ENDS[end], alpha=0.45, edgecolor=ENDS[end], label=f"{end} output and what it sees")
        for end in outputs
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False)
    figure.suptitle(title, fontsize=12)
    return figure


class Cell(NamedTuple):
    """One place of a map: its colour, and the number shown in it; a zero has none."""

    colour: str
    number: int | None


def _input_cells(walk: Walk) -> list[list[Cell]]:
    pixels = [walk.pixel(place) for place in range(walk.length)]
    return [[_input_cell(walk, y, x) for x in pixels] for y in pixels]


def _input_cell(walk: Walk, y: int | None, x: int | None) -> Cell:
    return Cell(ZERO, None) if x is None or y is None else Cell(PIXEL, y * walk.size + x)


def _output_cells(walk: Walk) -> list[list[Cell]]:
    side = walk.output
    return [[Cell(OUTPUT, row * side + column) for column in range(side)] for row in range(side)]


def _describe_input(walk: Walk) -> str:
    zeros = f", {walk.spacing - 1} zero{'s' if walk.spacing > 2 else ''} between neighbours" if walk.spacing > 1 else ""
    border = f", border {walk.before} + {walk.after}" if walk.before or walk.after else ""
    return f"input, {walk.size} x {walk.size}{zeros}{border}"


def _draw_cells(axes: Axes, cells: list[list[Cell]], inches: float, height: int) -> None:
    """A square map whose places are `inches` wide, centred in `height` places."""
    side = len(cells)
    for row, column in itertools.product(range(side), range(side)):
        cell = cells[row][column]
        style = "--" if cell.colour == ZERO else "-"
        width = min(1, 2.5 * inches)
        axes.add_patch(
            Rectangle((column, row), 1, 1, facecolor=cell.colour, edgecolor=EDGE, linestyle=style, linewidth=width)
        )
        if height <= MOST_NUMBERS and cell.number is not None:
            size = min(11, 22 * inches)
            axes.text(column + 0.5, row + 0.5, str(cell.number), ha="center", va="center", fontsize=size)
    middle = side / 2
    axes.set(xlim=(-0.1, side + 0.1), ylim=(middle + height / 2 + 0.1, middle - height / 2 - 0.1), aspect="equal")
    axes.axis("off")


def _draw_window(left: Axes, right: Axes, window: range, output: int, colour: str) -> None:
    """One output, what it multiplies and what the kernel covers, with lines between their corners."""
    for row, column in itertools.product(window, window):
        left.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, alpha=0.45))
    first = window[0]
    covered = window[-1] - first + 1
    left.add_patch(Rectangle((first, first), covered, covered, fill=False, edgecolor=colour, linewidth=2.5))
    right.add_patch(Rectangle((output, output), 1, 1, facecolor=colour, alpha=0.45))
    right.add_patch(Rectangle((output, output), 1, 1, fill=False, edgecolor=colour, linewidth=2.5))
    for edge in (0, 1):
        right.figure.add_artist(
            ConnectionPatch(
                xyA=(first + covered, first + covered * edge),
                xyB=(output, output + edge),
                coordsA="data",
                coordsB="data",
                axesA=left,
                axesB=right,
                color=colour,
                linewidth=1,
                linestyle=":",
                alpha=0.8,
            )
        )
