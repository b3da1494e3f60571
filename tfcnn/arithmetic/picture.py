"""What the first and the last output of a convolution see, as the figures of Dumoulin & Visin (2016) show it."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Patch, Rectangle

from tfcnn.arithmetic.walk import Walk

PIXEL, ZERO, OUTPUT, EDGE = "#c6dbef", "#ffffff", "#e4e4e4", "#999999"
ENDS = {"first": "#cc5522", "last": "#117755"}  # distinct without colour vision, too
MOST_NUMBERS = 16  # places a side up to which the cells show their numbers


def draw_windows(walk: Walk, path: str | Path, *, title: str) -> None:
    """Draw the input with its border and inserted zeros beside the output, two equal axes each.

    The places that an output multiplies with the kernel's values are coloured, the frame is all that the kernel covers.

    Args:
        walk: of one axis.
        path: where the picture goes, in the format of its suffix; PNG where there is none.
        title: above the picture.
    """
    height = max(walk.length, walk.output)
    inches = min(0.6, 5 / height)  # of one place
    widths = [max(side * inches, 2.4) for side in (walk.length, walk.output)]
    figure = Figure(figsize=(sum(widths) + 1.6, height * inches + 1.6), layout="constrained")
    figure.get_layout_engine().set(wspace=0.12)
    left, right = figure.subplots(1, 2, width_ratios=widths)
    _grid(left, walk.length, lambda row, column: _cell(walk, row, column), inches, height)
    _grid(right, walk.output, lambda row, column: (OUTPUT, row * walk.output + column), inches, height)
    left.set_title(_layers(walk), fontsize=10)
    right.set_title(f"output, {walk.output} x {walk.output}", fontsize=10)

    outputs = {"first": 0} if walk.output == 1 else {"first": 0, "last": walk.output - 1}
    for end, output in outputs.items():
        window = walk.window(output)
        colour = ENDS[end]
        for row in window:
            for column in window:
                left.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, alpha=0.45))
        covered = window[-1] - window[0] + 1
        left.add_patch(Rectangle((window[0], window[0]), covered, covered, fill=False, edgecolor=colour, linewidth=2.5))
        right.add_patch(Rectangle((output, output), 1, 1, facecolor=colour, alpha=0.45))
        right.add_patch(Rectangle((output, output), 1, 1, fill=False, edgecolor=colour, linewidth=2.5))
        for edge in (0, 1):  # the corners of the window meet those of the output
            ends = (window[0] + covered, window[0] + covered * edge), (output, output + edge)
            lines = {"color": colour, "linewidth": 1, "linestyle": ":", "alpha": 0.8}
            figure.add_artist(ConnectionPatch(*ends, "data", "data", axesA=left, axesB=right, **lines))

    keys = [Patch(facecolor=PIXEL, edgecolor=EDGE, label="input")]
    if walk.length > walk.size or walk.spacing > 1:
        keys.append(Patch(facecolor=ZERO, edgecolor=EDGE, linestyle="--", label="zero"))
    keys += [
        Patch(facecolor=ENDS[end], alpha=0.45, edgecolor=ENDS[end], label=f"{end} output and what it sees")
        for end in outputs
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False)
    figure.suptitle(title, fontsize=12)
    figure.savefig(path, dpi=130, format=Path(path).suffix.lstrip(".") or "png")


def _cell(walk: Walk, row: int, column: int) -> tuple[str, int | None]:
    """Colour and number of a place; a zero has none."""
    y, x = walk.pixel(row), walk.pixel(column)
    return (ZERO, None) if x is None or y is None else (PIXEL, y * walk.size + x)


def _layers(walk: Walk) -> str:
    zeros = f", {walk.spacing - 1} zero{'s' * (walk.spacing > 2)} between neighbours" if walk.spacing > 1 else ""
    border = f", border {walk.before} + {walk.after}" if walk.before or walk.after else ""
    return f"input, {walk.size} x {walk.size}{zeros}{border}"


def _grid(axes, side, cell, inches, height):
    for row in range(side):
        for column in range(side):
            colour, number = cell(row, column)
            line = {"linestyle": "--" if colour == ZERO else "-", "linewidth": min(1, 2.5 * inches)}
            axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor=EDGE, **line))
            if height <= MOST_NUMBERS and number is not None:
                axes.text(column + 0.5, row + 0.5, number, ha="center", va="center", fontsize=min(11, 22 * inches))
    middle = side / 2
    axes.set(xlim=(-0.1, side + 0.1), ylim=(middle + height / 2 + 0.1, middle - height / 2 - 0.1), aspect="equal")
    axes.axis("off")
