"""The registry: every architecture by name, with its limits and its arguments.

Names and limits are plain values, so that asking for them imports neither Keras nor a backend; a family's file is
imported when one of its networks is built. Channels come last, networks return float32 logits.

One meaning across families: `width` multiplies filters (rounded to multiples of 8, or of what the paper's number shares
with 8, and kept at 90 % or more: tfcnn.arithmetic.scaling.scale_width), `depth` multiplies the repeats of blocks
(rounded up: scale_depth), and the resolution is the size of the input.
"""

from __future__ import annotations

import fnmatch
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from tfcnn.arithmetic.integers import as_int, as_number
from tfcnn.errors import BadInput, choose

# Below this many pixels a network that divides the image by 32 ends in a 1x1 map.
SMALL_IMAGE = 64
STAGES = tuple(f"stage{n}" for n in range(1, 6))
KINDS = {1: ("sounds", "samples"), 2: ("images", "pixels a side"), 3: ("volumes", "voxels a side")}  # by their axes
DILATED_MAPS = (*STAGES, *(f"layer{n}" for n in range(1, 9)))


class Family(NamedTuple):
    module: str  # the file in the folder of its task; its VARIANTS has a row for each name
    task: str
    min_size: int  # the shortest side of the input that leaves every stage something to look at
    names: tuple[str, ...]
    features: tuple[str, ...] = STAGES  # the layers that `features_only` can give
    axes: int = 2  # of space or time in its inputs
    small: int = SMALL_IMAGE  # below this many pixels a side a network that has a `stem` gets the one for small images


FAMILIES = (
    Family("lenet", "classification", 16, ("lenet5",)),
    Family("vgg", "classification", 32, tuple(f"vgg{n}{bn}" for bn in ("", "_bn") for n in (11, 13, 16, 19))),
    Family("resnet", "classification", 8, tuple(f"resnet{n}" for n in (18, 34, 50, 101, 152, 20, 32, 44, 56, 110))),
    Family("densenet", "classification", 8, (*(f"densenet{n}" for n in (121, 169, 201, 161, 40)), "densenet_bc100")),
    Family("mobilenet", "classification", 16, ("mobilenet",)),
    Family("mobilenet_v2", "classification", 16, ("mobilenet_v2",)),
    Family("mobilenet_v3", "classification", 16, ("mobilenet_v3_small", "mobilenet_v3_large")),
    Family("xception", "classification", 16, ("xception",)),
    Family("efficientnet", "classification", 16, (*(f"efficientnet_b{n}" for n in range(8)), "efficientnet_lite0")),
    Family(
        "alexnet",
        "classification",
        15,
        ("alexnet", "alexnet_2012", "zfnet"),
        ("conv1", "conv2", "conv5"),
        small=67,  # 227's stem and three poolings without borders end in one position
    ),
    Family("nin", "classification", 8, ("nin", "nin_imagenet")),
    Family("googlenet", "classification", 8, ("googlenet",)),
    Family("inception_v3", "classification", 15, ("inception_v3",), small=75),
    Family("squeezenet", "classification", 8, ("squeezenet1_0", "squeezenet1_1")),
    Family("lecture_cnn", "classification", 16, ("lecture_cnn",)),
    Family("audio", "classification", 1024, ("m3", "m5", "m11", "m18"), axes=1),
    Family("voxnet", "classification", 16, ("voxnet",), axes=3),
    Family("unet", "segmentation", 16, ("unet",), small=0),  # an encoder's family decides on its stem
    Family("unet3d", "segmentation", 8, ("unet3d",), axes=3),
    Family("fcn", "segmentation", 32, ("fcn32s", "fcn16s", "fcn8s")),
    Family("segnet", "segmentation", 32, ("segnet",)),
    Family("deconvnet", "segmentation", 32, ("deconvnet",)),
    Family("dilated", "segmentation", 8, ("dilated_vgg16", "context_module"), DILATED_MAPS),
    Family("autoencoder", "reconstruction", 8, ("conv_autoencoder",)),
    Family("rcnn", "detection", 16, ("rcnn",), small=0),
    Family("fast_rcnn", "detection", 32, ("fast_rcnn",), small=0),
)
ARCHS = {name: family for family in FAMILIES for name in family.names}
TASKS = {family.task for family in FAMILIES}


def list_archs(pattern: str | Sequence[str] | None = "", *, task: str | None = None) -> list[str]:
    """Names that `build` knows, in the registry's order; as timm's `list_models`.

    Args:
        pattern: a shell-style pattern such as "*resnet*", or several, any of which may match; default: every name. The
            name of a task stands for `task`.
        task: only networks of one task, "classification", "segmentation" or "reconstruction".

    Returns:
        list[str]: empty where nothing matches.

    >>> list_archs("mobilenet*")
    ['mobilenet', 'mobilenet_v2', 'mobilenet_v3_small', 'mobilenet_v3_large']
    >>> list_archs(["fcn*", "unet*"]), list_archs("*3d", task="segmentation"), list_archs("vit*")
    (['unet', 'unet3d', 'fcn32s', 'fcn16s', 'fcn8s'], ['unet3d'], [])
    >>> list_archs("reconstruction")
    ['conv_autoencoder']
    """
    if isinstance(pattern, str) and pattern in TASKS and task in (None, pattern):
        return list_archs(task=pattern)
    patterns = [pattern or "*"] if isinstance(pattern, str) else list(pattern or "*")
    return [
        name
        for name, family in ARCHS.items()
        if task in (None, family.task) and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


def backbone_of(arch: str, overrides: Mapping[str, Any]) -> str:
    """The classification network within a detector, or of a U-Net with an encoder; any other network is its own answer.

    Args:
        arch: a name in the registry.
        overrides: arguments of its builder, which may choose the backbone or the encoder.

    Raises:
        BadInput: no such network.
    """
    networks = list_archs(task="classification")
    if family_of(arch).task == "detection":
        backbone = overrides.get("backbone", defaults_of(arch)["backbone"])
        return choose("backbone", backbone, networks, flag="--arch-args")
    if overrides.get("encoder") is None:
        return arch
    return choose("encoder", overrides["encoder"], [name for name in networks if ARCHS[name].axes == 2])


def family_of(arch: str) -> Family:
    """The family of an architecture. Raises BadInput, with the nearest names, for an unknown one."""
    return ARCHS[choose("architecture", arch, ARCHS, flag="--arch")]


def check_size(arch: str, size: int | Sequence[int | None]) -> None:
    """Raises BadInput when an input is too small for the architecture.

    `size` is in pixels, samples or voxels: one for each spatial axis (None: any), or one for all.
    """
    family = family_of(arch)
    sides = size if isinstance(size, Sequence) else (size,) * family.axes
    if any(side < family.min_size for side in sides if side is not None):
        inputs, unit = KINDS[family.axes]
        needed = f"{family.min_size} {unit}"
        raise BadInput(
            f"{inputs} of {'x'.join(map(str, sides))} are too small for {arch}: it needs {needed} (--image-size)"
        )


def module_of(family: Family) -> ModuleType:
    """The file of a family, imported."""
    return importlib.import_module(f"tfcnn.models.{family.task}.{family.module}")


def builder_of(arch: str) -> Callable:
    """The function that builds an architecture, its variant's arguments bound."""
    return module_of(family_of(arch)).VARIANTS[arch]


def defaults_of(arch: str) -> dict[str, Any]:
    """The parameters of an architecture's builder with their defaults."""
    return {name: parameter.default for name, parameter in inspect.signature(builder_of(arch)).parameters.items()}


def arguments(
    arch: str,
    input_shape: Sequence[int | None] | None = None,
    num_classes: int | None = None,
    *,
    image_scale: float = 1.0,
    **overrides: Any,
) -> dict[str, Any]:
    """Every argument with which `tfcnn.build` calls the architecture's builder, defaults filled in.

    NumPy's integers and floats become Python's. A network with a `stem` gets stem="cifar", which keeps resolution, for
    images below 64 pixels (or its family's `small`), unless `overrides` say otherwise. Images enlarged by `image_scale`
    count at their size before, so that the networks of a family (--phi) have one stem.

    Raises:
        BadInput: unknown architecture or argument, True or False in place of an integer, or an image below the
            architecture's minimum.
    """
    defaults = defaults_of(arch)
    for key, value in overrides.items():
        choose(f"argument of {arch}", key, defaults, flag="--arch-args")
        if isinstance(value, bool) and type(defaults[key]) is int:
            raise BadInput(f"{key} of {arch} must be an integer, got {value} (--arch-args)")
    filled = dict(defaults)
    if input_shape is not None:
        filled["input_shape"] = input_shape
    if num_classes is not None and "num_classes" in defaults:
        filled["num_classes"] = num_classes
    filled |= overrides
    filled = {key: _plain(value) for key, value in filled.items()}
    try:
        filled["input_shape"] = tuple(
            None if side is None else as_int(side, "each side of input_shape") for side in filled["input_shape"]
        )
        if "num_classes" in filled:
            filled["num_classes"] = as_int(filled["num_classes"], "num_classes", minimum=0)
    except ValueError as error:
        raise BadInput(f"{arch}: {error}") from error
    if len(filled["input_shape"]) != len(defaults["input_shape"]):
        received, usual = ("x".join(map(str, shape)) for shape in (filled["input_shape"], defaults["input_shape"]))
        raise BadInput(f"{arch} takes inputs such as {usual}, not {received} (--arch, --dataset)")
    sides = filled["input_shape"][:-1]
    check_size(arch, sides)
    unscaled = [side and round(side / image_scale) for side in sides]
    if "stem" in defaults and "stem" not in overrides and _is_small(arch, unscaled):
        filled["stem"] = "cifar"
    return filled


def _plain(value: Any) -> Any:
    """`value` with NumPy's numbers as Python's, in tuples and lists too."""
    if type(value) in (tuple, list):  # not named tuples: they are tables of a network
        return type(value)(_plain(entry) for entry in value)
    return as_number(value)


def _is_small(arch: str, image_size: Sequence[int | None]) -> bool:
    return any(side and side < family_of(arch).small for side in image_size)
