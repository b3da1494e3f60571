"""A network with weights for ImageNet's 1,000 classes: its names, its images' standardisation, what reads its files."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Any

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.weights.formats import check_weights

if TYPE_CHECKING:
    import keras

    from tfcnn.weights.expectations import Standardisation

# Keras is imported in functions: flags are checked without the wait for TensorFlow.


def class_names() -> list[str]:
    """The names of ImageNet's 1,000 classes, in the order of the outputs, as torchvision has them."""
    return importlib.resources.files("tfcnn.weights").joinpath("imagenet_classes.txt").read_text().splitlines()


def check(config: Config) -> None:
    """Raises BadInput for a network that has no classes, or weights that are not there."""
    task = registry.family_of(config.arch).task
    if task != "classification":
        raise BadInput(f"{config.arch} is for {task}: ImageNet has classes (--arch)")
    check_weights(config.weights or "imagenet")


def standardisation_of(config: Config) -> Standardisation:
    """What --mean and --std say, or what the weights expect. Raises BadInput where neither is known."""
    from tfcnn.weights.expectations import chosen_standardisation

    standardisation = chosen_standardisation(config)
    if standardisation is None:
        raise BadInput(f"'{config.weights}' does not say what images it is for: give --mean and --std")
    return standardisation


def load(config: Config) -> tuple[keras.Model, dict[str, Any], str]:
    """The network with its weights, its builder's arguments, and what was loaded in words. Raises BadInput."""
    from tfcnn import factory
    from tfcnn.weights import loading

    usual = registry.arguments(config.arch)["input_shape"]
    sides = config.input_sides(len(usual) - 1) or usual[:-1]
    arguments = factory.arguments_of(config, (*sides, 3), len(class_names()), config.weights)
    model = factory.build(config.arch, **arguments)
    loaded = loading.load(model, config.arch, config.weights or "imagenet", arguments, rgb=True)
    if loaded.fresh:
        raise BadInput(f"'{config.weights}' has no head for ImageNet's 1,000 classes: {loaded.reason} (--weights)")
    return model, arguments, str(loaded)


def data_facts(shape: tuple[int, ...], standardisation: Standardisation) -> dict[str, Any]:
    """What a run's config.json says of the data, as far as images are read by it."""
    names = class_names()
    return {
        "name": "imagenet",
        "task": "classification",
        "image_shape": shape,
        "num_classes": len(names),
        "class_names": names,
        "sizes": {"train": 0, "validation": 0, "test": 0},
        "value_range": (0.0, 255.0),
        "white_level": 65535,
        "dtype": "uint8",
        "mean": standardisation.mean,
        "std": standardisation.std,
        "fit": "crop",
        "fingerprint": "",
        "duplicates": {},
    }
