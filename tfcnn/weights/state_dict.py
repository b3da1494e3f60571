"""A PyTorch `state_dict` of torchvision's or timm's networks, in the layout of our layers' weights."""

from __future__ import annotations

import contextlib
import zipfile
from typing import Any

import numpy as np
from keras import layers

from tfcnn import graph
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.weights.formats import suffix_of
from tfcnn.weights.limits import check_archive, check_safetensors, limit_of
from tfcnn.weights.stored import StoredLayer, misfit, read_tensors, shape_text
from tfcnn.weights.torch_names import NAMES


def read_state_dict(path: str, arch: str, ours: list[layers.Layer], arguments: dict[str, Any]) -> list[StoredLayer]:
    """The layers of a torchvision or timm `state_dict`, as far as the file goes."""
    if suffix_of(path) == ".npz":
        with contextlib.suppress(OSError, zipfile.BadZipFile):  # read_tensors tells of it
            check_archive(path, limit_of(ours))
    else:
        with contextlib.suppress(OSError):
            check_safetensors(path, limit_of(ours))
    tensors = read_tensors(path)
    names = _module_names(path, arch, arguments, tensors)
    stored = []
    for layer, name in zip(ours, names, strict=False):
        arrays = from_torch(layer, name, tensors)
        if not arrays:
            if graph.is_head(layer):
                break
            raise misfit(path, arch, f"it has no {name}.weight")
        stored.append(StoredLayer(name, arrays))
    used = {part for name in names for part in (name, f"{name}.conv1", f"{name}.pointwise")}
    for tensor, array in tensors.items():
        module, _, kind = tensor.rpartition(".")
        auxiliary = module.lower().startswith("aux")
        if module not in used and kind != "num_batches_tracked" and not auxiliary:
            raise misfit(path, arch, f"it has {tensor}, {shape_text(array.shape)}, which {arch} has not")
    return stored


def _module_names(path: str, arch: str, arguments: dict[str, Any], tensors: dict[str, np.ndarray]) -> list[str]:
    """The modules of our layers, in the library's way of naming that has the most of the file's. Raises BadInput."""
    modules = {name.rpartition(".")[0] for name in tensors}
    ways = [list(names_of(arguments)) for names_of in NAMES.get(registry.family_of(arch).module, ())]
    names = max(ways, key=lambda way: len(modules & set(way)), default=[])
    if not modules & set(names):
        first = next(iter(tensors), "nothing")
        raise BadInput(f"'{path}' has {first}, and none of {arch}'s names in torchvision or timm (--weights)")
    return names


def from_torch(layer: layers.Layer, name: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of PyTorch's module `name` by Keras' names and in its layout; empty where the file has none."""
    if isinstance(layer, layers.SeparableConv2D):  # timm's two modules
        kinds = {"depthwise_kernel": "conv1.weight", "pointwise_kernel": "pointwise.weight"}
    elif isinstance(layer, layers.BatchNormalization):
        kinds = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    else:
        kinds = {"kernel": "weight", "bias": "bias"}
    arrays = {
        key: np.asarray(tensors[f"{name}.{kind}"], "float32")
        for key, kind in kinds.items()
        if f"{name}.{kind}" in tensors
    }
    for key, array in arrays.items():
        if array.ndim > 1:
            depthwise = key == "depthwise_kernel" or isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D)
            arrays[key] = _kernel(array, layer, depthwise)
    return arrays


def _kernel(array: np.ndarray, layer: layers.Layer, depthwise: bool) -> np.ndarray:
    """(out, in, h, w) -> (h, w, in, out); a dense layer that follows a Flatten gets its inputs in our order."""
    if depthwise:  # (in x multiplier, 1, h, w) -> (h, w, in, multiplier)
        channels = layer._inbound_nodes[0].input_tensors[0].shape[-1]
        return np.moveaxis(array.reshape(channels, -1, *array.shape[2:]), (0, 1), (-2, -1))
    if array.ndim == 2 and isinstance(layer, layers.Dense):
        source = graph.node_of(layer._inbound_nodes[0].input_tensors[0])
        while isinstance(source.operation, layers.Dropout):
            source = graph.node_of(source.input_tensors[0])
        if isinstance(source.operation, layers.Flatten):
            *sides, channels = source.input_tensors[0].shape[1:]
            if array.shape[1] == channels * np.prod(sides):
                array = array.reshape(-1, channels, *sides)
    array = np.moveaxis(array, (0, 1), (-1, -2))
    return array.reshape(-1, array.shape[-1]) if isinstance(layer, layers.Dense) else array
