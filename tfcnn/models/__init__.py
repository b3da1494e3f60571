"""The registry: every architecture by name, and `build`.

Names and limits are plain values, so that asking for them imports neither Keras nor a backend; a family's
file is imported when one of its networks is built. Channels come last, networks return float32 logits.

One meaning across families: `width` multiplies filters (rounded to multiples of 8, or of what the paper's number shares
with 8, and kept at 90 % or more: tfcnn.scaling.scale_width), `depth` multiplies the repeats of blocks (rounded up:
scale_depth), and the resolution is the size of the input.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tfcnn.config import Config
from tfcnn.errors import BadInput, choose

# Below this many pixels a network that divides the image by 32 ends in a 1x1 map.
SMALL_IMAGE = 64
STAGES = tuple(f"stage{n}" for n in range(1, 6))
KINDS = {1: ("sounds", "samples"), 2: ("images", "pixels a side"), 3: ("volumes", "voxels a side")}  # by their axes
DILATED_MAPS = (*STAGES, *(f"layer{n}" for n in range(1, 9)))


class Family(NamedTuple):
    module: str  # the file in this folder; its VARIANTS has a row for each name
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
    Family("efficientnet", "classification", 16, tuple(f"efficientnet_b{n}" for n in range(8))),
    Family(
        *("alexnet", "classification", 15, ("alexnet", "alexnet_2012", "zfnet"), ("conv1", "conv2", "conv5")),
        small=67,  # 227's stem and three poolings without borders end in one position
    ),
    Family("nin", "classification", 8, ("nin", "nin_imagenet")),
    Family("googlenet", "classification", 8, ("googlenet",)),
    Family("inception_v3", "classification", 15, ("inception_v3",), small=75),
    Family("squeezenet", "classification", 8, ("squeezenet1_0", "squeezenet1_1")),
    Family("lecture_cnn", "classification", 16, ("lecture_cnn",)),
    Family("audio", "classification", 1024, ("m3", "m5", "m11", "m18"), axes=1),
    Family("voxnet", "classification", 16, ("voxnet",), axes=3),
    Family("unet", "segmentation", 16, ("unet",)),
    Family("unet3d", "segmentation", 8, ("unet3d",), axes=3),
    Family("fcn", "segmentation", 32, ("fcn32s", "fcn16s", "fcn8s")),
    Family("segnet", "segmentation", 32, ("segnet",)),
    Family("deconvnet", "segmentation", 32, ("deconvnet",)),
    Family("dilated", "segmentation", 8, ("dilated_vgg16", "context_module"), DILATED_MAPS),
    Family("autoencoder", "reconstruction", 8, ("conv_autoencoder",)),
)
ARCHS = {name: family for family in FAMILIES for name in family.names}


def list_archs(task: str | None = None) -> list[str]:
    """Names that `build` knows, all or those of one task ("classification", "segmentation", "reconstruction")."""
    return [name for name, family in ARCHS.items() if task in (None, family.task)]


def family_of(arch: str) -> Family:
    """The family of an architecture. Raises BadInput, with the nearest names, for an unknown one."""
    return ARCHS[choose("architecture", arch, ARCHS, flag="--arch")]


def check_size(arch: str, size: int | tuple[int | None, ...]) -> None:
    """Raises BadInput when an input is too small for the architecture.

    `size` is that of its spatial axes, in pixels, samples or voxels (None: any), or one number for all of them.
    """
    family = family_of(arch)
    sides = (size,) * family.axes if isinstance(size, int) else size
    if any(side < family.min_size for side in sides if side is not None):
        inputs, unit = KINDS[family.axes]
        needed = f"{family.min_size} {unit}"
        raise BadInput(
            f"{inputs} of {'x'.join(map(str, sides))} are too small for {arch}: it needs {needed} (--image-size)"
        )


def builder_of(arch: str) -> Callable:
    """The function that builds an architecture, its variant's arguments bound."""
    module = importlib.import_module(f"tfcnn.models.{family_of(arch).module}")
    return module.VARIANTS[arch]


def arguments(
    arch: str,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    weights: str | None = None,
    image_scale: float = 1.0,
    **overrides: Any,
) -> dict[str, Any]:
    """Every argument with which `build` would call the architecture's builder, defaults filled in.

    A network with a `stem` gets stem="cifar", which keeps resolution, for images below 64 pixels (or its family's
    `small`), unless `overrides` say otherwise; with weights of another library stem and form are that library's. Images
    that were made larger by `image_scale` count as they were, so that the networks of a family (--phi) have one stem.

    Raises:
        BadInput: unknown architecture or argument, or an image below the architecture's minimum.
    """
    signature = inspect.signature(builder_of(arch))
    allowed = {name: parameter.default for name, parameter in signature.parameters.items()}
    for key in overrides:
        choose(f"argument of {arch}", key, allowed, flag="--arch-args")
    given = {"input_shape": input_shape, "num_classes": num_classes}
    given = {key: value for key, value in given.items() if value is not None and key in allowed}
    filled = allowed | given | overrides
    filled["input_shape"] = tuple(filled["input_shape"])
    if len(filled["input_shape"]) != len(usual := allowed["input_shape"]):
        given, usual = ("x".join(map(str, shape)) for shape in (filled["input_shape"], usual))
        raise BadInput(f"{arch} takes inputs such as {usual}, not {given} (--arch, --dataset)")
    check_size(arch, filled["input_shape"][:-1])
    if weights is not None and (form := _form_of(weights, family_of(arch))):
        published = {"form": form, "stem": "imagenet"}
        return filled | {key: value for key, value in published.items() if key in allowed and key not in overrides}
    if (
        "stem" in allowed
        and "stem" not in overrides
        and _is_small(arch, [side and round(side / image_scale) for side in filled["input_shape"][:-1]])
    ):
        filled["stem"] = "cifar"
    return filled


def arguments_of(
    config: Config, input_shape: tuple[int, ...], num_classes: int | None = None, weights: str | None = None
) -> dict[str, Any]:
    """`arguments` as a configuration has them, for images that are scaled by its --phi already. Raises BadInput."""
    scale = config.multipliers.resolution
    return arguments(config.arch, input_shape, num_classes, weights, scale, **config.overrides)


def _form_of(weights: str, family: Family) -> str | None:
    """The form of a network in the library whose weights these are; None for a file that may be ours."""
    if weights == "imagenet":
        return "keras"
    if weights.endswith((".safetensors", ".npz")):
        from tfcnn.state_dict import library_of

        return library_of(weights, family.module)
    return None


def _is_small(arch: str, image_size: tuple[int | None, ...]) -> bool:
    return any(side and side < family_of(arch).small for side in image_size)


def build(
    arch: str,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    *,
    weights: str | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    **overrides: Any,
) -> Any:
    """Build a network.

    Args:
        arch: one of `list_archs()`.
        input_shape: (height, width, channels), or as many axes as the architecture works on; default: the paper's.
        num_classes: size of the output; default: the paper's; 0: the pooled features of a classification network.
            Reconstruction networks, whose output has the channels of their input, leave it alone.
        weights: "imagenet", or the path of a file: tfcnn.weights.load; default: fresh weights.
        features_only: return the maps at several scales in place of logits.
        out_indices: with `features_only`, which of the maps, counted from 0; default: all. `feature_info(model)`
            tells their names, channels and strides.
        overrides: the family's own arguments; every network takes `width` and `depth`.

    Returns:
        keras.Model: float images (batch, height, width, channels) in, float32 logits (batch, num_classes) out, or
        features (batch, channels), or a list of maps (batch, height / stride, width / stride, channels). Segmentation
        networks return logits at each position, (batch, height, width, num_classes).

    Raises:
        BadInput (a ValueError): unknown architecture or argument, a value out of range, or an image below the
            architecture's minimum.

    Example:
        >>> model = build("mobilenet", (32, 32, 1), 10, width=0.5)
        >>> model.output_shape
        (None, 10)
        >>> [maps.shape for maps in build("resnet18", features_only=True, out_indices=(1, 4)).outputs]
        [(None, 56, 56, 64), (None, 7, 7, 512)]
    """
    if features_only and family_of(arch).task == "classification":
        num_classes = 0
    if num_classes == 0 and family_of(arch).task != "classification":
        raise BadInput(f"{arch} has no pooled features: give num_classes above 0, or features_only=True")
    filled = arguments(arch, input_shape, num_classes, weights=weights, **overrides)
    try:
        model = builder_of(arch)(**filled)
    except RecursionError as error:  # Keras walks the graph by recursion, some five calls a layer
        raise BadInput(f"{arch} of depth {filled['depth']:g} is too deep for Keras: give a lower --depth") from error
    except (TypeError, ValueError) as error:
        raise BadInput(f"{arch} cannot be built: {error}") from error
    if weights is not None:
        from tfcnn.weights import load

        loaded = load(model, arch, weights, filled)
        logging.getLogger("tfcnn").log(logging.WARNING if loaded.fresh else logging.INFO, "%s", loaded)
    if features_only:
        from tfcnn.models.features import features

        model = features(model, family_of(arch).features, out_indices)
    elif out_indices is not None:
        raise BadInput(f"out_indices={out_indices} chooses among maps: give features_only=True")
    return model
