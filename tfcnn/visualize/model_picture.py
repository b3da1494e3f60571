"""A network as a picture: its stages as blocks with their shapes, and what each holds and computes as bars."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import keras
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipelines.text import plain, save
from tfcnn.cost import Row, cost_table

BLOCK = "#4477aa"
BARS = {"values": "#66ccee", "parameters": "#228833", "macs": "#ee6677"}
NAMES = {"values": "data: values of the maps", "parameters": "parameters", "macs": "MACs"}


class Stage(NamedTuple):
    """Layers one after the other whose outputs have one resolution.

    Attributes:
        shape: of the last output, without the batch.
        layers: how many with weights.
        values: of all outputs together: what a training step keeps.
        parameters, macs: of all its layers.
    """

    shape: tuple[int, ...]
    layers: int
    values: int
    parameters: int
    macs: int


def stages(model: keras.Model) -> list[Stage]:
    """The stages of a model of known sizes, from the input to the output.

    Raises:
        ValueError: a size that is not known.

    >>> from keras import layers
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, 2), layers.Flatten(), layers.Dense(5)])
    >>> stages(model)  # doctest: +NORMALIZE_WHITESPACE
    [Stage(shape=(3, 3, 4), layers=1, values=36, parameters=112, macs=972),
     Stage(shape=(5,), layers=1, values=41, parameters=185, macs=180)]
    """
    groups: list[list[Row]] = [[]]
    for row in cost_table(model).rows:
        same = not groups[-1] or groups[-1][-1].output_shape[:-1] == row.output_shape[:-1]
        holds_weights = any(other.params for other in groups[-1])
        if same or not holds_weights:  # a border and a pooling belong to the layers after them
            groups[-1].append(row)
        else:
            groups.append([row])
    return [_stage(rows) for rows in groups]


def _stage(rows: list[Row]) -> Stage:
    shapes = [tuple(side for side in row.output_shape if side is not None) for row in rows]
    return Stage(
        shapes[-1],
        len([row for row in rows if row.params]),
        sum(map(math.prod, shapes)),
        sum(row.params for row in rows),
        sum(row.macs for row in rows),
    )


def draw_model(model: keras.Model, path: Path, *, title: str) -> None:
    """Draw the stages: blocks as high as their maps and as wide as their channels, on logarithmic scales, and bars.

    Args:
        model: as of `stages`.
        path: where the picture goes, as PNG.
        title: of the picture.
    """
    rows = stages(model)
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(rows)), layout="constrained")
    blocks, *bars = figure.subplots(1, 4, width_ratios=(1.7, 1, 1, 1), sharey=True)
    _draw_blocks(blocks, rows)
    for axes, (field, colour) in zip(bars, BARS.items(), strict=True):
        numbers = [getattr(row, field) for row in rows]
        axes.barh(range(len(rows)), numbers, color=colour, height=0.7)
        for place, number in enumerate(numbers):
            axes.text(number, place, f" {shorten(number)}", va="center", fontsize=8)
        axes.set_xlim(0, 1.3 * max(*numbers, 1))
        axes.set_title(f"{NAMES[field]}\n{sum(numbers):,}", fontsize=9)
        axes.set_xticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.tick_params(left=False)
    figure.suptitle(plain(title, 100), fontsize=11)
    save(figure, path, dpi=110, format="png")


def _draw_blocks(axes: Axes, rows: list[Stage]) -> None:
    """A block a stage: its height is that of the map, its width the channels."""
    tallest = max(math.log2(1 + row.shape[0]) if len(row.shape) > 1 else 0 for row in rows) or 1
    widest = max(math.log2(1 + row.shape[-1]) for row in rows)
    for place, row in enumerate(rows):
        side = row.shape[0] if len(row.shape) > 1 else 1
        height = 0.15 + 0.65 * math.log2(1 + side) / tallest
        width = 0.05 + 0.95 * math.log2(1 + row.shape[-1]) / widest
        axes.add_patch(Rectangle((0, place - height / 2), width, height, facecolor=BLOCK, edgecolor="white"))
        shape = " x ".join(map(str, row.shape))
        layers = f"{row.layers} layer{'' if row.layers == 1 else 's'}" if row.layers else "no weights"
        axes.text(1.06, place, f"{shape}\n{layers}", va="center", fontsize=8)
    axes.set_xlim(0, 1.9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_title("output: height by its map, width by its channels", fontsize=9, loc="left")
    axes.set_axis_off()


def shorten(number: int) -> str:
    """
    >>> shorten(950), shorten(86704128), shorten(3600000000)
    ('950', '86.7 M', '3.6 G')
    """
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
