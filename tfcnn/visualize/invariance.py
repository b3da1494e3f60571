"""How much the maps of a network change when the image is shifted, turned or scaled.

Zeiler & Fergus, 2014, section 4.1 and figure 5: soon much below, gradually at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from scipy import ndimage

from tfcnn.visualize.points import activations

Change = Callable[[np.ndarray, float], np.ndarray]


def shift(image: np.ndarray, amount: float) -> np.ndarray:
    """An image (height, width, channels) moved to the right by pixels, its border repeated."""
    return ndimage.shift(image, (0, amount, 0), order=1, mode="nearest")


def turn(image: np.ndarray, amount: float) -> np.ndarray:
    """An image turned by degrees about its centre, its border repeated."""
    return ndimage.rotate(image, amount, reshape=False, order=1, mode="nearest")


def scale(image: np.ndarray, amount: float) -> np.ndarray:
    """An image enlarged about its centre by a factor, its border repeated."""
    centre = (np.array(image.shape[:2]) - 1) / 2
    matrix = np.diag([1 / amount, 1 / amount, 1])
    offset = np.append(centre - centre / amount, 0)
    return ndimage.affine_transform(image, matrix, offset, order=1, mode="nearest")


CHANGES: dict[str, Change] = {"shift": shift, "turn": turn, "scale": scale}


def distances(
    model: keras.Model, images: np.ndarray, layers: Sequence[str | None], change: Change, amounts: Sequence[float]
) -> np.ndarray:
    """The distance of the features of changed images from those of the images themselves.

    Args:
        model: as of `points.Network`.
        images: float (images, height, width, channels), standardised.
        layers: names; None: the network's output, before its softmax. All values count, each at its place.
        change: one of CHANGES, or another function of an image and an amount.
        amounts: of the change.

    Returns:
        (layers, amounts): Euclidean, over the distance between different images, in the mean over the images: 0 for no
        change, about 1 for another image.

    Raises:
        ValueError: fewer than two images, or an unknown layer.
    """
    if len(images) < 2:
        raise ValueError(f"distances are in units of those between images: give two or more, got {len(images)}")
    whole = [_flatten(values) for values in activations(model, images, layers)]
    units = [_between(features) for features in whole]
    columns = []
    for amount in amounts:
        changed = np.stack([change(image, amount) for image in images])
        values = [_flatten(values) for values in activations(model, changed, layers)]
        column = [
            np.linalg.norm(new - old, axis=1).mean() / unit for new, old, unit in zip(values, whole, units, strict=True)
        ]
        columns.append(column)
    return np.array(columns).T


def _flatten(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def _between(features: np.ndarray) -> float:
    """The mean distance of two different images."""
    pairs = [np.linalg.norm(one - other) for i, one in enumerate(features) for other in features[:i]]
    return float(max(np.mean(pairs), 1e-12))
