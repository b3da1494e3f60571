"""`python -m tfcnn.describe --arch A`: a network layer by layer, with its costs and receptive fields.

`python -m tfcnn.describe RUN` does so for the network of a run, `--compare A B C` for several networks, a row each.
No weight is allocated, except for RUN and for the picture of `--field`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn import factory, tables
from tfcnn.arithmetic.collectives import ring_bytes
from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.errors import BadInput, choose
from tfcnn.files import PNG, check_target
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras

    from tfcnn.cost import Memory
    from tfcnn.receptive_field import ReceptiveField

# Keras, and what imports it, is imported in functions: the command line is checked without the wait for TensorFlow.

FORMATS = ("text", "markdown", "csv", "json")
CONFIG_FLAGS = ("arch", "width", "depth", "phi", "compound", "arch_args", "image_size")
DEFAULT_BATCH = 32  # of --compare: the batch of tfcnn.train
SMALL_STEM = "stem cifar, which keeps the resolution of small images (--arch-args stem=imagenet for the other)"
UNKNOWN = "?"  # the receptive field after a layer without a rule


class Layer(NamedTuple):
    """The row of a layer; JSON and CSV have these names."""

    layer: str
    kind: str
    output: tuple[int | None, ...]
    parameters: int
    macs: int
    activation_bytes: int
    field: ReceptiveField | None


class Description(NamedTuple):
    """A network in figures; JSON has these names, without the optional ones that are None."""

    arch: str
    input: tuple[int, ...]
    parameters: int
    trainable: int
    macs: int
    multiplications: int
    additions: int
    activation_bytes: int
    gradient_bytes: int  # of a step, of float32 weights, mixed precision or not: what workers exchange
    unpriced: tuple[str, ...]
    small_stem: bool  # chosen by the size of the images, not by --arch-args
    field: ReceptiveField | None
    field_of_windows: ReceptiveField | None
    field_problem: str | None
    batch_size: int | None
    memory: Memory | None
    layers: list[Layer]


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
        print(_format_comparison(descriptions, form))
        return
    note = _draw(networks[0], arguments.layer, picture, run) if picture else None
    print(_format_description(descriptions[0], form))
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


def _format_description(description: Description, form: str) -> str:
    """One network, a row for each layer."""
    if form == "json":
        return json.dumps(_plain_description(description), indent=1)
    if form == "csv":
        return tables.as_csv(Layer._fields, [(*row[:2], _size(row.output), *row[3:]) for row in description.layers])
    head = ("layer", "kind", "output", "parameters", "MACs", "field")
    body = [
        (layer.layer, layer.kind, _size(layer.output), *_counts(layer), str(layer.field or UNKNOWN))
        for layer in description.layers
    ]
    total = ("total", "", "", *_counts(description), "")
    return "\n".join([_format_table(head, body, total, form, words=3), "", *_summarize(description)])


def _summarize(description: Description) -> list[str]:
    parameters, macs = _counts(description)
    lines = [
        f"{description.arch}: {parameters} parameters ({description.trainable:,} trainable), {macs} MACs and "
        f"{_mib(description.activation_bytes)} MiB of activations for an image of {_size(description.input)}",
        f"gradients of a step: {_mib(description.gradient_bytes)} MiB, float32 with mixed precision, too; each of N "
        f"workers sends 2 (N - 1) / N of it: {_describe_exchange(description.gradient_bytes)}",
        f"receptive field of the last map: {_describe_field(description)}",
    ]
    if description.small_stem:
        lines.append(SMALL_STEM)
    if description.unpriced:
        lines.append(f"not priced: {', '.join(description.unpriced)}")
    if memory := description.memory:
        lines.append(
            f"memory for a batch of {description.batch_size}: {_mib(memory.training)} MiB in training "
            f"(weights {_mib(memory.parameters)} + gradients {_mib(memory.gradients)} + "
            f"AdamW {_mib(memory.optimizer)} + activations {_mib(memory.activations)}), "
            f"{_mib(memory.inference)} MiB in inference"
        )
    return lines


def _describe_exchange(size: int) -> str:
    """What each of some workers sends to sum gradients of `size` bytes in a ring."""
    return ", ".join(f"{_mib(ring_bytes(size, workers))} of {workers}" for workers in (2, 8))


def _describe_field(description: Description) -> str:
    """The receptive field of the last map in words."""
    if description.field_of_windows is None:
        return f"not known: {description.field_problem}"
    stride = "x".join(map(str, dict.fromkeys(description.field_of_windows.stride)))
    windows = f"{description.field_of_windows} pixels, stride {stride}"
    if description.field == description.field_of_windows:
        return windows
    return f"the whole image; by its windows alone {windows}"


def _format_comparison(descriptions: list[Description], form: str) -> str:
    """Several networks, one row each."""
    if form == "json":
        return json.dumps([_plain_description(d, layers=False) for d in descriptions], indent=1)
    measured = [(d, d.memory) for d in descriptions if d.memory]
    if form == "csv":
        names = ("arch", "input", "parameters", "macs", "batch_size")
        bytes_of = ("training_bytes", "inference_bytes", "gradient_bytes")
        values = [
            (d.arch, _size(d.input), d.parameters, d.macs, d.batch_size, m.training, m.inference, m.gradients, d.field)
            for d, m in measured
        ]
        return tables.as_csv((*names, *bytes_of, "field"), values)
    batch = descriptions[0].batch_size
    head = (
        "network",
        "input",
        "parameters",
        "MACs",
        f"MiB to train, batch {batch}",
        "to infer",
        "of gradients",
        "field",
    )
    body = [
        (d.arch, _size(d.input), *_counts(d), _mib(m.training), _mib(m.inference), _mib(m.gradients), _both_fields(d))
        for d, m in measured
    ]
    notes = [f"{d.arch}: receptive field {_describe_field(d)}" for d in descriptions if d.field is None]
    notes += [f"{d.arch}: {SMALL_STEM}" for d in descriptions if d.small_stem]
    notes += [f"{d.arch}: not priced: {', '.join(d.unpriced)}" for d in descriptions if d.unpriced]
    return "\n".join([_format_table(head, body, None, form, words=2), *notes])


def _both_fields(description: Description) -> str:
    """The receptive field, with that of the windows alone in brackets where it differs."""
    if description.field is None:
        return UNKNOWN
    if description.field == description.field_of_windows:
        return str(description.field)
    return f"{description.field} ({description.field_of_windows})"


def _plain_description(description: Description, *, layers: bool = True) -> dict[str, Any]:
    """The figures for JSON."""
    facts = description._asdict()
    batch_size = facts.pop("batch_size")
    if description.memory is not None:
        facts["memory"] = {"batch_size": batch_size} | description.memory._asdict()
    for name in ("field_of_windows", "field_problem", "memory"):
        if facts[name] is None:
            del facts[name]
    if not layers:
        del facts["layers"]
    return tables.plain(facts)


def _format_table(head: tuple, body: list[tuple], total: tuple | None, form: str, words: int) -> str:
    """As text or Markdown; the first `words` columns are flush left."""
    write = tables.as_text if form == "text" else tables.as_markdown
    return write(head, body, total, words=range(words))


def _counts(row: Layer | Description) -> tuple[str, str]:
    return f"{row.parameters:,}", f"{row.macs:,}"


def _size(sides: tuple[int | None, ...]) -> str:
    return "x".join(map(str, sides))


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f}" if size >= 2**20 else f"{size / 2**20:.2f}"


if __name__ == "__main__":
    sys.exit(run_main(main))
