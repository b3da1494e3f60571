"""The weights in files of Keras: keras.applications' and ours."""

from __future__ import annotations

import functools
import json
import math
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import h5py
import keras
import numpy as np

from tfcnn import cost
from tfcnn.errors import BadInput, first_line
from tfcnn.graph import in_order
from tfcnn.model_files import explain, in_lower_case
from tfcnn.models import registry
from tfcnn.models.backbones import DECODER
from tfcnn.weights.formats import suffix_of
from tfcnn.weights.limits import check_archive, check_h5, check_size, limit_of
from tfcnn.weights.packages import PACKAGES
from tfcnn.weights.stored import StoredLayer, misfit, shape_text

# keras.applications' function for each of our names, and the arguments with which ours is the same network.
KERAS: dict[str, tuple[str, dict[str, str]]] = {
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
LONGEST_CONFIG = 1 << 26  # bytes
PUBLISHED_VARIANCE = (0.229, 0.224, 0.225)  # of keras.applications' EfficientNet, which means ImageNet's deviations
HEADS = ("logits", "predictions", "conv_preds", "Logits")  # names of the last layer, ours and keras.applications'
Shapes = dict[tuple[str, str], tuple[int, ...] | None]  # (layer, tensor) -> shape


def extract_layers(model: keras.Model) -> list[StoredLayer]:
    """The values of a model's layers, in the order of `in_order`."""
    return [
        StoredLayer(layer.name, {weight.name: keras.ops.convert_to_numpy(weight) for weight in layer.weights})
        for layer in in_order(model)
    ]


def load_application(arch: str, arguments: dict[str, Any]) -> keras.Model:
    """keras.applications' network with its ImageNet weights. Raises BadInput: no such network, or no download."""
    build = _application(arch, arguments)
    try:
        return build(weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise BadInput(f"the imagenet weights of {arch} cannot be had: {first_line(error)} (--weights)") from error


def _application(arch: str, arguments: dict[str, Any]) -> Callable[..., keras.Model]:
    """keras.applications' function for the same network. Raises BadInput where there is none."""
    if arch not in KERAS:
        raise BadInput(
            f"keras.applications has no {arch}, only {', '.join(KERAS)}, and packages have {' and '.join(PACKAGES)} "
            f"(--weights)"
        )
    name, needed = KERAS[arch]
    for key, value in needed.items():
        if arguments.get(key, value) != value:
            raise BadInput(f"keras.applications' {name} is {arch} with {key}={value}, not {arguments[key]} (--weights)")
    options = {"alpha": arguments["width"]} if arch.startswith("mobilenet") else {}
    if arguments.get("minimalistic"):
        options["minimalistic"] = True
    return functools.partial(getattr(keras.applications, name), **options)


def load_archive(path: str, limit: int) -> keras.Model:
    """The model in a `.keras` file, which holds layers of Keras and of this package.

    Args:
        path: of the file.
        limit: bytes that it may unpack to, and that the weights of its network may take.

    Raises:
        BadInput: it cannot be read, is too large, or has code or layers of other packages in it.
    """
    try:
        check_archive(path, limit)
        check_size(path, _size_of_network(path), limit)
        with in_lower_case(path) as file:
            return keras.saving.load_model(file, compile=False, safe_mode=True)
    except BadInput:
        raise
    except Exception as error:  # whatever Keras raises for a file that says what it cannot be
        raise _unreadable(path, explain(error)) from error


def _size_of_network(path: str) -> int:
    """The bytes of the weights of the network that a `.keras` file describes, none of which is allocated."""
    with cost.weightless():
        model = keras.saving.deserialize_keras_object(_read_config(path), safe_mode=True)
    return sum(4 * math.prod(weight.shape) for weight in model.weights)


def _read_config(path: str) -> dict[str, Any]:
    """The description of the network in a `.keras` file. Raises BadInput if it is too long."""
    with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
        text = file.read(LONGEST_CONFIG + 1)
    if len(text) > LONGEST_CONFIG:
        raise _unreadable(path, f"its config.json has more than {LONGEST_CONFIG:,} bytes")
    return json.loads(text)


def _unreadable(path: str, problem: str) -> BadInput:
    return BadInput(f"'{path}' cannot be read: {problem} (--weights)")


def load_h5_weights(path: str, arch: str, model: keras.Model, arguments: dict[str, Any]) -> keras.Model:
    """A model with the values of an `.h5` file: our network or keras.applications', with as many classes as the file.

    Raises:
        BadInput: the file cannot be read or fits neither network; it names the first tensor that differs.
    """
    try:
        check_h5(path, path, limit_of(model.layers))
        shapes = _h5_shapes(path)
    except BadInput:
        raise
    except Exception as error:  # h5py raises whatever its C library meets
        raise _unreadable(path, first_line(error)) from error
    sizes = [arguments["input_shape"][:-1], registry.arguments(arch)["input_shape"][:-1]]
    donor = None
    problems: list[Exception] = []
    for sides in dict.fromkeys(sizes):  # the dense layers of AlexNet and VGG depend on the size of the image
        try:
            donor = _donor(arch, model, arguments, sides, shapes)
            with warnings.catch_warnings(action="error", category=UserWarning), in_lower_case(path) as file:
                donor.load_weights(file)  # Keras warns of what it leaves out
            return donor
        except (ValueError, KeyError, UserWarning) as error:
            problems.append(error)
    difference = _first_difference(donor, shapes) if donor else ""
    raise misfit(path, arch, difference or first_line(problems[-1])) from problems[-1]


def _donor(
    arch: str, model: keras.Model, arguments: dict[str, Any], sides: tuple[int, ...], shapes: Shapes
) -> keras.Model:
    """The network that a file of these shapes was saved from, with fresh weights, for images of `sides` pixels."""
    names = [layer for layer, _ in shapes]
    heads = [shape[-1] for (layer, _), shape in shapes.items() if layer in HEADS and shape]
    if not _are_of_application(names, arch):
        channels = arguments["input_shape"][-1]
        first = tuple(in_order(model)[0].weights[0].shape)
        if channels == 1 and first not in shapes.values() and (*first[:-2], 3, first[-1]) in shapes.values():
            channels = 3
        arguments = arguments | {"input_shape": (*sides, channels)}
        if "num_classes" in arguments and (heads or registry.family_of(arch).task == "classification"):
            arguments["num_classes"] = heads[0] if heads else 0
        return registry.builder_of(arch)(**arguments)
    build = _application(arch, arguments | KERAS[arch][1])
    if not heads:
        return build(weights=None, include_top=False)
    return build(weights=None, classes=heads[0], classifier_activation=None, input_shape=(*sides, 3))


def is_application(path: str, arch: str) -> bool:
    """Whether a `.keras` or `.h5` file holds keras.applications' network, not ours. Raises BadInput: unreadable."""
    return _are_of_application(_layer_names(path), arch)


def holds_more_than_backbone(path: str) -> bool:
    """Whether a `.keras` file holds a detector, or a U-Net with its encoder. Raises BadInput: unreadable."""
    return not {"regions", DECODER}.isdisjoint(_layer_names(path))


def _layer_names(path: str) -> list[str]:
    """The names of the layers in a `.keras` or `.h5` file. Raises BadInput: unreadable."""
    try:
        if suffix_of(path) == ".keras":
            return [layer["config"].get("name", "") for layer in _read_config(path)["config"]["layers"]]
        return [layer for layer, _ in _h5_shapes(path)]
    except BadInput:
        raise
    except Exception as error:  # json, zipfile and h5py have one for each kind of damage
        raise _unreadable(path, first_line(error)) from error


def _are_of_application(names: Iterable[str], arch: str) -> bool:
    """Whether a network of keras.applications has these layers: none there is called `stage1`."""
    return arch in KERAS and not set(names) & set(registry.family_of(arch).features)


def read_normalisation(path: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and std of red, green and blue as 0 ... 1, in the first layers of keras.applications' EfficientNet.

    The published networks have PUBLISHED_VARIANCE in `Normalization`, and divide once more by its square root in a
    `Rescaling`, which an `.h5` file does not show. Those built with weights=None have mean 0 and variance 1, unless
    they were adapted to their data. None: the file has no such layer.
    """
    scale = np.ones(3)
    if suffix_of(path) == ".keras":
        for layer in _read_config(path)["config"]["layers"]:
            if layer["class_name"] == "Rescaling" and np.size(layer["config"]["scale"]) == 3:
                scale = scale * layer["config"]["scale"]
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
            values = _normalisation_values(file)
    else:
        values = _normalisation_values(path)
    if values is None:
        return None
    mean, variance = values
    if suffix_of(path) == ".h5" and np.allclose(variance, PUBLISHED_VARIANCE):
        scale = 1 / np.sqrt(variance)
    std = np.sqrt(variance) / scale
    return tuple(mean.round(4).tolist()), tuple(std.round(4).tolist())


def _normalisation_values(file: str | IO[bytes]) -> list[np.ndarray] | None:
    """Mean and variance: of the layers' tensors, a group of two with three values and a count is theirs alone."""
    groups: list[list[np.ndarray]] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group):
            arrays = [value for _, value in sorted(item.items()) if isinstance(value, h5py.Dataset)]
            if sorted(array.shape for array in arrays) == [(), (3,), (3,)]:
                groups.append([array[()].astype("float64") for array in arrays if array.shape])

    with h5py.File(file, "r") as content:
        content.visititems(visit)
    return groups[0] if groups else None


def _h5_shapes(path: str) -> Shapes:
    """The shapes in a Keras 3 `.weights.h5` or an older `.h5` file, and (layer, "") -> None for each layer."""
    shapes: Shapes = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        parts = name.removeprefix("model_weights/").split("/")
        if isinstance(item, h5py.Dataset):
            layer = item.parent.attrs.get("name", parts[0])
            shapes[layer, name if parts[-2] == "vars" else parts[-1]] = item.shape
        elif parts != ["model_weights"]:
            shapes[item.attrs.get("name", parts[0]), ""] = None

    with h5py.File(path) as file:
        file.visititems(note)
    return shapes


def _first_difference(donor: keras.Model, shapes: Shapes) -> str:
    """The first tensor of the network that a file lacks or has in another shape."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "donor.weights.h5")
        donor.save_weights(path)
        network_shapes = _h5_shapes(path)
    file_shapes = {tensor: shape for (_, tensor), shape in shapes.items() if tensor}
    for (layer, tensor), shape in network_shapes.items():
        if tensor and file_shapes.get(tensor) != shape:
            sizes = f"{shape_text(file_shapes.get(tensor))} in the file and {shape_text(shape)} in the network"
            return f"tensor {tensor} of {layer} is {sizes}"
    return ""
