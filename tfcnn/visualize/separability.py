"""How well classes can be told apart at each depth of a network: a linear probe and the nearest neighbour.

Alain & Bengio, "Understanding intermediate layers using linear classifier probes", 2016; Oyallon, "Building a regular
decision boundary with deep networks", 2017: in trained networks both grow with depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfcnn.visualize.points import activations

CELLS = 4  # a map is averaged over at most so many cells along each axis
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)  # of the probe's penalty, chosen on the training images


class Separability(NamedTuple):
    """Accuracies on the test images.

    Attributes:
        layer: name.
        linear: of a linear classifier, ridge regression on standardised features.
        nearest: of the nearest neighbour among the training images.
    """

    layer: str
    linear: float
    nearest: float


def probe(
    model: keras.Model,
    layers: Sequence[str],
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
) -> list[Separability]:
    """Train classifiers on the features of layers, and test them.

    Args:
        model: as of `points.Network`.
        layers: names; maps are averaged over 4x4 cells, so that features of all depths have like numbers of places.
        images, test_images: float (images, height, width, channels), standardised.
        labels, test_labels: int (images,).

    Returns:
        The accuracies at each layer.

    Raises:
        ValueError: an unknown layer.
    """
    results = []
    features = activations(model, images, layers)
    test_features = activations(model, test_images, layers)
    for layer, train, test in zip(layers, features, test_features, strict=True):
        accuracies = []
        for classifier in (RidgeClassifierCV(STRENGTHS), KNeighborsClassifier(1)):
            pipeline = make_pipeline(StandardScaler(), classifier)
            pipeline.fit(flatten(train), labels)
            accuracies.append(float(pipeline.score(flatten(test), test_labels)))
        results.append(Separability(layer, *accuracies))
    return results


def flatten(values: np.ndarray) -> np.ndarray:
    """Features of a layer as (images, numbers), maps (images, height, width, channels) averaged over cells."""
    if values.ndim != 4:
        return values.reshape(len(values), -1)
    rows, columns = (np.array_split(np.arange(side), min(side, CELLS)) for side in values.shape[1:3])
    cells = [values[:, row][:, :, column].mean((1, 2)) for row in rows for column in columns]
    return np.concatenate(cells, -1)
