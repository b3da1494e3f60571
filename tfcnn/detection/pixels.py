"""The pixels of prepared images, from which proposals are computed. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def to_pixels(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Standardised images as pixels.

    Args:
        images: float32 (..., height, width, channels), of one channel or three.
        mean, std: of each channel, in 0 ... 1.

    Returns:
        uint8 (..., height, width, 3).
    """
    shares = images * np.asarray(std, "float32") + np.asarray(mean, "float32")
    pixels = np.clip(np.round(255 * shares), 0, 255).astype("uint8")
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))
