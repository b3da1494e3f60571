"""The picture of a learning-rate range test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipelines.text import save
from tfcnn.visualize.curves import BEST, TRAINING

ROOM = 0.1  # of the smoothed losses' range, below and above it


def draw_sweep(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], rate: float, path: str | Path
) -> None:
    """Draw the loss over the learning rate, which grew from batch to batch, and the rate that was chosen.

    Args:
        rates: of the updates, growing.
        losses: of their batches.
        smoothed: the losses, smoothed.
        rate: that was chosen.
        path: where the picture goes, as PNG.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, ".", color="#999999", markersize=4, label="loss of a batch")
    axes.plot(rates, smoothed, **{**TRAINING, "marker": ""}, label="smoothed")
    axes.axvline(rate, **BEST, zorder=0, label=f"--lr auto: {rate:g}")
    axes.set_xscale("log")
    low, high = np.min(smoothed), max(smoothed[0], np.median(smoothed))
    margin = ROOM * max(high - low, 1e-6)
    axes.set_ylim(low - 3 * margin, high + 5 * margin)  # the loss that diverges leaves the picture
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title("Learning-rate range test", fontsize=13)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save(figure, path, dpi=130, format="png")
