"""Weights from elsewhere: keras.applications, torchvision, timm, and our own files.

A network and the file's network apply the same operations, so the layers that hold weights are paired in one order
that the graphs themselves give (`in_order`), and each array is brought into Keras' layout. Everything is checked before
the first value is written: a file that does not fit leaves the network as it was.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from tfcnn.errors import BadInput
from tfcnn.graph import in_order, is_head
from tfcnn.models import registry
from tfcnn.models.backbones import backbone_arguments, backbone_part
from tfcnn.models.segmentation.fcn import transfer
from tfcnn.weights.expectations import expected_standardisation, network_of_weights
from tfcnn.weights.formats import check_weights, suffix_of
from tfcnn.weights.keras_files import extract_layers, load_application, load_archive, load_h5_weights
from tfcnn.weights.limits import check_finite, limit_of
from tfcnn.weights.packages import PACKAGES, load_package
from tfcnn.weights.state_dict import read_state_dict
from tfcnn.weights.stored import StoredLayer, averaged_part, misfit, shape_text

FEW_CLASSES = 2  # of a backbone as it is loaded, whose logits a detector or U-Net does not have


class Loaded(NamedTuple):
    """What `load` did: `str()` is one line for the log."""

    source: str
    layers: int  # how many got their weights
    fresh: list[str]  # layers at the end that keep their fresh weights
    reason: str  # why these do

    def __str__(self) -> str:
        fresh = f"; left fresh: {', '.join(self.fresh)} ({self.reason})" if self.fresh else ""
        return f"{self.source}: weights of {self.layers} layers{fresh}"


def load(model: keras.Model, arch: str, weights: str, arguments: dict[str, Any], *, rgb: bool = False) -> Loaded:
    """Load weights into a network that `tfcnn.build` made.

    Args:
        model: the network; with or without its head.
        arch: its name.
        weights: "imagenet" (of a package, or keras.applications' file by Keras' download cache), or the path of a
            `.keras` or `.h5` file of ours or of keras.applications, or of a torchvision or timm `state_dict` saved as
            `.safetensors` or `.npz`.
        arguments: the arguments it was built with: `tfcnn.factory.arguments(...)`.
        rgb: turn the first convolution of weights for blue, green, red (`expected_standardisation`) into one for red,
            green, blue.

    Returns:
        Loaded. The head keeps its fresh weights where the file has none or has other sizes there (another number of
        classes), and its last kernel becomes zero; a first convolution for one channel gets the sum over the file's
        three, as in timm.

    Raises:
        BadInput: no such file, another network's, or nothing to download; it names the first tensor that does not fit
            or is not finite. The model is unchanged.
    """
    check_weights(weights)
    network = network_of_weights(arch, arguments, weights)
    if network != arch:
        return _load_backbone(model, arch, network, weights, arguments, rgb=rgb)
    ours = in_order(model)
    source = weights
    if weights == "imagenet" and arch in PACKAGES:
        theirs = load_package(arch, ours)
        source += f" (package {PACKAGES[arch].distribution})"
    elif weights == "imagenet":
        theirs = extract_layers(load_application(arch, arguments))
    elif suffix_of(weights) == ".keras":
        archive = load_archive(weights, limit_of(ours))
        if _is_stage_before(archive.name, arch):
            return _load_stage(model, archive, arch, weights)
        theirs = extract_layers(archive)
    elif suffix_of(weights) == ".h5":
        theirs = extract_layers(load_h5_weights(weights, arch, model, arguments))
    else:
        theirs = read_state_dict(weights, arch, ours, arguments)
        averages = averaged_part(weights)
        source += f" (the averaged weights, {averages}*)" if averages else ""
    check_finite(weights, theirs)
    standardisation = expected_standardisation(arch, weights)
    if rgb and standardisation is not None and standardisation.bgr:
        theirs[0].arrays["kernel"] = theirs[0].arrays["kernel"][..., ::-1, :]
    pairs, problem = _pair(ours, theirs, arch, weights)
    for layer, arrays in pairs:
        for variable in layer.weights:
            variable.assign(arrays[variable.name])
    fresh = ours[len(pairs) :]
    _start_from_zero(fresh)
    return Loaded(source, len(pairs), [layer.name for layer in fresh], problem)


def _load_backbone(
    model: keras.Model, arch: str, backbone: str, weights: str, arguments: dict[str, Any], *, rgb: bool
) -> Loaded:
    """Load the weights of a classification network into a detector's part of it, or into a U-Net's encoder.

    They are loaded into the whole classification network first: a part would take those of a deeper network, too.

    Raises:
        BadInput: as `load`.
    """
    part = backbone_part(model)
    whole_arguments = backbone_arguments(
        backbone,
        part.input_shape[1:],
        FEW_CLASSES,
        width=arguments["width"],
        depth=arguments["depth"],
        form=arguments["form"],
        stem=arguments["stem"],
    )
    if "crop" not in arguments:  # a map is pooled, and no dense layer depends on the size of the images
        sides = registry.arguments(backbone)["input_shape"][:-1]
        whole_arguments["input_shape"] = (*sides, arguments["input_shape"][-1])
    try:
        whole = registry.builder_of(backbone)(**whole_arguments)
        loaded = load(whole, backbone, weights, whole_arguments, rgb=rgb)
    except BadInput as error:
        part_name = "encoder" if "encoder" in arguments else "backbone"
        raise BadInput(
            f"the {part_name} of {arch}: {error.message}; --arch-args {part_name}=NAME takes another"
        ) from error
    ours = in_order(part)
    count = min(loaded.layers, len(ours))
    for layer, source in zip(ours[:count], in_order(whole), strict=False):
        layer.set_weights(source.get_weights())
    fresh = [layer.name for layer in in_order(model)[count:]]
    reason = loaded.reason if count < len(ours) else f"{backbone} has none"
    return Loaded(loaded.source, count, fresh, reason)


def _is_stage_before(source: str, arch: str) -> bool:
    """Whether the paper of a network trains it from the weights of the network called `source`."""
    stages = {"fcn32s": ("vgg16",), "fcn16s": ("fcn32s",), "fcn8s": ("fcn32s", "fcn16s"), "dilated_vgg16": ("vgg16",)}
    return source in stages.get(arch, ())


def _load_stage(model: keras.Model, archive: keras.Model, arch: str, weights: str) -> Loaded:
    """Load the weights of the stage before. Raises BadInput if it was built with another width, depth or form."""
    check_finite(weights, extract_layers(archive))
    try:
        fresh = transfer(archive, model)
    except ValueError as error:
        raise misfit(weights, arch, str(error)) from error
    return Loaded(weights, len(in_order(model)) - len(fresh), fresh, f"{archive.name} has none")


def _start_from_zero(fresh: list[layers.Layer]) -> None:
    """Set the kernel of `logits`, if it is fresh, to zeros: every class is as likely at first.

    Loaded features may be of any size. Those of Caffe's SqueezeNet vary by 3.3, of which a random kernel makes logits
    beyond ten, and their ReLU does not recover: 22 % on `digits` after four epochs, and 90 % from zeros. BiT's
    published code starts its heads so (Kolesnikov et al. 2019, arXiv:1912.11370).
    """
    for layer in fresh:
        if layer.name == "logits":
            layer.kernel.assign(np.zeros(layer.kernel.shape))


Pair = tuple[layers.Layer, dict[str, np.ndarray]]


def _pair(ours: list[layers.Layer], theirs: list[StoredLayer], arch: str, weights: str) -> tuple[list[Pair], str]:
    """Our layers with their arrays, up to the layers of the head that do not fit, and why these do not.

    Raises:
        BadInput: another layer does not fit, or the file has more layers.
    """
    pairs: list[Pair] = []
    for position, layer in enumerate(ours):
        if position == len(theirs):
            problem = f"the file ends before {layer.name}"
        else:
            arrays, problem = _arrange(layer, theirs[position], first=position == 0)
        if not problem:
            pairs.append((layer, arrays))
        elif is_head(layer) and pairs and len(theirs) <= len(ours):
            return pairs, problem
        else:
            raise misfit(weights, arch, problem)
    if len(theirs) > len(ours) and any(layer.name == "logits" for layer in ours):
        raise misfit(weights, arch, f"it has {theirs[len(ours)].name}, which {arch} has not")
    return pairs, ""


def _arrange(layer: layers.Layer, stored: StoredLayer, first: bool) -> tuple[dict[str, np.ndarray], str]:
    """The arrays in the shapes of the layer's variables, and the reason if they do not fit."""
    arrays: dict[str, np.ndarray] = {}
    for variable in layer.weights:
        array = stored.arrays.get(variable.name)
        shape = tuple(variable.shape)
        if array is None:
            return {}, f"{stored.name} has no {variable.name}, which is {shape_text(shape)} in {layer.name}"
        if first and len(shape) == array.ndim > 2 and shape[-2] == 1 and array.shape[-2] == 3:
            array = array.sum(-2, keepdims=True)  # one grey channel for red, green and blue
        if _squeeze(array.shape) == _squeeze(shape):  # a 1x1 convolution on a 1x1 map is a dense layer
            array = array.reshape(shape)
        if array.shape != shape:
            sizes = f"{shape_text(array.shape)} in the file and {shape_text(shape)} in the network"
            return {}, f"{variable.name} of {stored.name} is {sizes}"
        arrays[variable.name] = array
    if extra := set(stored.arrays) - set(arrays):
        return {}, f"{stored.name} has a {min(extra)}, which {layer.name} has not"
    return arrays, ""


def _squeeze(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape
