"""What is searched: functions from keras-tuner's HyperParameters to fields of `tfcnn.config.Config`.

Names that are no field of it are arguments of the architecture's builder. Another space is such a function in a file
(`--space my_space.py:narrow`):

    def narrow(hp):
        fields = {"opt": hp.Choice("opt", ["adamw", "sgd"]), "width": hp.Choice("width", [0.25, 0.5])}
        with hp.conditional_scope("opt", ["sgd"]):
            sgd_lr = hp.Float("sgd_lr", 0.01, 0.3, sampling="log")
        with hp.conditional_scope("opt", ["adamw"]):
            adamw_lr = hp.Float("adamw_lr", 1e-4, 0.03, sampling="log")
        return fields | {"lr": sgd_lr if fields["opt"] == "sgd" else adamw_lr}
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Space = Callable[["HyperParameters"], dict[str, Any]]
FIELDS = {field.name for field in dataclasses.fields(Config)}
RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
FINE_TUNING_SHARE = 0.1  # of the learning rates: the default recipe takes a fifth or half of the rate for fresh weights


def of(arch: str, sizes: Sequence[int] = ()) -> Space:
    """The space of an architecture: training, width, and what its family adds.

    Args:
        arch: one of tfcnn.list_archs().
        sizes: image sizes to choose from; the size is not searched if there are fewer than two.
    """
    family = registry.family_of(arch)

    def space(hp: HyperParameters) -> dict[str, Any]:
        fields = training(hp, family.task, family.axes)
        fields["width"] = hp.Choice("width", [0.25, 0.5, 0.75, 1.0])
        if len(sizes) > 1:
            fields["image_size"] = hp.Choice("image_size", list(sizes))
        return fields | FAMILIES[family.module](hp, registry.defaults_of(arch))

    return space


def of_loaded(arch: str) -> Space:
    """The space of an architecture whose weights are loaded: training alone, at rates of fine-tuning, and layer decay.

    Width, depth and image size are those of the weights.
    """
    family = registry.family_of(arch)

    def space(hp: HyperParameters) -> dict[str, Any]:
        fields = training(hp, family.task, family.axes, share=FINE_TUNING_SHARE)
        return fields | {"layer_decay": hp.Choice("layer_decay", [0.5, 0.65, 0.75, 0.9, 1.0])}

    return space


def sizes_of(arch: str, size: int) -> list[int]:
    """Half, three quarters and the whole of an image size, without those too small for the architecture.

    >>> sizes_of("mobilenet", 32), sizes_of("vgg11", 32), sizes_of("resnet18", 224)
    ([16, 24, 32], [32], [112, 168, 224])
    """
    least = registry.family_of(arch).min_size
    sizes = [round(share * size) for share in (0.5, 0.75, 1)]
    return [size for size in sizes if size >= least]


def training(hp: HyperParameters, task: str = "classification", axes: int = 2, share: float = 1.0) -> dict[str, Any]:
    """Optimiser, learning rate, weight decay, augmentation strength; for classification label smoothing.

    The learning rate has one range for each optimiser, as good rates differ by a factor of ten; `share` multiplies
    both.
    """
    fields = {"opt": hp.Choice("opt", ["adamw", "sgd"])}
    with hp.conditional_scope("opt", ["adamw"]):
        adamw = hp.Float("adamw_lr", share * 3e-4, share * 3e-2, sampling="log")
    with hp.conditional_scope("opt", ["sgd"]):
        sgd = hp.Float("sgd_lr", share * 3e-3, share * 0.3, sampling="log")
    fields["lr"] = adamw if fields["opt"] == "adamw" else sgd
    fields["weight_decay"] = hp.Float("weight_decay", 1e-4, 0.2, sampling="log")
    if axes == 2 and task != "detection":
        fields["aa"] = hp.Choice("aa", ["none", "light", "rand"] if task == "classification" else ["none", "light"])
    if task == "classification":
        fields["smoothing"] = hp.Choice("smoothing", [0.0, 0.1])
    return fields


# The functions of (hp, defaults) below take the default arguments of the builder.


def search_depth(hp: HyperParameters) -> dict[str, Any]:
    return {"depth": hp.Choice("depth", [0.5, 0.75, 1.0])}


def search_dropout(hp: HyperParameters) -> dict[str, Any]:
    return {"dropout": hp.Choice("dropout", RATES)}


def search_repeats(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    """The blocks of each stage, from one to the default."""
    stages = enumerate(defaults["repeats"], start=1)
    return {"repeats": tuple(hp.Int(f"repeats{stage}", 1, most) for stage, most in stages)}


def search_filters(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    """The filters of each stage, half the default or all."""
    stages = enumerate(defaults["filters"], start=1)
    return {"filters": tuple(hp.Choice(f"filters{stage}", [most // 2, most]) for stage, most in stages)}


def depth(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    return search_depth(hp)


def depth_and_dropout(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    return search_depth(hp) | search_dropout(hp)


def lenet(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    return search_depth(hp) | {"activation": hp.Choice("activation", ["relu", "tanh", "elu"])}


def vgg(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    return search_repeats(hp, defaults) | search_dropout(hp)


def resnet(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    return search_repeats(hp, defaults) | search_filters(hp, defaults)


def densenet(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    growth = defaults["growth"]
    fields = {"growth": hp.Choice("growth", [growth // 4, growth // 2, growth])}
    fields["compression"] = hp.Choice("compression", [0.5, 1.0])
    return fields | search_repeats(hp, defaults) | search_dropout(hp)


def efficientnet(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    return search_depth(hp) | search_dropout(hp) | {"drop_path": hp.Choice("drop_path", [0.0, 0.1, 0.2])}


def lecture_cnn(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    fields = {"filters": hp.Choice("filters", [16, 32, 64]), "kernel_size": hp.Choice("kernel_size", [3, 5])}
    return search_depth(hp) | search_dropout(hp) | fields | {"units": hp.Choice("units", [64, 128, 256])}


def voxnet(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    rate = hp.Choice("dropout", [0.0, 0.1, 0.2])
    return search_depth(hp) | {"dropout": (rate, rate + 0.1, rate + 0.2)}


def unet(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    return {"levels": hp.Int("levels", 3, 4), "batch_norm": hp.Boolean("batch_norm")} | search_dropout(hp)


def dilated(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    return search_depth(hp) | (search_dropout(hp) if "dropout" in defaults else {})


def autoencoder(hp: HyperParameters, defaults: dict[str, Any]) -> dict[str, Any]:
    return {"decoder": hp.Choice("decoder", ["transposed", "upsampling"])} | search_filters(hp, defaults)


# By family (the file in tfcnn/models).
FAMILIES: dict[str, Callable[[HyperParameters, dict[str, Any]], dict[str, Any]]] = {
    "alexnet": depth_and_dropout,
    "audio": depth_and_dropout,
    "autoencoder": autoencoder,
    "rcnn": depth,
    "fast_rcnn": depth_and_dropout,
    "deconvnet": depth,
    "densenet": densenet,
    "dilated": dilated,
    "efficientnet": efficientnet,
    "fcn": depth_and_dropout,
    "googlenet": depth_and_dropout,
    "inception_v3": depth_and_dropout,
    "lecture_cnn": lecture_cnn,
    "lenet": lenet,
    "mobilenet": depth_and_dropout,
    "mobilenet_v2": depth_and_dropout,
    "mobilenet_v3": depth_and_dropout,
    "nin": depth_and_dropout,
    "resnet": resnet,
    "segnet": depth,
    "squeezenet": depth_and_dropout,
    "unet": unet,
    "unet3d": depth,
    "vgg": vgg,
    "voxnet": voxnet,
    "xception": depth_and_dropout,
}


def fields_of(values: dict[str, Any]) -> dict[str, Any]:
    """Fields of Config from the dict that a space returns: other names are arguments of the builder.

    >>> fields_of({"lr": 0.1, "kernel_size": 5})
    {'lr': 0.1, 'arch_args': {'kernel_size': 5}}
    """
    if not isinstance(values, dict):
        raise BadInput(f"a space returns a dict of values by name, got {values!r} (--space)")
    fields = {name: value for name, value in values.items() if name in FIELDS}
    arguments = {name: value for name, value in values.items() if name not in FIELDS}
    return fields | {"arch_args": fields.get("arch_args", {}) | arguments}


def load(place: str, flag: str = "--space") -> Callable:
    """A function in a file, "path/to/file.py:name". Raises BadInput if there is none."""
    path, _, name = place.rpartition(":")
    if not (path.endswith(".py") and Path(path).is_file()):
        raise BadInput(f"no file '{path or name}': give path/to/file.py:function ({flag})")
    try:
        module = runpy.run_path(path)
    except (Exception, SystemExit) as error:
        raise BadInput(f"'{path}' cannot be run: {type(error).__name__}: {error} ({flag})") from error
    if not callable(module.get(name)):
        functions = ", ".join(key for key, value in module.items() if inspect.isfunction(value))
        raise BadInput(f"'{path}' has no function '{name}'; it has {functions or 'none'} ({flag})")
    return module[name]


def fingerprint(place: str) -> str:
    """What a study remembers of a space in a file: file name, function and twelve digits of the file's SHA-256."""
    path, _, name = place.rpartition(":")
    return f"{Path(path).name}:{name} {hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]}"
