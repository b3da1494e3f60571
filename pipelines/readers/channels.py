"""Whether the shape of arrays shows that their channels stand first."""

from __future__ import annotations

import numpy as np

CHANNELS = 8  # of a sound, at most: (n, h, w) and (n, length, channels) look alike


def shows_channels_first(x: np.ndarray) -> bool:
    """Whether the shape of the inputs makes sense with channels on the second axis alone.

    With channels last the last axis would hold many channels, as many as the axis before it has pixels or about, and
    an image would be a few rows high. Features of a network, of many channels and few pixels, are not taken for it.
    """
    if x.ndim == 3 and (x.dtype.kind == "f" or x.dtype == np.int16):  # sounds
        count, length = x.shape[1:]
        return (count <= 2 and length >= 64) or (count <= CHANNELS and length >= 32 * count)
    if x.ndim == 4:
        count, height, width = x.shape[1:]
        least = min(height, width)
        if height == width:
            return count != width >= 5
        if count == 3:
            return least >= 16 or (least >= 5 and max(height, width) <= 4 * least)
        few = count <= 16 and width <= 4 * height
        fewer_than_sides = 3 * count <= 2 * least and max(height, width) <= 2 * least
        return count < least and least >= (16 if count <= 4 else 32) and (few or fewer_than_sides)
    if x.ndim == 5:
        count, depth, height, width = x.shape[1:]
        least = min(depth, height, width)
        return (count <= 4 and least >= 8) or (height == width >= 16 and count != width)
    return False
