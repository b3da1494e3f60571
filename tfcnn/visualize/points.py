"""The points of a network: their maps, and the gradients of what is read from them, for any functional Keras model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfcnn import graph
from tfcnn.errors import choose
from tfcnn.visualize.rectifiers import make_apply, other_activation

BATCH = 16  # images that the network gets at once
BORDERS = (keras.layers.ZeroPadding2D, keras.layers.Dropout)  # which make no map of interest


class Target(NamedTuple):
    """A number that a network computes from each image: what is to be explained, or raised.

    Attributes:
        layer: the point that it is read from; None: the network's output, before a softmax at its end.
        channel: of that point; None: for each image the one with the highest mean over its places.
        strongest: whether it is the largest value of the channel's map rather than the mean over its places.
    """

    layer: str | None = None
    channel: int | None = None
    strongest: bool = False


class Gradients(NamedTuple):
    """What `Network.gradients` returns.

    Attributes:
        scores: (images,), the numbers of the target.
        points: the values of the points.
        gradients: of the scores in the points, or in the images.
    """

    scores: np.ndarray
    points: list[np.ndarray]
    gradients: list[np.ndarray]


class Network:
    """A model, opened.

    Args:
        model: a built functional or sequential model with one input, images (batch, height, width, channels); models
            inside it are opened. Its layers compute in float32 (`tfcnn.trained.load` sees to that).
        rule: of its rectifiers' gradients, one of `rectifiers.RULES`.

    Raises:
        ValueError: a model without a graph, or for something other than one image.
    """

    def __init__(self, model: keras.Model, rule: str = "gradient") -> None:
        self.graph = graph.read(model)
        if len(self.graph.inputs) != 1 or len(self.graph.inputs[0].shape) != 4:
            raise ValueError(f"{model.name} must have one input, images, to look inside; it takes {model.input_shape}")
        output = self.graph.outputs[0]
        last = next(step for step in self.graph.steps if any(tensor is output for tensor in step.outputs))
        self._apply = make_apply(rule, last)

    def point(self, name: str | None) -> keras.KerasTensor:
        """The output of the layer's last application, or of the network. Raises BadInput, a ValueError."""
        if name is None:
            return self.graph.outputs[0]
        outputs = {step.operation.name: step.outputs[0] for step in self.graph.steps}
        return outputs[choose("layer", name, outputs, flag="--layer")]

    @property
    def rectifies(self) -> bool:
        """Whether its activations are rectifiers, for which guided backpropagation and the deconvnet are defined."""
        return not any(map(other_activation, self.graph.steps))

    def values(self, images: np.ndarray, names: Sequence[str | None]) -> list[np.ndarray]:
        """The values of points, float32 (images, ...) each, computed in batches."""
        points = [self.point(name) for name in names]
        parts = []
        for first in range(0, len(images), BATCH):
            batch = tf.constant(images[first : first + BATCH], tf.float32)
            parts.append([value.numpy() for value in graph.evaluate(self.graph, [batch], points, self._apply)])
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def channels(self, images: np.ndarray, target: Target) -> np.ndarray:
        """The channel of the target for each image, int (images,). Raises ValueError."""
        count = self.point(target.layer).shape[-1]
        if target.channel is None:
            (maps,) = self.values(images, [target.layer])
            return maps.reshape(len(maps), -1, count).mean(1).argmax(-1)
        if not 0 <= target.channel < count:
            name = target.layer or "the output"
            raise ValueError(f"{name} has channels 0 to {count - 1}, got {target.channel} (--channels, --class)")
        return np.full(len(images), target.channel)

    def read(self, images: Any, target: Target, channels: np.ndarray, names: Sequence[str | None] = ()) -> list[Any]:
        """Tensors: the target's number for each image, then the values of the points. For one batch."""
        points = [self.point(name) for name in (target.layer, *names)]
        maps, *others = graph.evaluate(self.graph, [images], points, self._apply)
        places = tf.reshape(maps, (tf.shape(maps)[0], -1, maps.shape[-1]))
        columns = tf.gather(places, channels[:, None], axis=2, batch_dims=1)[..., 0]
        if target.strongest:
            score = tf.gather(columns, tf.argmax(columns, 1), axis=1, batch_dims=1)
        else:
            score = tf.reduce_mean(columns, 1)
        return [score, *others]

    def scores(self, images: np.ndarray, target: Target, channels: np.ndarray) -> np.ndarray:
        """The target's number for each image, float32 (images,)."""
        parts = []
        for first in range(0, len(images), BATCH):
            batch = tf.constant(images[first : first + BATCH], tf.float32)
            parts.append(self.read(batch, target, channels[first : first + BATCH])[0].numpy())
        return np.concatenate(parts)

    def gradients(
        self, images: np.ndarray, target: Target, channels: np.ndarray, names: Sequence[str] = ()
    ) -> Gradients:
        """The gradients of the target's number in points, or without names in the images."""
        parts = [
            self._gradients(images[first : first + BATCH], target, channels[first : first + BATCH], names)
            for first in range(0, len(images), BATCH)
        ]
        scores, points, gradients = zip(*parts, strict=True)
        return Gradients(
            np.concatenate(scores),
            [np.concatenate(values) for values in zip(*points, strict=True)],
            [np.concatenate(values) for values in zip(*gradients, strict=True)],
        )

    def _gradients(
        self, images: np.ndarray, target: Target, channels: np.ndarray, names: Sequence[str]
    ) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
        pixels = tf.constant(images, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            score, *points = self.read(pixels, target, channels, names)
        sources = points or [pixels]
        gradients = tape.gradient(score, sources, unconnected_gradients="zero")
        return score.numpy(), [point.numpy() for point in points], [gradient.numpy() for gradient in gradients]


def activations(model: keras.Model, images: np.ndarray, layers: Sequence[str | None]) -> list[np.ndarray]:
    """The outputs of layers.

    Args:
        model: as of `Network`.
        images: float (images, height, width, channels), as the network takes them: standardised.
        layers: names, of the last application where a layer is shared; None: the network's output, before its softmax.

    Returns:
        For each name float32 (images, ...).

    Raises:
        ValueError: an unknown layer, or a model that cannot be opened.
    """
    return Network(model).values(images, layers)


def first_filters(model: keras.Model) -> np.ndarray:
    """The kernels of the first convolution, float32 (filters, height, width, channels).

    Raises:
        ValueError: no convolution reads the image.
    """
    for layer in graph.in_order(model):
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and len(kernel.shape) == 4 and not isinstance(layer, graph.DEPTHWISE):
            return np.moveaxis(np.asarray(kernel), -1, 0)
    raise ValueError(f"{model.name} has no convolution of images")


def map_names(model: keras.Model) -> list[str]:
    """The last map of each resolution before the classifier, from fine to coarse.

    >>> import tfcnn
    >>> map_names(tfcnn.build("squeezenet1_1", (64, 64, 3), 10, width=0.25))
    ['stage1', 'stage2', 'stage3', 'stage4']
    """
    names: dict[int, str] = {}
    for step in graph.read(model).steps:
        layer = step.operation
        shape = step.outputs[0].shape
        is_map = len(shape) == 4 and shape[1] is not None and shape[1] > 1
        if is_map and not isinstance(layer, BORDERS) and not (getattr(layer, "weights", []) and graph.is_head(layer)):
            names[shape[1]] = layer.name
    return list(names.values())
