"""Whether the shape of arrays shows that their channels stand first.

An example (a, b, c) with channels last has `a` rows of `b` pixels and `c` channels. The shape shows the opposite where
that image is a few rows high and has as many channels as another image has pixels in a row, while b x c pixels with `a`
channels are an image of usual form. Features of a network, of many channels and few pixels, are not taken for it.
"""

from __future__ import annotations

import numpy as np

CHANNELS = 8  # of a sound, at most: (n, h, w) and (n, length, channels) look alike


def shows_channels_first(x: np.ndarray) -> bool:
    """Whether the shape (n, ...) of the inputs makes sense with channels on the second axis alone."""
    if x.ndim == 3 and (x.dtype.kind == "f" or x.dtype == np.int16):
        return _sound_shows(*x.shape[1:])
    if x.ndim == 4:
        return _image_shows(*x.shape[1:])
    if x.ndim == 5:
        return _volume_shows(*x.shape[1:])
    return False


def _sound_shows(channels: int, length: int) -> bool:
    """Mono and stereo are short images of one or two rows; more channels need a longer sound to be told from images."""
    if channels <= 2:
        return length >= 16
    return channels <= CHANNELS and length >= 32 * channels


def _image_shows(channels: int, height: int, width: int) -> bool:
    shorter, longer = sorted((height, width))
    if height == width:
        return width >= 5 and channels != width
    if channels <= 2:  # else an image of one or two rows, with more channels than colours and alpha
        return shorter > 4 and (longer <= 4 * shorter or 16 <= width <= 4 * height)
    if channels == 3:
        return shorter >= 16 or (shorter >= 5 and longer <= 4 * shorter)
    if channels >= shorter:
        return False
    large_enough = shorter >= (16 if channels == 4 else 32)
    usual_form = width <= 4 * height if channels <= 16 else longer <= 2 * shorter
    few_channels = channels <= 16 or 3 * channels <= 2 * shorter
    return large_enough and usual_form and few_channels


def _volume_shows(channels: int, depth: int, height: int, width: int) -> bool:
    shortest = min(depth, height, width)
    if channels <= 2 and shortest > 4:
        return True
    if channels <= 4 and shortest >= 8:
        return True
    return height == width >= 16 and channels != width
