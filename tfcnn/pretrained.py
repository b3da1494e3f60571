"""`python -m tfcnn.pretrained --arch squeezenet1_1`: a finished run of a network with ImageNet weights, not trained.

It has what tfcnn.predict, tfcnn.export and `tfcnn.evaluate --dataset PLACE` read, and `tfcnn.load` in Python:

    config.json  model.keras  saved_model/  files.json  metrics.json
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

from tfcnn import imagenet
from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.files import write_json, writing
from tfcnn.flags import add_flags
from tfcnn.run_directory import RunDirectory, default_path

FLAGS = ("arch", "width", "depth", "arch_args", "weights", "mean", "std", "image_size", "out")


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
    imagenet.check(config)
    run = RunDirectory(config.out or default_path(config.arch, "imagenet"))
    run.check_new()
    import_tensorflow()
    from tfcnn import cost
    from tfcnn.export.savedmodel import export_savedmodel
    from tfcnn.training.model_card import write_card
    from tfcnn.training.provenance import provenance

    standardisation = imagenet.standardisation_of(config)
    model, arguments, loaded = imagenet.load(config)
    table = cost.cost_table(model)
    costs: dict[str, Any] = {"parameters": table.params, "macs": table.macs}
    data = imagenet.data_facts(arguments["input_shape"], standardisation)
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
        metrics = costs | provenance(time.monotonic() - started)
        write_card(run, metrics)
        run.finish(metrics)
    print(f"weights    {loaded}\nimages     standardised with {standardisation}\nrun        {run.path}")
    return run


def main() -> None:
    parser = Parser(
        prog="python -m tfcnn.pretrained",
        description="Write a finished run of a network with ImageNet weights, for tfcnn.predict and tfcnn.export.",
    )
    add_flags(parser, FLAGS)
    write_run(Config(**vars(parser.parse_args())))


if __name__ == "__main__":
    sys.exit(run_main(main))
