"""`python -m tfcnn.pretrained --arch squeezenet1_1`: a finished run of a network with ImageNet weights, not trained.

It has what tfcnn.predict, tfcnn.export and `tfcnn.evaluate --dataset PLACE` read, and `tfcnn.load` in Python:

    config.json  model.keras  saved_model/  files.json  metrics.json
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import sys
import time
from typing import TYPE_CHECKING, Any

from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.files import write_json, writing
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.run_directory import RunDirectory, default_path
from tfcnn.weights.formats import check_weights

if TYPE_CHECKING:
    import keras

    from tfcnn.weights.expectations import Standardisation

FLAGS = ("arch", "width", "depth", "arch_args", "weights", "mean", "std", "image_size", "out")


def class_names() -> list[str]:
    """The names of ImageNet's 1,000 classes, in the order of the outputs, as torchvision has them."""
    return importlib.resources.files("tfcnn.weights").joinpath("imagenet_classes.txt").read_text().splitlines()


def write_run(config: Config) -> RunDirectory:
    """Write a run of a network with weights for ImageNet's 1,000 classes.

    Args:
        config: arch, width, depth, arch_args; weights, default "imagenet"; image_size, default the paper's; mean and
            std, default what the weights expect; out.

    Returns:
        RunDirectory: finished.

    Raises:
        BadInput: no network for classes, no weights, weights of other classes or without a known standardisation.
    """
    started = time.monotonic()
    weights = config.weights or "imagenet"
    config = dataclasses.replace(config, weights=weights, dataset="imagenet")
    if registry.family_of(config.arch).task != "classification":
        raise BadInput(f"{config.arch} is for {registry.family_of(config.arch).task}: ImageNet has classes (--arch)")
    check_weights(weights)
    run = RunDirectory(config.out or default_path(config.arch, "imagenet"))
    run.check_new()
    import_tensorflow()
    from tfcnn import cost
    from tfcnn.export.savedmodel import export_savedmodel
    from tfcnn.training.data import standardisation_of
    from tfcnn.training.provenance import provenance

    standardisation = standardisation_of(config)
    if standardisation is None:
        raise BadInput(f"'{config.weights}' does not say what images it is for: give --mean and --std")
    model, arguments, loaded = _load(config)
    table = cost.cost_table(model)
    costs: dict[str, Any] = {"parameters": table.params, "macs": table.macs}
    data = _data_facts(arguments["input_shape"], standardisation)
    facts = {
        "config": config.to_dict(),
        "standardisation": str(standardisation),
        "arguments": arguments,
        "weights": {"loaded": loaded, "frozen_layers": 0},
        "recipe": {},
        "cost": costs,
        "data": data,
    }
    run.make()
    with run.removed_unless_begun(), run.locked():
        write_json(run.config, facts)
        with writing(run.model) as draft:
            model.save(draft)
        export_savedmodel(model, run.saved_model, data)
        run.finish(costs | provenance(time.monotonic() - started))
    print(f"weights    {loaded}\nimages     standardised with {standardisation}\nrun        {run.path}")
    return run


def _load(config: Config) -> tuple[keras.Model, dict[str, Any], str]:
    """The network with its weights, its builder's arguments, and what was loaded in words. Raises BadInput."""
    from tfcnn import factory
    from tfcnn.weights import loading

    usual = registry.arguments(config.arch)["input_shape"]
    sides = usual[:-1] if config.image_size is None else (config.image_size,) * (len(usual) - 1)
    arguments = factory.arguments_of(config, (*sides, 3), len(class_names()), config.weights)
    model = factory.build(config.arch, **arguments)
    loaded = loading.load(model, config.arch, config.weights or "imagenet", arguments, rgb=True)
    if loaded.fresh:
        raise BadInput(f"'{config.weights}' has no head for ImageNet's 1,000 classes: {loaded.reason} (--weights)")
    return model, arguments, str(loaded)


def _data_facts(shape: tuple[int, ...], standardisation: Standardisation) -> dict[str, Any]:
    """What config.json says of the data, as far as images are read by it."""
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


def main() -> None:
    parser = Parser(
        prog="python -m tfcnn.pretrained",
        description="Write a finished run of a network with ImageNet weights, for tfcnn.predict and tfcnn.export.",
    )
    add_flags(parser, FLAGS)
    write_run(Config(**vars(parser.parse_args())))


if __name__ == "__main__":
    sys.exit(run_main(main))
