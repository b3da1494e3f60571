"""Weights from elsewhere: keras.applications, torchvision, timm, and our own files.

A network and the file's network apply the same operations, so the layers that hold weights are paired in one order
that the graphs themselves give (`in_order`), and each array is brought into Keras' layout. Everything is checked before
the first value is written: a file that does not fit leaves the network as it was.
"""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from tfcnn import models
from tfcnn.errors import BadInput, first_line
from tfcnn.graph import in_order, is_head
from tfcnn.state_dict import FORMATS, Stored, misfit, read_state_dict, shape_text

# keras.applications' function for each of our names, and the arguments with which ours is the same network.
KERAS = {
    "vgg16": ("VGG16", {}),
    "vgg19": ("VGG19", {}),
    "resnet50": ("ResNet50", {"form": "keras"}),
    "resnet101": ("ResNet101", {"form": "keras"}),
    "resnet152": ("ResNet152", {"form": "keras"}),
    "densenet121": ("DenseNet121", {}),
    "densenet169": ("DenseNet169", {}),
    "densenet201": ("DenseNet201", {}),
    "inception_v3": ("InceptionV3", {"form": "keras"}),
    "xception": ("Xception", {"form": "keras"}),
    "mobilenet": ("MobileNet", {"form": "keras"}),
    "mobilenet_v2": ("MobileNetV2", {"form": "keras"}),
    "mobilenet_v3_small": ("MobileNetV3Small", {"form": "keras"}),
    "mobilenet_v3_large": ("MobileNetV3Large", {"form": "keras"}),
    **{f"efficientnet_b{n}": (f"EfficientNetB{n}", {"form": "keras"}) for n in range(8)},
}
# How the images were standardised on which keras.applications' files were trained: (x / 255 - mean) / std.
PHOTO_MEAN, PHOTO_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (0.48501961, 0.45795686, 0.40760392)  # 123.68, 116.779, 103.939 of 255; the channels are blue, green, red
HEADS = ("logits", "predictions", "conv_preds", "Logits")  # what ours and keras.applications call the last layer


class Loaded(NamedTuple):
    """What `load` did: `str()` is one line for the log."""

    source: str
    layers: int  # that got their weights
    fresh: list[str]  # layers at the end that keep their fresh weights
    reason: str

    def __str__(self) -> str:
        fresh = f"; left fresh: {', '.join(self.fresh)} ({self.reason})" if self.fresh else ""
        return f"{self.source}: weights of {self.layers} layers{fresh}"


class Standard(NamedTuple):
    """What the weights expect: red, green and blue as (x / 255 - mean) / std, or blue, green and red."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False


def load(model: keras.Model, arch: str, weights: str, arguments: dict[str, Any], *, rgb: bool = False) -> Loaded:
    """Load weights into a network that `tfcnn.build` made.

    Args:
        model: the network; with or without its head.
        arch: its name.
        weights: "imagenet" (keras.applications' file, by Keras' own download cache), or the path of a `.keras` or
            `.h5` file of ours or of keras.applications, or of a torchvision or timm `state_dict` saved as
            `.safetensors` or `.npz`.
        arguments: with which it was built: `tfcnn.models.arguments(...)`.
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
        theirs = _of_model(_imagenet(arch, arguments))
    elif not Path(weights).is_file():
        raise BadInput(f"no weights at '{weights}': give imagenet, or a file {FORMATS} (--weights)")
    elif suffix == ".keras":
        theirs = _of_model(_keras_file(weights))
    elif suffix == ".h5":
        theirs = _of_model(_h5_file(weights, arch, model, arguments))
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


def standard(arch: str, weights: str | None) -> Standard | None:
    """The standardisation that weights from elsewhere were trained with; None where the file does not tell (ours)."""
    if weights is not None and Path(weights).suffix in (".safetensors", ".npz"):
        return Standard(PHOTO_MEAN, PHOTO_STD)
    if weights != "imagenet":
        return None
    family = models.family_of(arch).module
    if family in ("vgg", "resnet"):
        return Standard(CAFFE_MEAN, (1 / 255,) * 3, bgr=True)
    if family in ("densenet", "efficientnet"):
        return Standard(PHOTO_MEAN, PHOTO_STD)
    return Standard((0.5,) * 3, (0.5,) * 3)


def _of_model(model: keras.Model) -> list[Stored]:
    return [
        Stored(layer.name, {v.name: keras.ops.convert_to_numpy(v) for v in layer.weights}) for layer in in_order(model)
    ]


def _imagenet(arch: str, arguments: dict[str, Any]) -> keras.Model:
    make = _application(arch, arguments)
    try:
        return make(weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise BadInput(f"the imagenet weights of {arch} cannot be had: {first_line(error)} (--weights)") from error


def _application(arch: str, arguments: dict[str, Any]):
    """keras.applications' function for the same network. Raises BadInput where there is none."""
    if arch not in KERAS:
        raise BadInput(f"keras.applications has no {arch}, only {', '.join(KERAS)} (--weights)")
    name, needed = KERAS[arch]
    for key, value in needed.items():
        if arguments.get(key, value) != value:
            raise BadInput(f"keras.applications' {name} is {arch} with {key}={value}, not {arguments[key]} (--weights)")
    options = {"alpha": arguments["width"]} if arch.startswith("mobilenet") else {}
    if arguments.get("minimalistic"):
        options["minimalistic"] = True

    def make(**more):
        return getattr(keras.applications, name)(**options, **more)

    return make


def _keras_file(path: str) -> keras.Model:
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise BadInput(f"'{path}' cannot be read: {first_line(error)} (--weights)") from error


def _h5_file(path: str, arch: str, model: keras.Model, arguments: dict[str, Any]) -> keras.Model:
    """A model with the file's values: our network or keras.applications', with as many classes as the file has."""
    try:
        shapes = _h5_shapes(path)
    except OSError as error:
        raise BadInput(f"'{path}' cannot be read: {first_line(error)} (--weights)") from error
    own, usual = (given["input_shape"][:-1] for given in (arguments, models.arguments(arch)))
    donor, problem = None, None
    for sides in dict.fromkeys((own, usual)):  # the dense layers of AlexNet and VGG know the size of the image
        try:
            donor = _donor(arch, model, arguments, sides, shapes)
            with warnings.catch_warnings(action="error", category=UserWarning):  # Keras warns of what it leaves out
                donor.load_weights(path)
            return donor
        except (ValueError, KeyError, UserWarning) as error:
            problem = error
    raise misfit(path, arch, (donor and _first_difference(donor, shapes)) or first_line(problem)) from problem


def _donor(arch: str, model: keras.Model, arguments: dict[str, Any], sides: tuple, shapes: dict) -> keras.Model:
    """The network that a file of these shapes was saved from, with fresh weights, for images of `sides` pixels."""
    names = {layer for layer, _ in shapes}
    heads = [shape[-1] for (layer, _), shape in shapes.items() if layer in HEADS and shape]
    if arch not in KERAS or names & set(models.family_of(arch).features):  # keras.applications has no `stage1`
        channels, first = arguments["input_shape"][-1], tuple(in_order(model)[0].weights[0].shape)
        if channels == 1 and first not in shapes.values() and (*first[:-2], 3, first[-1]) in shapes.values():
            channels = 3
        known = {"input_shape": (*sides, channels)}
        if "num_classes" in arguments and (heads or models.family_of(arch).task == "classification"):
            known["num_classes"] = heads[0] if heads else 0
        return models.builder_of(arch)(**arguments | known)
    make = _application(arch, arguments | KERAS[arch][1])
    if not heads:
        return make(weights=None, include_top=False)
    return make(weights=None, classes=heads[0], classifier_activation=None, input_shape=(*sides, 3))


def _h5_shapes(path: str) -> dict[tuple[str, str], tuple[int, ...] | None]:
    """(layer, tensor) -> shape, of a Keras 3 `.weights.h5` or an older `.h5` file; and (layer, "") -> None for each."""
    import h5py

    shapes = {}

    def note(name, item):
        parts = name.removeprefix("model_weights/").split("/")
        if isinstance(item, h5py.Dataset):
            layer = item.parent.attrs.get("name", parts[0])
            shapes[layer, name if parts[-2] == "vars" else parts[-1]] = item.shape
        elif parts != ["model_weights"]:
            shapes[item.attrs.get("name", parts[0]), ""] = None

    with h5py.File(path) as file:
        file.visititems(note)
    return shapes


def _first_difference(donor: keras.Model, shapes: dict) -> str:
    """The first tensor of the network that a file lacks or has in another shape."""
    with tempfile.TemporaryDirectory() as folder:
        donor.save_weights(path := str(Path(folder) / "donor.weights.h5"))
        wanted = _h5_shapes(path)
    found = {tensor: shape for (_, tensor), shape in shapes.items() if tensor}
    for (layer, tensor), shape in wanted.items():
        if tensor and found.get(tensor) != shape:
            sizes = f"{shape_text(found.get(tensor))} in the file and {shape_text(shape)} in the network"
            return f"tensor {tensor} of {layer} is {sizes}"
    return ""


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
