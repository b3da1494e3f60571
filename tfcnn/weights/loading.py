"""Weights from elsewhere: keras.applications, torchvision, timm, and our own files.

A network and the file's network apply the same operations, so the layers that hold weights are paired in one order
that the graphs themselves give (`in_order`), and each array is brought into Keras' layout. Everything is checked before
the first value is written: a file that does not fit leaves the network as it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from tfcnn.errors import BadInput
from tfcnn.graph import in_order, is_head
from tfcnn.weights.expectations import standard
from tfcnn.weights.keras_files import imagenet_model, read_h5_file, read_keras_file, stored_layers
from tfcnn.weights.state_dict import read_state_dict
from tfcnn.weights.stored import FORMATS, Stored, misfit, shape_text


class Loaded(NamedTuple):
    """What `load` did: `str()` is one line for the log."""

    source: str
    layers: int  # that got their weights
    fresh: list[str]  # layers at the end that keep their fresh weights
    reason: str

    def __str__(self) -> str:
        fresh = f"; left fresh: {', '.join(self.fresh)} ({self.reason})" if self.fresh else ""
        return f"{self.source}: weights of {self.layers} layers{fresh}"


def load(model: keras.Model, arch: str, weights: str, arguments: dict[str, Any], *, rgb: bool = False) -> Loaded:
    """Load weights into a network that `tfcnn.build` made.

    Args:
        model: the network; with or without its head.
        arch: its name.
        weights: "imagenet" (keras.applications' file, by Keras' own download cache), or the path of a `.keras` or
            `.h5` file of ours or of keras.applications, or of a torchvision or timm `state_dict` saved as
            `.safetensors` or `.npz`.
        arguments: with which it was built: `tfcnn.factory.arguments(...)`.
        rgb: turn the first convolution of weights for blue, green, red (`standard`) into one for red, green, blue.

    Returns:
        Loaded. The head keeps its fresh weights where the file has none or has other sizes there (another number of
        classes); a first convolution for one channel gets the sum over the file's three, as in timm.

    Raises:
        BadInput: no such file, another network's, or nothing to download; it names the first tensor that does not fit.
            The model is unchanged.
    """
    ours, suffix = in_order(model), Path(weights).suffix
    if weights == "imagenet":
        theirs = stored_layers(imagenet_model(arch, arguments))
    elif not Path(weights).is_file():
        raise BadInput(f"no weights at '{weights}': give imagenet, or a file {FORMATS} (--weights)")
    elif suffix == ".keras":
        theirs = stored_layers(read_keras_file(weights))
    elif suffix == ".h5":
        theirs = stored_layers(read_h5_file(weights, arch, model, arguments))
    elif suffix in (".safetensors", ".npz"):
        theirs = read_state_dict(weights, arch, ours, arguments)
    else:
        raise BadInput(
            f"'{weights}' is no {FORMATS} file; a PyTorch checkpoint becomes one by "
            f"safetensors.torch.save_file(model.state_dict(), 'model.safetensors') (--weights)"
        )
    if rgb and (known := standard(arch, weights)) and known.bgr:
        theirs[0].arrays["kernel"] = theirs[0].arrays["kernel"][..., ::-1, :]
    values, fresh, reason = _fit(ours, theirs, arch, weights)
    for layer, arrays in values:
        for variable in layer.weights:
            variable.assign(arrays[variable.name])
    return Loaded(weights, len(values), fresh, reason)


def _fit(ours: list[layers.Layer], theirs: list[Stored], arch: str, weights: str):
    """(layer, arrays) pairs that fit, names of the layers of the head that stay fresh, and why. Raises BadInput."""
    pairs = []
    for position, layer in enumerate(ours):
        if position == len(theirs):
            problem = f"the file ends before {layer.name}"
        else:
            stored = theirs[position]
            arrays, problem = _arranged(layer, stored, first=position == 0)
        if not problem:
            pairs.append((layer, arrays))
        elif is_head(layer) and pairs:
            return pairs, [layer.name for layer in ours[position:]], problem
        else:
            raise misfit(weights, arch, problem)
    if len(theirs) > len(ours) and any(layer.name == "logits" for layer in ours):
        raise misfit(weights, arch, f"it has {theirs[len(ours)].name}, which {arch} has not")
    return pairs, [], ""


def _arranged(layer: layers.Layer, stored: Stored, first: bool) -> tuple[dict[str, np.ndarray], str]:
    """The arrays in the shapes of the layer's variables, and what does not fit."""
    arrays = {}
    for variable in layer.weights:
        array, shape = stored.arrays.get(variable.name), tuple(variable.shape)
        if array is None:
            return {}, f"{stored.name} has no {variable.name}, which is {shape_text(shape)} in {layer.name}"
        if first and len(shape) == array.ndim > 2 and shape[-2] == 1 and array.shape[-2] == 3:
            array = array.sum(-2, keepdims=True)  # one grey channel for red, green and blue
        if _squeezed(array.shape) == _squeezed(shape):  # a 1x1 convolution on a 1x1 map is a dense layer
            array = array.reshape(shape)
        if array.shape != shape:
            sizes = f"{shape_text(array.shape)} in the file and {shape_text(shape)} in the network"
            return {}, f"{variable.name} of {stored.name} is {sizes}"
        arrays[variable.name] = array
    if extra := set(stored.arrays) - set(arrays):
        return {}, f"{stored.name} has a {min(extra)}, which {layer.name} has not"
    return arrays, ""


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape
