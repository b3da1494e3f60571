"""The spectrum of a sound over time, as pictures show it. NumPy only."""

from __future__ import annotations

import numpy as np


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """The short-time spectrum of a sound (samples,), 128 frequencies by half as many times or less, in 0 ... 1."""
    window = 254
    padded = np.pad(samples, (0, max(window - len(samples), 0)))
    hop = max((len(padded) - window) // 96, 1)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, axis=-1).T) ** 2
    decibels = 10 * np.log10(np.maximum(power / max(power.max(), 1e-12), 1e-8))
    return decibels[::-1] / 80 + 1
