"""What is searched: functions from keras-tuner's HyperParameters to fields of `tfcnn.config.Config`.

A space of your own is a function of the same form:

    def wide_or_deep(hp):
        return {"width": hp.Choice("width", [0.5, 1.0, 2.0]), "depth": hp.Choice("depth", [0.5, 1.0, 2.0])}
"""

from __future__ import annotations

from typing import Any


def default(hp) -> dict[str, Any]:
    """Width, learning rate, weight decay and label smoothing: for any classification network.

    Args:
        hp: keras_tuner.HyperParameters.
    """
    return {
        "width": hp.Choice("width", [0.25, 0.5, 1.0]),
        "lr": hp.Float("lr", 1e-4, 3e-2, sampling="log"),
        "weight_decay": hp.Float("weight_decay", 1e-4, 0.2, sampling="log"),
        "smoothing": hp.Choice("smoothing", [0.0, 0.1]),
    }
