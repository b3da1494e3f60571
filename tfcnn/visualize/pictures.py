"""Arrays as panels of pictures: RGB from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from PIL import Image

DIVERGING = "RdBu_r"  # white at 0; red and blue differ without colour vision, too
HEAT = "inferno"
FRAME = (0.4, 0.8, 0.93)
Interval = tuple[float, float]  # first and last pixel
LOUDEST = 99.5  # percentile of the absolute values that gets the full colour


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """An image (height, width, 1 or 3) of values from 0 to 1, clipped, as RGB."""
    return np.broadcast_to(np.clip(pixels, 0, 1), (*pixels.shape[:2], 3))


def about_grey(values: np.ndarray) -> np.ndarray:
    """Signed values (height, width, 1 or 3): grey is 0, and the largest absolute values have the full colour."""
    return as_rgb(0.5 + values / (2 * _limit(values)))


def magnitude(values: np.ndarray) -> np.ndarray:
    """Signed values (height, width, channels): the largest absolute value over the channels, black is 0."""
    strengths = np.abs(values).max(-1, keepdims=True)
    return as_rgb(strengths / _limit(strengths))


def signed(values: np.ndarray) -> np.ndarray:
    """Signed values (height, width): white is 0, red above, blue below."""
    return colormaps[DIVERGING](0.5 + values / (2 * _limit(values)))[..., :3]


def strength(values: np.ndarray) -> np.ndarray:
    """Values from 0 up (height, width): black is 0."""
    return colormaps[HEAT](values / max(float(values.max()), 1e-12))[..., :3]


def overlay(pixels: np.ndarray, values: np.ndarray, *, diverging: bool = False) -> np.ndarray:
    """Values (rows, columns), enlarged, over the grey of an image (height, width, channels) from 0 to 1.

    Values from 0 up darken what has none; with `diverging` red is above 0, blue below.
    """
    large = enlarge(values, pixels.shape[:2])
    grey = as_rgb(pixels.mean(-1, keepdims=True))
    if diverging:
        return 0.4 * grey + 0.6 * signed(large)
    return 0.35 * grey + 0.65 * strength(np.maximum(large, 0))


def frame(pixels: np.ndarray, rows: Interval, columns: Interval) -> np.ndarray:
    """An image (height, width, 3) with a frame around the rows and columns first ... last, cut at the border."""
    height, width = pixels.shape[:2]
    top, bottom = (int(min(max(end, 0), height - 1)) for end in rows)
    left, right = (int(min(max(end, 0), width - 1)) for end in columns)
    line = max(1, height // 110)
    framed = pixels.copy()
    for y, x in (
        (slice(top, top + line), slice(left, right + 1)),
        (slice(bottom + 1 - line, bottom + 1), slice(left, right + 1)),
        (slice(top, bottom + 1), slice(left, left + line)),
        (slice(top, bottom + 1), slice(right + 1 - line, right + 1)),
    ):
        framed[y, x] = FRAME
    return framed


def enlarge(values: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A map (rows, columns) at another size (height, width), bicubic."""
    image = Image.fromarray(values.astype("float32"))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def reduce(values: np.ndarray, largest: int) -> np.ndarray:
    """Values (height, width, channels) as the means of square blocks, at most `largest` along each axis.

    >>> reduce(np.arange(8.0).reshape(2, 4, 1), 2)[..., 0].tolist()
    [[2.5, 4.5]]
    """
    side = -(-max(values.shape[:2]) // largest)
    rows, columns = values.shape[0] // side, values.shape[1] // side
    blocks = values[: rows * side, : columns * side].reshape(rows, side, columns, side, -1)
    return blocks.mean((1, 3))


def mosaic(images: Sequence[np.ndarray], columns: int, gap: int = 1) -> np.ndarray:
    """RGB images of one size in a grid, white between and where there is none.

    >>> mosaic([np.zeros((2, 2, 3))] * 3, columns=2).shape
    (5, 5, 3)
    """
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    grid = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, 3))
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top = row * (height + gap)
        left = column * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid


def _limit(values: np.ndarray) -> float:
    """The absolute value that gets the full colour."""
    return max(float(np.percentile(np.abs(values), LOUDEST)), 1e-12)
