"""The weights in files of Keras: keras.applications' and ours."""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import keras

from tfcnn.errors import BadInput, first_line
from tfcnn.graph import in_order
from tfcnn.models import registry
from tfcnn.weights.stored import Stored, misfit, shape_text

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
HEADS = ("logits", "predictions", "conv_preds", "Logits")  # what ours and keras.applications call the last layer


def stored_layers(model: keras.Model) -> list[Stored]:
    return [
        Stored(layer.name, {v.name: keras.ops.convert_to_numpy(v) for v in layer.weights}) for layer in in_order(model)
    ]


def imagenet_model(arch: str, arguments: dict[str, Any]) -> keras.Model:
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


def read_keras_file(path: str) -> keras.Model:
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise BadInput(f"'{path}' cannot be read: {first_line(error)} (--weights)") from error


def read_h5_file(path: str, arch: str, model: keras.Model, arguments: dict[str, Any]) -> keras.Model:
    """A model with the file's values: our network or keras.applications', with as many classes as the file has."""
    try:
        shapes = _h5_shapes(path)
    except OSError as error:
        raise BadInput(f"'{path}' cannot be read: {first_line(error)} (--weights)") from error
    own, usual = (given["input_shape"][:-1] for given in (arguments, registry.arguments(arch)))
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
    if arch not in KERAS or names & set(registry.family_of(arch).features):  # keras.applications has no `stage1`
        channels, first = arguments["input_shape"][-1], tuple(in_order(model)[0].weights[0].shape)
        if channels == 1 and first not in shapes.values() and (*first[:-2], 3, first[-1]) in shapes.values():
            channels = 3
        known = {"input_shape": (*sides, channels)}
        if "num_classes" in arguments and (heads or registry.family_of(arch).task == "classification"):
            known["num_classes"] = heads[0] if heads else 0
        return registry.builder_of(arch)(**arguments | known)
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
