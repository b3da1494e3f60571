"""Which explanations depend on what the network has learned: its weights are drawn afresh from the top down.

Adebayo et al., "Sanity checks for saliency maps", 2018, section 3: a map that stays the same does not show what was
learned. Guided backpropagation and the deconvnet stay much the same; gradients and Grad-CAM do not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
from scipy import stats

from tfcnn import graph


def cascade(
    model: keras.Model, images: np.ndarray, explain: Callable[[keras.Model, np.ndarray], np.ndarray], seed: int = 0
) -> dict[str, float]:
    """How similar a map stays as layer after layer loses its weights, the last one first.

    Kernels are drawn from the normal distribution around 0 with their mean square; biases and what normalisations hold
    are shuffled. So the layers' outputs keep their scale.

    Args:
        model: as of `points.Network`; has its weights again afterwards.
        images: standardised.
        explain: gives the map of each image, (images, height, width) or with channels.
        seed: of the draws.

    Returns:
        For each layer with weights, from the last to the first, the rank correlation (Spearman's) of the maps' absolute
        values with those of the whole network, in the mean over the images, when that layer and all after it are
        random. 0 for a map without differences.

    Example:
        >>> cascade(model, images, lambda model, images: gradient(model, images, Target(channel=281)))  # doctest: +SKIP
        {'logits': 0.81, 'fire9_expand3x3': 0.63, ...}
    """
    rng = np.random.default_rng(seed)
    whole = explain(model, images)
    similarities = {}
    with weights_kept(model):
        for layer in reversed(graph.in_order(model)):
            layer.set_weights([redraw(weights, rng) for weights in layer.get_weights()])
            similarities[layer.name] = similarity(whole, explain(model, images))
    return similarities


def redraw(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random weights of the same scale."""
    if weights.ndim > 1:
        return rng.normal(0, np.sqrt(np.square(weights).mean()), weights.shape)
    return rng.permutation(weights)


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """The mean over the images of the rank correlation of two maps' absolute values."""
    pairs = zip(np.abs(first).reshape(len(first), -1), np.abs(second).reshape(len(second), -1), strict=True)
    return float(np.mean([_correlation(one, other) for one, other in pairs]))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(stats.spearmanr(one, other).statistic)


@contextlib.contextmanager
def weights_kept(model: keras.Model) -> Iterator[None]:
    """The model gets its weights back when the block ends."""
    weights = model.get_weights()
    try:
        yield
    finally:
        model.set_weights(weights)
