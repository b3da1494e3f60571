"""`python -m tfcnn.describe --arch A`: a network layer by layer, with its costs and receptive fields.

`python -m tfcnn.describe RUN` does so for the network of a run, `--compare A B C` for several networks, a row each.
No weight is allocated, except for RUN and for the picture of `--field`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tfcnn import factory
from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.descriptions import FORMATS, Description, Layer, format_comparison, format_description
from tfcnn.errors import BadInput, choose
from tfcnn.files import PNG, check_target
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras


# Keras, and what imports it, is imported in functions: the command line is checked without the wait for TensorFlow.

CONFIG_FLAGS = ("arch", "width", "depth", "phi", "compound", "arch_args", "image_size")
DEFAULT_BATCH = 32  # of --compare: the batch of tfcnn.train


def main() -> None:
    arguments = make_parser().parse_args()
    form = choose("format", arguments.format, FORMATS, flag="--format")
    channels = _parse_count("--channels", arguments.channels)
    classes = _parse_count("--classes", arguments.classes)
    batch_size = _parse_count("--batch-size", arguments.batch_size)
    run = None if arguments.run is None else open_run(arguments)
    configs = read_configs(arguments)
    picture = arguments.field

    import_tensorflow()
    import keras

    from tfcnn import cost

    if run is not None:
        configs = [Config(**run.read_config()["config"])]
        networks = [run.load_model()]
    else:
        if picture:
            keras.utils.set_random_seed(0)
        with contextlib.nullcontext() if picture else cost.weightless():
            networks = [_build(config, channels, classes) for config in configs]
    if arguments.compare:
        batch_size = batch_size or DEFAULT_BATCH
    descriptions = [describe(config, model, batch_size) for config, model in zip(configs, networks, strict=True)]
    if arguments.compare:
        print(format_comparison(descriptions, form))
        return
    note = _draw(networks[0], arguments.layer, picture, run) if picture else None
    print(format_description(descriptions[0], form))
    if note and form in ("text", "markdown"):
        print(note)


def make_parser() -> Parser:
    """The parser of the command."""
    parser = Parser(
        prog="python -m tfcnn.describe",
        description="A network layer by layer, with its costs and receptive fields, or several, a row each.",
    )
    parser.add_argument("run", metavar="RUN", nargs="?", help="run directory of tfcnn.train; in place of --arch")
    add_flags(parser, CONFIG_FLAGS)
    parser.add_argument("--channels", metavar="N", help="channels of the images [the paper's]")
    parser.add_argument("--classes", metavar="N", help="number of classes [the paper's]")
    parser.add_argument("--batch-size", metavar="N", help="images for which memory is estimated [32 in --compare]")
    parser.add_argument("--compare", metavar="ARCH", nargs="+", help="networks to show, a row each")
    parser.add_argument("--format", metavar="{" + ",".join(FORMATS) + "}", default="text", help="of the output [text]")
    parser.add_argument("--field", metavar="FILE.png", help="draw the effective receptive field of a layer's centre")
    parser.add_argument("--layer", metavar="NAME", help="the layer of --field [the last map]")
    return parser


def open_run(arguments: argparse.Namespace) -> RunDirectory:
    """The finished run to describe. Raises BadInput, also where a flag describes another network."""
    flags = [name for name in (*CONFIG_FLAGS, "channels", "classes", "compare") if getattr(arguments, name, None)]
    if flags:
        raise BadInput(f"the run in '{arguments.run}' has its network: leave --{flags[0].replace('_', '-')} out")
    return RunDirectory.open(arguments.run).check_finished()


def _draw(model: keras.Model, layer: str | None, picture: str, run: RunDirectory | None) -> str:
    """Draw --field, and return a sentence about it. Raises BadInput."""
    from tfcnn.visualize.effective_field import draw_layer

    return draw_layer(model, layer, Path(picture), "fresh weights" if run is None else run.path.name)


def read_configs(arguments: argparse.Namespace) -> list[Config]:
    """A configuration for each network to describe. Raises BadInput, also where flags contradict each other."""
    flags = {name: value for name, value in vars(arguments).items() if name in CONFIG_FLAGS}
    archs = arguments.compare
    picture = arguments.field
    if archs and "arch" in flags:
        raise BadInput(f"give --arch or --compare, not both: --compare {flags['arch']} {' '.join(archs)}")
    if picture and archs:
        raise BadInput("--field draws one network: give --arch instead of --compare")
    if arguments.layer and not picture:
        raise BadInput("--layer chooses what --field draws: give --field FILE.png")
    if picture is not None and (Path(picture).suffix.lower() != ".png" or not Path(picture).parent.is_dir()):
        raise BadInput(f"--field must be a .png file in a folder that exists, got '{picture}'")
    if picture:
        check_target(picture, PNG, flag="--field")
    configs = [Config(**flags | {"arch": arch}) for arch in archs] if archs else [Config(**flags)]
    for config in configs:
        sides = config.input_sides(registry.family_of(config.arch).axes)
        if sides is not None:
            registry.check_size(config.arch, sides)
    return configs


def _parse_count(flag: str, text: str | None) -> int | None:
    return None if text is None else parse_count(flag, text)


def _build(config: Config, channels: int | None, classes: int | None) -> keras.Model:
    *sides, paper_channels = registry.arguments(config.arch)["input_shape"]
    sides = config.input_sides(len(sides)) or sides
    shape = (*map(config.scaled_side, sides), channels or paper_channels)
    return factory.build(config.arch, **factory.arguments_of(config, shape, classes))


def describe(config: Config, model: keras.Model, batch_size: int | None = None) -> Description:
    """The figures of a network.

    Args:
        config: from which the network was built.
        model: the network, with or without weights.
        batch_size: images for which memory is estimated; None: no estimate.
    """
    from tfcnn import cost
    from tfcnn.receptive_field import theoretical

    table = cost.cost_table(model)
    shape = tuple(model.inputs[0].shape[1:])
    stem = factory.arguments_of(config, shape).get("stem")
    field = windows = problem = None
    try:
        field = theoretical.receptive_field(model)
        windows = theoretical.receptive_field(model, windows_only=True)
    except ValueError as error:
        field = None
        problem = str(error)
    return Description(
        arch=config.arch,
        input=shape,
        parameters=table.params,
        trainable=table.trainable,
        macs=table.macs,
        multiplications=table.multiplications,
        additions=table.additions,
        activation_bytes=table.activation_bytes,
        gradient_bytes=table.trainable_bytes,
        unpriced=table.unpriced,
        small_stem=stem != registry.arguments(config.arch).get("stem") and "stem" not in config.arch_args,
        field=field,
        field_of_windows=windows,
        field_problem=problem,
        batch_size=batch_size,
        memory=None if batch_size is None else table.memory(batch_size),
        layers=[
            Layer(row.name, row.kind, row.output_shape, row.params, row.macs, row.activation_bytes, seen)
            for row, seen in zip(table.rows, theoretical.receptive_fields(model), strict=True)
        ],
    )


if __name__ == "__main__":
    sys.exit(run_main(main))
