"""A picture of the effective receptive field and the theoretical one."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1 import make_axes_locatable

from pipelines.text import elide, plain, save
from tfcnn import receptive_field
from tfcnn.errors import BadInput
from tfcnn.files import writing

# Distinct without colour vision, too.
BOX = "#cc5522"
LINE = "#2b6777"
SHADE = "#d3e3e6"
COLOURS = LinearSegmentedColormap.from_list("effect", ["#ffffff", "#a9ced3", "#2b6777", "#0a2a33"])
TITLE_WIDTH = 64  # characters of the title
MOST_LINES = 3
MOST_STEPS = 64  # up to this many pixels a cut has an outline
EFFECTIVE = 1 - 0.9545  # of the largest: Luo et al. (2016), two standard deviations of a Gaussian


def effective_size(field: np.ndarray) -> int:
    """Side of the square with as many pixels as have more than 4.55 % of the largest effect (Luo et al., section 3)."""
    return round(math.sqrt((field > EFFECTIVE * field.max()).sum()))


def draw_field(
    field: np.ndarray, window: tuple[tuple[float, float], tuple[float, float]], path: str | Path, *, title: str
) -> None:
    """Draw the effect of each pixel on one unit, the theoretical field as a frame, and the mean along each axis.

    Args:
        field: (height, width), from `receptive_field.empirical_receptive_field`.
        window: (first, last) row and column of the theoretical field, from `receptive_field.window`; may reach beyond
            the image, or be infinite: the whole image.
        path: where the picture goes, as PNG.
        title: of the picture.
    """
    height, width = field.shape
    whole = any(math.isinf(end) for pair in window for end in pair)
    (top, bottom), (left, right) = ((0, height - 1), (0, width - 1)) if whole else window
    figure = Figure(figsize=(8.4, 8))
    image = figure.subplots()
    panels = make_axes_locatable(image)  # the cuts stay as long as the image's sides, whatever its shape

    image.set_facecolor("#eceff0")  # beyond the image: padding
    shown = image.imshow(field, cmap=COLOURS, norm=PowerNorm(0.5, 0, max(field.max(), 1e-12)))
    frame = Rectangle(
        (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1, fill=False, edgecolor=BOX, linewidth=2
    )
    frame.set_clip_on(False)
    image.add_patch(frame)
    margin = 0.03 * max(height, width, bottom - top, right - left)
    image.set_xlim(min(left, 0) - 0.5 - margin, max(right, width - 1) + 0.5 + margin)
    image.set_ylim(max(bottom, height - 1) + 0.5 + margin, min(top, 0) - 0.5 - margin)
    image.set(xlabel="column", ylabel="row")

    across = panels.append_axes("top", 1.1, pad=0.12, sharex=image)
    down = panels.append_axes("right", 1.1, pad=0.12, sharey=image)
    _draw_cut(across, field.mean(0), (left, right), across.axvline, "vertical")
    _draw_cut(down, field.mean(1), (top, bottom), down.axhline, "horizontal")
    across.set(ylabel="mean", ylim=(0, None), yticks=[])
    down.set(xlabel="mean", xlim=(0, None), xticks=[])
    across.tick_params(labelbottom=False)
    down.tick_params(labelleft=False)
    for axis in (image.xaxis, image.yaxis):
        axis.set_major_locator(MaxNLocator(7, integer=True))
    bar = figure.colorbar(shown, cax=panels.append_axes("right", 0.16, pad=0.25))
    bar.set_label("effect on the unit, mean |gradient| (square-root scale)")
    bar.outline.set_visible(False)

    size = "the whole image" if whole else f"{bottom - top + 1} x {right - left + 1}"
    side = effective_size(field)
    across.set_title(
        f"frame: the theoretical field, {size}; above {EFFECTIVE:.2%} of the largest effect: {side} x {side}",
        fontsize=10,
        color="#555555",
        loc="left",
    )
    lines = textwrap.wrap(elide(title, MOST_LINES * TITLE_WIDTH), TITLE_WIDTH)
    text = "\n".join(plain(line, None) for line in lines)
    figure.suptitle(text, fontsize=14, x=image.get_position().x0, y=0.91, ha="left", va="bottom")
    save(figure, path, dpi=130, format="png", bbox_inches="tight", pad_inches=0.2)


def draw_layer(model: keras.Model, layer: str | None, path: Path, weights: str) -> str:
    """Draw what the centre of a layer sees, and return a sentence about the picture.

    Args:
        model: of images.
        layer: name; None: the last map.
        path: where the picture goes, as PNG.
        weights: whose they are, for the title.

    Raises:
        BadInput: a layer that cannot be drawn, or a file that cannot be written.
    """
    try:
        window = receptive_field.window(model, layer)
        field = receptive_field.empirical_receptive_field(model, layer)
    except ValueError as error:
        raise BadInput(f"--field cannot be drawn: {str(error).replace('layer=', '--layer')}") from error
    if window is None:
        raise BadInput("--field cannot be drawn: the centre of this layer sees nothing (--layer)")
    rows, columns = window
    name = layer or "the last map"
    try:
        with writing(path) as draft:
            draw_field(field, (rows, columns), draft, title=f"{model.name}: what the centre of {name} sees, {weights}")
    except OSError as error:
        raise BadInput(f"--field {path} cannot be written: {error}") from error
    return f"effective receptive field of {name}: {effective_size(field)} pixels a side, drawn in {path}"


def _draw_cut(
    axes: Axes,
    profile: np.ndarray,
    ends: tuple[float, float],
    draw_line: Callable,
    orientation: Literal["vertical", "horizontal"],
) -> None:
    """Draw the mean of the field along one axis, with a line at each end of the theoretical field."""
    edges = np.arange(len(profile) + 1) - 0.5
    axes.stairs(profile, edges, orientation=orientation, fill=True, color=SHADE if len(profile) <= MOST_STEPS else LINE)
    if len(profile) <= MOST_STEPS:
        axes.stairs(profile, edges, orientation=orientation, color=LINE, linewidth=1)
    for end in (ends[0] - 0.5, ends[1] + 0.5):
        draw_line(end, color=BOX, linewidth=1.5)
    axes.spines[["top", "right"]].set_visible(False)
