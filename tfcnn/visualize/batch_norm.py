"""Feature maps before and after batch norm.

Ioffe & Szegedy, "Batch normalization", 2015, section 3.2: in a convolutional network one mean and one standard
deviation for each map, over all its places and the images; then a learned scale and a learned offset.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np

from tfcnn import graph
from tfcnn.errors import choose


class Normalisation(NamedTuple):
    """What a batch norm makes of maps, float32 (images, height, width, channels) each.

    Attributes:
        before: what the layer reads.
        normalised: less the mean of each map, over its standard deviation.
        after: times the learned scale, plus the learned offset: what the layer returns.
    """

    before: np.ndarray
    normalised: np.ndarray
    after: np.ndarray


def layer_names(model: keras.Model) -> list[str]:
    """The batch norms of maps, in the order in which they are applied."""
    return [step.operation.name for step in _steps(graph.read(model))]


def normalise(model: keras.Model, images: np.ndarray, layer: str) -> Normalisation:
    """The maps before and after a batch norm in inference, where means and deviations are those kept in training.

    Args:
        model: as of `points.Network`.
        images: float (images, height, width, channels), as the network takes them: standardised. Computed at once.
        layer: a name of `layer_names`.

    Raises:
        ValueError: the model has no batch norm of this name.
    """
    network = graph.read(model)
    steps = {step.operation.name: step for step in _steps(network)}
    step = steps[choose("batch norm", layer, steps, flag="--layer")]
    targets = [step.inputs[0], step.outputs[0]]
    before, after = graph.evaluate(network, [np.asarray(images, "float32")], targets)
    before = np.asarray(before)
    norm = step.operation
    deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    return Normalisation(before, (before - np.asarray(norm.moving_mean)) / deviation, np.asarray(after))


def _steps(network: graph.Graph) -> list[graph.Step]:
    """The steps that normalise maps over the batch."""
    return [
        step
        for step in network.steps
        if isinstance(step.operation, keras.layers.BatchNormalization) and len(step.output_shape) == 4
    ]
