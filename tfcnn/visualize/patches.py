"""The patches of images that excite a map most, each at the place of the position's receptive field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from tfcnn.receptive_field.theoretical import find_step
from tfcnn.visualize.points import Network


class Patch(NamedTuple):
    """What one position of a map sees of an image.

    Attributes:
        image: number of the image.
        value: of the map at the position.
        position: row and column in the map.
        box: top, left, bottom, right of the receptive field in pixels, the last two exclusive; may reach beyond the
            image, into the padding.
    """

    image: int
    value: float
    position: tuple[int, int]
    box: tuple[int, int, int, int]


def strongest_patches(
    model: keras.Model, images: np.ndarray, layer: str, channels: Sequence[int], count: int = 9
) -> list[list[Patch]]:
    """The images in which a map has its largest values, as figure 2 of Zeiler & Fergus (2014) shows them.

    Args:
        model: as of `points.Network`.
        images: float (images, height, width, channels), standardised.
        layer: name of a layer whose output has positions.
        channels: maps of the layer.
        count: patches of each map, from as many images.

    Returns:
        For each channel at most `count` patches, the strongest first, one an image; those at 0 or below are left out.

    Raises:
        ValueError: an unknown layer or channel, or a layer without a known receptive field.
    """
    network = Network(model)
    (maps,) = network.values(images, [layer])
    if maps.ndim != 4:
        raise ValueError(f"{layer} has no positions: its output is {maps.shape[1:]} (--layer)")
    _, field = find_step(network.graph, layer, windows_only=True)
    patches = []
    for channel in channels:
        if not 0 <= channel < maps.shape[-1]:
            raise ValueError(f"{layer} has channels 0 to {maps.shape[-1] - 1}, got {channel} (--channels)")
        values = maps[..., channel].reshape(len(maps), -1)
        best = values.max(1)
        row = []
        for number in np.argsort(-best, kind="stable")[:count]:
            if best[number] > 0:
                y, x = np.unravel_index(values[number].argmax(), maps.shape[1:3])
                (top, bottom), (left, right) = (
                    _interval(intervals.at(int(place)), size)
                    for intervals, place, size in zip(field.axes, (y, x), images.shape[1:3], strict=True)
                )
                row.append(Patch(int(number), float(best[number]), (int(y), int(x)), (top, left, bottom, right)))
        patches.append(row)
    return patches


def _interval(seen: tuple[float, float] | None, size: int) -> tuple[int, int]:
    """First pixel and the one after the last; the whole axis where the position sees all of it or nothing known."""
    if seen is None or math.isinf(seen[0]):
        return 0, size
    return int(seen[0]), int(seen[1]) + 1


def cut(image: np.ndarray, box: tuple[int, int, int, int], fill: float = 0.0) -> np.ndarray:
    """A box of an image (height, width, channels), `fill` where it reaches beyond.

    >>> cut(np.ones((2, 2, 1)), (-1, 0, 1, 2))[..., 0].tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    top, left, bottom, right = box
    height, width = image.shape[:2]
    patch = np.full((bottom - top, right - left, image.shape[2]), fill, image.dtype)
    rows = slice(max(top, 0), min(bottom, height))
    columns = slice(max(left, 0), min(right, width))
    patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[rows, columns]
    return patch
