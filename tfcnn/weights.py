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
from tfcnn.config import BadInput
from tfcnn.torch_names import NAMES

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
FORMATS = ".keras, .h5, .safetensors or .npz"


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


class Stored(NamedTuple):
    """The weights of one layer of the source: its name there, and arrays in Keras' layout by Keras' names."""

    name: str
    arrays: dict[str, np.ndarray]


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
        theirs = _of_state_dict(weights, arch, ours, arguments)
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


def library_of(path: str, family: str) -> str:
    """ "timm" or "torchvision": whose networks, where they differ, have a file's names. Raises BadInput: unreadable."""
    return "timm" if family == "xception" or "conv_stem.weight" in _tensors(path) else "torchvision"


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


def in_order(model: keras.Model) -> list[layers.Layer]:
    """The layers of a functional model that hold weights, in an order that depends on its graph alone.

    Depth first from the outputs, a layer after all that it needs; inputs in their order, but those of a sum or product
    by how much lies behind them, the most first, so that `Add()([x, y])` and `Add()([y, x])` give the same order.
    Input normalisation (keras.applications' EfficientNet) is left out.
    """
    behind: dict[int, int] = {}  # for each node of the graph the set of nodes that it needs, as the bits of a number
    order = []

    def sources(node):
        nodes = [_node(tensor) for tensor in node.input_tensors]
        if isinstance(node.operation, layers.Add | layers.Multiply) and all(id(n) in behind for n in nodes):
            nodes.sort(key=lambda n: -behind[id(n)].bit_count())
        return nodes

    def walk(each):
        seen, stack = set(), [(node, False) for node in reversed([_node(output) for output in model.outputs])]
        while stack:
            node, ready = stack.pop()
            if ready:
                each(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((source, False) for source in reversed(sources(node)))

    def count(node):
        bits = 1 << len(behind)
        for source in sources(node):
            bits |= behind[id(source)]
        behind[id(node)] = bits

    def collect(node):
        operation = node.operation
        inner = in_order(operation) if isinstance(operation, keras.Model) else [operation]
        order.extend(layer for layer in inner if isinstance(layer, layers.Layer) and layer.weights)

    walk(count)
    walk(collect)
    return [layer for layer in dict.fromkeys(order) if not isinstance(layer, layers.Normalization)]


def _node(tensor):
    """The application of a layer that made a tensor. Keras has no public name for it; its own plots read the same."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _of_model(model: keras.Model) -> list[Stored]:
    return [
        Stored(layer.name, {v.name: keras.ops.convert_to_numpy(v) for v in layer.weights}) for layer in in_order(model)
    ]


def _imagenet(arch: str, arguments: dict[str, Any]) -> keras.Model:
    make = _application(arch, arguments)
    try:
        return make(weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise BadInput(f"the imagenet weights of {arch} cannot be had: {_line(error)} (--weights)") from error


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
        raise BadInput(f"'{path}' cannot be read: {_line(error)} (--weights)") from error


def _h5_file(path: str, arch: str, model: keras.Model, arguments: dict[str, Any]) -> keras.Model:
    """A model with the file's values: our network or keras.applications', with as many classes as the file has."""
    try:
        shapes = _h5_shapes(path)
    except OSError as error:
        raise BadInput(f"'{path}' cannot be read: {_line(error)} (--weights)") from error
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
    raise _misfit(path, arch, (donor and _first_difference(donor, shapes)) or _line(problem)) from problem


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
            sizes = f"{_shape(found.get(tensor))} in the file and {_shape(shape)} in the network"
            return f"tensor {tensor} of {layer} is {sizes}"
    return ""


def _of_state_dict(path: str, arch: str, ours: list[layers.Layer], arguments: dict[str, Any]) -> list[Stored]:
    """The layers of a torchvision or timm `state_dict`, as far as the file goes."""
    tensors = _tensors(path)
    ways = [list(names(arguments)) for names in NAMES.get(models.family_of(arch).module, ())]
    modules = {name.rpartition(".")[0] for name in tensors}
    names = max(ways, key=lambda way: len(modules & set(way)), default=[])
    if not modules & set(names):
        given = next(iter(tensors), "nothing")
        raise BadInput(f"'{path}' has {given}, and none of {arch}'s names in torchvision or timm (--weights)")
    stored, used = [], set()
    for layer, name in zip(ours, names, strict=False):
        arrays = _from_torch(layer, name, tensors)
        if not arrays:
            if is_head(layer):
                break
            raise _misfit(path, arch, f"it has no {name}.weight")
        stored.append(Stored(name, arrays))
    for name in names:
        used.update({name, f"{name}.conv1", f"{name}.pointwise"})
    for tensor in tensors:
        module, _, kind = tensor.rpartition(".")
        auxiliary = module.lower().startswith("aux")
        if module not in used and kind != "num_batches_tracked" and not auxiliary:
            raise _misfit(path, arch, f"it has {tensor}, {_shape(tensors[tensor].shape)}, which {arch} has not")
    return stored


def _tensors(path: str) -> dict[str, np.ndarray]:
    if not Path(path).is_file():
        raise BadInput(f"no weights at '{path}': give imagenet, or a file {FORMATS} (--weights)")
    try:
        if path.endswith(".npz"):
            with np.load(path, allow_pickle=False) as file:
                tensors = dict(file)
        else:
            from safetensors.numpy import load_file

            tensors = load_file(path)
    except Exception as error:  # safetensors raises its own error, which is a bare Exception
        raise BadInput(f"'{path}' cannot be read: {_line(error)} (--weights)") from error
    return {name.removeprefix("module."): array for name, array in tensors.items()}


def _from_torch(layer: layers.Layer, name: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of PyTorch's module `name` by Keras' names and in its layout; empty where the file has none."""
    if isinstance(layer, layers.SeparableConv2D):  # timm's two modules
        found = {"depthwise_kernel": f"{name}.conv1.weight", "pointwise_kernel": f"{name}.pointwise.weight"}
    elif isinstance(layer, layers.BatchNormalization):
        kinds = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
        found = {key: f"{name}.{kind}" for key, kind in kinds.items()}
    else:
        found = {"kernel": f"{name}.weight", "bias": f"{name}.bias"}
    arrays = {key: np.asarray(tensors[tensor], "float32") for key, tensor in found.items() if tensor in tensors}
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
        source = _node(layer._inbound_nodes[0].input_tensors[0])
        while isinstance(source.operation, layers.Dropout):
            source = _node(source.input_tensors[0])
        if isinstance(source.operation, layers.Flatten):
            *sides, channels = source.input_tensors[0].shape[1:]
            if array.shape[1] == channels * np.prod(sides):
                array = array.reshape(-1, channels, *sides)
    array = np.moveaxis(array, (0, 1), (-1, -2))
    return array.reshape(-1, array.shape[-1]) if isinstance(layer, layers.Dense) else array


def _fit(ours: list[layers.Layer], theirs: list[Stored], arch: str, weights: str):
    """(layer, arrays) pairs that fit, names of the layers of the head that stay fresh, and why. Raises BadInput."""
    pairs = []
    for position, layer in enumerate(ours):
        if position == len(theirs):
            misfit = f"the file ends before {layer.name}"
        else:
            stored = theirs[position]
            arrays, misfit = _arranged(layer, stored, first=position == 0)
        if not misfit:
            pairs.append((layer, arrays))
        elif is_head(layer) and pairs:
            return pairs, [layer.name for layer in ours[position:]], misfit
        else:
            raise _misfit(weights, arch, misfit)
    if len(theirs) > len(ours) and any(layer.name == "logits" for layer in ours):
        raise _misfit(weights, arch, f"it has {theirs[len(ours)].name}, which {arch} has not")
    return pairs, [], ""


def _arranged(layer: layers.Layer, stored: Stored, first: bool) -> tuple[dict[str, np.ndarray], str]:
    """The arrays in the shapes of the layer's variables, and what does not fit."""
    arrays = {}
    for variable in layer.weights:
        array, shape = stored.arrays.get(variable.name), tuple(variable.shape)
        if array is None:
            return {}, f"{stored.name} has no {variable.name}, which is {_shape(shape)} in {layer.name}"
        if first and len(shape) == array.ndim > 2 and shape[-2] == 1 and array.shape[-2] == 3:
            array = array.sum(-2, keepdims=True)  # one grey channel for red, green and blue
        if _squeezed(array.shape) == _squeezed(shape):  # a 1x1 convolution on a 1x1 map is a dense layer
            array = array.reshape(shape)
        if array.shape != shape:
            sizes = f"{_shape(array.shape)} in the file and {_shape(shape)} in the network"
            return {}, f"{variable.name} of {stored.name} is {sizes}"
        arrays[variable.name] = array
    if extra := set(stored.arrays) - set(arrays):
        return {}, f"{stored.name} has a {min(extra)}, which {layer.name} has not"
    return arrays, ""


def _misfit(weights: str, arch: str, what: str) -> BadInput:
    return BadInput(f"'{weights}' does not fit {arch}: {what}; nothing was loaded (--weights)")


def is_head(layer: layers.Layer) -> bool:
    """Whether a layer works on the pooled or flattened features, or gives the logits."""
    return layer.name == "logits" or len(layer._inbound_nodes[0].input_tensors[0].shape) == 2


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "x".join(map(str, shape))


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
