"""What is searched: functions from keras-tuner's HyperParameters to fields of `tfcnn.config.Config`.

Names that are no field of it are arguments of the architecture's builder. A space of your own is such a function in a
file (`--space my_space.py:narrow`):

    def narrow(hp):
        found = {"opt": hp.Choice("opt", ["adamw", "sgd"]), "width": hp.Choice("width", [0.25, 0.5])}
        with hp.conditional_scope("opt", ["sgd"]):
            slow = hp.Float("sgd_lr", 0.01, 0.3, sampling="log")
        return found | ({"lr": slow} if found["opt"] == "sgd" else {"lr": hp.Float("lr", 1e-4, 0.03, sampling="log")})
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry

FIELDS = {field.name for field in dataclasses.fields(Config)}
RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def of(arch: str, sizes: Sequence[int] = ()) -> Callable[[Any], dict[str, Any]]:
    """The space of an architecture: how it is trained, its width, and what its family has beside that.

    Args:
        arch: one of tfcnn.list_archs().
        sizes: of the images, to choose from; fewer than two: the size is not searched.
    """
    family = registry.family_of(arch)

    def space(hp) -> dict[str, Any]:
        usual = {name: p.default for name, p in inspect.signature(registry.builder_of(arch)).parameters.items()}
        found = training(hp, family.task, family.axes)
        found["width"] = hp.Choice("width", [0.25, 0.5, 0.75, 1.0])
        if len(sizes) > 1:
            found["image_size"] = hp.Choice("image_size", list(sizes))
        return found | FAMILIES[family.module](hp, usual)

    return space


def sizes_of(arch: str, size: int) -> list[int]:
    """Half, three quarters and the whole of a size of images, as far as the architecture goes.

    >>> sizes_of("mobilenet", 32), sizes_of("vgg11", 32), sizes_of("resnet18", 224)
    ([16, 24, 32], [32], [112, 168, 224])
    """
    least = registry.family_of(arch).min_size
    return [found for share in (0.5, 0.75, 1) if (found := round(share * size)) >= least]


def training(hp, task: str = "classification", axes: int = 2) -> dict[str, Any]:
    """Optimiser, learning rate, weight decay, augmentation strength; label smoothing of classification.

    The two optimisers' rates differ by ten times, so that each has its own.
    """
    found = {"opt": hp.Choice("opt", ["adamw", "sgd"])}
    with hp.conditional_scope("opt", ["adamw"]):
        adamw = hp.Float("adamw_lr", 3e-4, 3e-2, sampling="log")
    with hp.conditional_scope("opt", ["sgd"]):
        sgd = hp.Float("sgd_lr", 3e-3, 0.3, sampling="log")
    found["lr"] = adamw if found["opt"] == "adamw" else sgd
    found["weight_decay"] = hp.Float("weight_decay", 1e-4, 0.2, sampling="log")
    if axes == 2:
        found["aa"] = hp.Choice("aa", ["none", "light", "rand"] if task == "classification" else ["none", "light"])
    if task == "classification":
        found["smoothing"] = hp.Choice("smoothing", [0.0, 0.1])
    return found


def depth(hp) -> dict[str, Any]:
    return {"depth": hp.Choice("depth", [0.5, 0.75, 1.0])}


def dropout(hp) -> dict[str, Any]:
    return {"dropout": hp.Choice("dropout", RATES)}


def repeats(hp, usual) -> dict[str, Any]:
    """The blocks of each stage, from one to those of the architecture."""
    return {"repeats": tuple(hp.Int(f"repeats{n}", 1, most) for n, most in enumerate(usual["repeats"], start=1))}


def filters(hp, usual) -> dict[str, Any]:
    """The filters of each stage, half or all of those of the architecture."""
    stages = enumerate(usual["filters"], start=1)
    return {"filters": tuple(hp.Choice(f"filters{n}", [most // 2, most]) for n, most in stages)}


def lenet(hp, usual):
    return depth(hp) | {"activation": hp.Choice("activation", ["relu", "tanh", "elu"])}


def resnet(hp, usual):
    return repeats(hp, usual) | filters(hp, usual)


def densenet(hp, usual):
    growth = usual["growth"]
    found = {"growth": hp.Choice("growth", [growth // 4, growth // 2, growth])}
    found["compression"] = hp.Choice("compression", [0.5, 1.0])
    return found | repeats(hp, usual) | dropout(hp)


def efficientnet(hp, usual):
    return depth(hp) | dropout(hp) | {"drop_path": hp.Choice("drop_path", [0.0, 0.1, 0.2])}


def lecture_cnn(hp, usual):
    found = {"filters": hp.Choice("filters", [16, 32, 64]), "kernel_size": hp.Choice("kernel_size", [3, 5])}
    return depth(hp) | dropout(hp) | found | {"units": hp.Choice("units", [64, 128, 256])}


def voxnet(hp, usual):
    rate = hp.Choice("dropout", [0.0, 0.1, 0.2])
    return depth(hp) | {"dropout": (rate, rate + 0.1, rate + 0.2)}


def unet(hp, usual):
    return {"levels": hp.Int("levels", 3, 4), "batch_norm": hp.Boolean("batch_norm")} | dropout(hp)


def dilated(hp, usual):
    return depth(hp) | (dropout(hp) if "dropout" in usual else {})


def autoencoder(hp, usual):
    decoders = ["transposed", "upsampling"]
    return {"decoder": hp.Choice("decoder", decoders)} | filters(hp, usual)


# By family (the file in tfcnn/models): functions of (hp, the builder's defaults).
FAMILIES = {
    "lenet": lenet,
    "vgg": lambda hp, usual: repeats(hp, usual) | dropout(hp),
    "resnet": resnet,
    "densenet": densenet,
    "efficientnet": efficientnet,
    "lecture_cnn": lecture_cnn,
    "voxnet": voxnet,
    "unet": unet,
    "dilated": dilated,
    "autoencoder": autoencoder,
    **dict.fromkeys(
        (
            *("mobilenet", "mobilenet_v2", "mobilenet_v3", "xception", "alexnet", "nin", "googlenet", "inception_v3"),
            *("squeezenet", "audio", "fcn"),
        ),
        lambda hp, usual: depth(hp) | dropout(hp),
    ),
    **dict.fromkeys(("segnet", "deconvnet", "unet3d"), lambda hp, usual: depth(hp)),
}


def fields_of(found: dict[str, Any]) -> dict[str, Any]:
    """Fields of Config from what a space gives: other names are arguments of the builder.

    >>> fields_of({"lr": 0.1, "kernel_size": 5})
    {'lr': 0.1, 'arch_args': {'kernel_size': 5}}
    """
    if not isinstance(found, dict):
        raise BadInput(f"a space gives a dict of values by name, got {found!r} (--space)")
    arguments = found.get("arch_args", {}) | {name: value for name, value in found.items() if name not in FIELDS}
    return {name: value for name, value in found.items() if name in FIELDS} | {"arch_args": arguments}


def load(place: str, flag: str = "--space") -> Callable:
    """A function in a file, "path/to/file.py:name". Raises BadInput if there is none."""
    path, _, name = place.rpartition(":")
    if not (path.endswith(".py") and Path(path).is_file()):
        raise BadInput(f"no file '{path or name}': give path/to/file.py:function ({flag})")
    try:
        found = runpy.run_path(path)
    except Exception as error:
        raise BadInput(f"'{path}' cannot be run: {type(error).__name__}: {error} ({flag})") from error
    if not callable(found.get(name)):
        functions = ", ".join(key for key, value in found.items() if inspect.isfunction(value))
        raise BadInput(f"'{path}' has no function '{name}'; it has {functions or 'none'} ({flag})")
    return found[name]


def fingerprint(place: str) -> str:
    """What a study remembers of a space in a file: its place and twelve digits of its SHA-256."""
    path, _, name = place.rpartition(":")
    return f"{Path(path).name}:{name} {hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]}"
