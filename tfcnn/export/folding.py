"""Batch norms folded into the convolutions before them: the same function of fewer operations.

A batch norm in inference multiplies each map by a number and adds another, which the kernel and the bias of the layer
before it can do as well (Jacob et al. 2018, section 3.2, equations 14 and 15).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np

from tfcnn import graph

FOLDING = (*graph.CONVOLUTIONS, *graph.TRANSPOSED, *graph.DEPTHWISE, *graph.SEPARABLE, keras.layers.Dense)


class FoldedNorm(keras.layers.Identity):
    """Stands where a batch norm was, called as it is: its input is its output."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return inputs

    def compute_output_spec(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return super().compute_output_spec(inputs)


def fold_batch_norms(model: keras.Model) -> keras.Model:
    """A copy of a functional model, for inference, without the batch norms that follow a convolution or a dense layer.

    A batch norm stays where its input has another reader, where the layer before it has an activation or is applied
    twice, and where it normalises another axis than the last. The model itself is returned if all stay.
    """
    folded = _folded_weights(model)
    if not folded:
        return model
    copies: list[tuple[keras.layers.Layer, list[np.ndarray]]] = []

    def copy(layer: keras.Operation) -> keras.Operation:
        if not isinstance(layer, keras.layers.Layer):  # a function of keras.ops
            return type(layer).from_config(layer.get_config())
        weights = folded.get(id(layer))
        if isinstance(layer, keras.layers.BatchNormalization) and weights is not None:
            return FoldedNorm(name=layer.name, dtype=layer.dtype_policy)
        config = layer.get_config()
        if weights is not None:
            config["use_bias"] = True
        twin = type(layer).from_config(config)
        copies.append((twin, layer.get_weights() if weights is None else weights))
        return twin

    clone = keras.models.clone_model(model, clone_function=copy, recursive=True)
    for twin, weights in copies:
        twin.set_weights(weights)
    return clone


def _folded_weights(model: keras.Model) -> dict[int, list[np.ndarray]]:
    """By the id of a layer its new kernel and bias; by that of a batch norm that goes, nothing."""
    network = graph.read(model)
    producers = network.producers()
    readers = Counter(id(tensor) for step in network.steps for tensor in step.inputs)
    readers.update(id(tensor) for tensor in network.outputs)
    applications = Counter(id(step.operation) for step in network.steps)
    folded: dict[int, list[np.ndarray]] = {}
    for step in network.steps:
        norm = step.operation
        before = producers.get(id(step.inputs[0])) if step.inputs else None
        if not isinstance(norm, keras.layers.BatchNormalization) or before is None:
            continue
        layer = before.operation
        alone = readers[id(step.inputs[0])] == applications[id(layer)] == applications[id(norm)] == 1
        if alone and _can_fold(layer) and norm.axis in (-1, len(step.output_shape) - 1):
            folded[id(layer)] = _fold(layer, norm)
            folded[id(norm)] = []
    return folded


def _can_fold(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) in FOLDING
        and layer.activation is keras.activations.linear
        and getattr(layer, "data_format", "channels_last") == "channels_last"
    )


def _fold(layer: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """The kernels and the bias of `layer` followed by `norm`, computed in float64 and of the dtype of its kernel."""
    weights = layer.get_weights()
    bias = weights.pop() if layer.use_bias else 0
    *first, kernel = weights  # of a separable convolution the pointwise one is the last
    scale = 1 / np.sqrt(np.float64(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        scale = scale * np.float64(norm.gamma)
    offset = (bias - np.float64(norm.moving_mean)) * scale
    if norm.center:
        offset = offset + np.float64(norm.beta)
    factors = scale
    if type(layer) in graph.DEPTHWISE:  # its maps are inputs times multiplier
        factors = scale.reshape(kernel.shape[-2:])
    if type(layer) in graph.TRANSPOSED:  # the last axis of its kernel is that of the inputs
        factors = scale[:, np.newaxis]
    return [*first, (kernel * factors).astype(kernel.dtype), offset.astype(kernel.dtype)]
