"""What the weights of a library expect: the form and stem of the network, and the standardisation of its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tfcnn.models import registry
from tfcnn.weights.stored import read_tensor_names


def expected_arguments(arch: str, weights: str) -> dict[str, Any]:
    """The form and stem of a network in the library whose weights these are; nothing for a file that may be ours.

    Raises:
        BadInput: a file that cannot be read.
    """
    if weights == "imagenet":
        return {"form": "keras", "stem": "imagenet"}
    if weights.endswith((".safetensors", ".npz")):
        return {"form": _library_of(weights, registry.family_of(arch).module), "stem": "imagenet"}
    return {}


def _library_of(path: str, family: str) -> str:
    """ "timm" or "torchvision": whose networks, where they differ, have a file's names. Raises BadInput: unreadable."""
    return "timm" if family == "xception" or "conv_stem.weight" in read_tensor_names(path) else "torchvision"


# The standardisation of the images that keras.applications' files were trained on: (x / 255 - mean) / std.
PHOTO_MEAN = (0.485, 0.456, 0.406)
PHOTO_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (0.48501961, 0.45795686, 0.40760392)  # 123.68, 116.779, 103.939 of 255; the channels are blue, green, red


class Standardisation(NamedTuple):
    """What the weights expect: red, green and blue as (x / 255 - mean) / std, or blue, green and red."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False


def expected_standardisation(arch: str, weights: str | None) -> Standardisation | None:
    """The standardisation that weights from elsewhere were trained with; None where the file does not tell (ours)."""
    if weights is not None and Path(weights).suffix in (".safetensors", ".npz"):
        return Standardisation(PHOTO_MEAN, PHOTO_STD)
    if weights != "imagenet":
        return None
    family = registry.family_of(arch).module
    if family in ("vgg", "resnet"):
        return Standardisation(CAFFE_MEAN, (1 / 255,) * 3, bgr=True)
    if family in ("densenet", "efficientnet"):
        return Standardisation(PHOTO_MEAN, PHOTO_STD)
    return Standardisation((0.5,) * 3, (0.5,) * 3)
