"""The colours of classes in masks: PASCAL VOC's. NumPy only."""

from __future__ import annotations

import numpy as np


def voc_palette() -> np.ndarray:
    """The colour of each value of a mask, uint8 (256, 3), as VOClabelcolormap of PASCAL VOC's development kit gives it.

    The bits of the number, from the lowest on, set the bits of red, green and blue in turn, from the highest on.

    >>> voc_palette()[[0, 1, 2, 3, 255]].tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [224, 224, 192]]
    """
    numbers = np.arange(256)
    colours = np.zeros((256, 3), int)
    for bit in range(8):
        for channel in range(3):
            value = (numbers >> (3 * bit + channel)) & 1
            colours[:, channel] |= value << (7 - bit)
    return colours.astype(np.uint8)
