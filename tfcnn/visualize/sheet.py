"""A sheet of examples: a row each, its panels from left to right."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipelines.spectrum import spectrogram
from pipelines.text import elide, plain, save

PANEL = 1.75  # inches
LABEL = 1.25  # inches, for the words at the left
TITLE = 0.3  # inches, for the titles of a row
LONGEST_TITLE = 30  # characters of a line
LONGEST_HEADING = 160  # characters of the picture's title, on as many lines as it needs
LETTERS = 12  # of the heading, in an inch
LINE = 0.17  # inches, of the heading
LONGEST = 22  # characters of a name in the legend
LEGEND_COLUMNS = 4
# By the axes of a batch: how `as_picture` draws what is no image.
DESCRIPTIONS = {3: "; spectra over time, low tones below, of 80 dB", 5: "; of each volume the slice of most contrast"}
Colour = tuple[float, float, float]


class Row(NamedTuple):
    """One example.

    Attributes:
        label: words at its left.
        panels: arrays (height, width) of 0 ... 1 in grey, or (height, width, 3) of 0 ... 1.
        titles: of the panels.
    """

    label: str
    panels: Sequence[np.ndarray]
    titles: Sequence[str] = ()


def draw_sheet(
    rows: Sequence[Row],
    path: Path,
    *,
    title: str,
    legend: Sequence[tuple[str, Colour]] = (),
    note: str = "",
    panel: float = PANEL,
) -> None:
    """Draw a sheet.

    Args:
        rows: the examples.
        path: where the picture goes, as PNG.
        title: of the picture.
        legend: name and colour (0 ... 1) of each class.
        note: a line below the title.
        panel: width of each panel, in inches.
    """
    names = [plain(name, LONGEST) for name, _ in legend]
    lines = -(-len(names) // LEGEND_COLUMNS)
    columns = max(len(row.panels) for row in rows)
    aspects = [min(max(_aspect(row), 0.3), 1.6) for row in rows]
    titled = sum(TITLE for row in rows if row.titles)
    width = LABEL + panel * columns
    heading = [*wrap(elide(title, LONGEST_HEADING), width), *wrap(note, width)]
    margins = 0.56 + LINE * max(len(heading), 2) + 0.22 * lines
    size = (width, panel * sum(aspects) + 0.12 * len(rows) + titled + margins)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False, height_ratios=aspects)
    for place in axes.flat:
        place.set(xticks=[], yticks=[], frame_on=False)
    for row, places in zip(rows, axes, strict=True):
        for pixels, place in zip(row.panels, places, strict=False):
            shades = pixels.clip(0, 1)  # standardised and back, values exceed the range by rounding
            place.imshow(shades, cmap="gray", vmin=0, vmax=1)  # small images in squares, large ones smoothed
            place.set_frame_on(True)
        for words, place in zip(row.titles, places, strict=False):
            place.set_title("\n".join(plain(line, LONGEST_TITLE) for line in words.split("\n")), fontsize=7)
        places[0].set_ylabel(row.label, rotation=0, ha="right", va="center", fontsize=8)
    figure.suptitle("\n".join(heading), fontsize=9)
    if legend:
        patches = [
            Patch(facecolor=colour, edgecolor="#555555", linewidth=0.5, label=name)
            for name, (_, colour) in zip(names, legend, strict=True)
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=LEGEND_COLUMNS, fontsize=8, frameon=False)
    save(figure, path, dpi=110, format="png")


def draw_words(words: str, path: Path, *, title: str) -> None:
    """Draw a sheet that says why it has no example."""
    figure = Figure(figsize=(LABEL + 4 * PANEL, 1.5), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, plain(words, None), ha="center", va="center", fontsize=10)
    figure.suptitle(plain(title, LONGEST_HEADING), fontsize=9)
    save(figure, path, dpi=110, format="png")


def wrap(text: str, width: float) -> list[str]:
    """The lines of a heading of a width in inches.

    >>> wrap("maps before and after $batch$ norm", 1.5)
    ['maps before and', 'after \\\\$batch\\\\$ norm']
    """
    return [plain(line, None) for line in textwrap.wrap(text, int(LETTERS * width))]


def as_picture(example: np.ndarray) -> np.ndarray:
    """What a panel shows of an example in 0 ... 1: an image as it is, of a sound its spectrogram, of a volume a slice.

    Args:
        example: (height, width, channels), (samples, channels) or (depth, height, width, channels).

    Returns:
        (height, width) or (height, width, 3), 0 ... 1. A spectrogram is in decibels, from -80 dB up, low tones below.
    """
    if example.ndim == 2:
        return spectrogram(example.mean(-1))
    if example.ndim == 4:
        example = example[int(example.std((1, 2, 3)).argmax())]
    return example if example.shape[-1] == 3 else example.mean(-1)


def _aspect(row: Row) -> float:
    """Height by width of the first panel."""
    height, width = row.panels[0].shape[:2]
    return height / width
