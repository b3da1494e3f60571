"""`python -m tfcnn.describe --arch A`: a network layer by layer, with its costs and receptive fields.

`--compare A B C` sets networks side by side instead. No weight is allocated, unless `--field` draws what a unit sees.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from fractions import Fraction
from pathlib import Path

from tfcnn import factory, tables
from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.errors import BadInput, choose
from tfcnn.flags import add_flags
from tfcnn.models import registry

FORMATS = ("text", "markdown", "csv", "json")
DEFAULT_BATCH = 32  # of --compare: the batch of tfcnn.train
SMALL_STEM = "stem cifar, which keeps the resolution of small images (--arch-args stem=imagenet for the other)"
UNKNOWN = "?"  # the receptive field behind a layer that is not known


def main() -> None:
    parser = Parser(
        prog="python -m tfcnn.describe",
        description="A network layer by layer, with its costs and receptive fields, or several side by side.",
    )
    add_flags(parser, ("arch", "width", "depth", "phi", "compound", "arch_args", "image_size"))
    parser.add_argument("--channels", metavar="N", help="channels of the images [the paper's]")
    parser.add_argument("--classes", metavar="N", help="number of classes [the paper's]")
    parser.add_argument("--batch-size", metavar="N", help="images for which memory is estimated [32 in --compare]")
    parser.add_argument("--compare", metavar="ARCH", nargs="+", help="one row for each of these networks")
    parser.add_argument("--format", metavar="{" + ",".join(FORMATS) + "}", default="text", help="of the output [text]")
    parser.add_argument("--field", metavar="FILE.png", help="draw the effective receptive field of a layer's centre")
    parser.add_argument("--layer", metavar="NAME", help="the layer of --field [the last map]")
    given = vars(parser.parse_args())
    form = choose("format", given.pop("format"), FORMATS, flag="--format")
    names, picture, layer = (given.pop(name) for name in ("compare", "field", "layer"))
    channels, classes, batch = (
        None if (text := given.pop(name)) is None else parse_count("--" + name.replace("_", "-"), text)
        for name in ("channels", "classes", "batch_size")
    )
    if names and "arch" in given:
        raise BadInput(f"give --arch or --compare, not both: --compare {given['arch']} {' '.join(names)}")
    if picture and names:
        raise BadInput("--field draws one network: give --arch in place of --compare")
    if layer and not picture:
        raise BadInput("--layer says what --field draws: give --field FILE.png")
    if picture and (Path(picture).suffix.lower() != ".png" or not Path(picture).parent.is_dir()):
        raise BadInput(f"--field must be a .png file in a folder that exists, got '{picture}'")
    configs = [Config(**given | {"arch": name}) for name in names] if names else [Config(**given)]
    for config in configs:
        registry.family_of(config.arch)
        if config.image_size is not None:
            registry.check_size(config.arch, config.image_size)

    import_tensorflow()
    import keras

    from tfcnn import cost

    if picture:
        keras.utils.set_random_seed(0)
    with contextlib.nullcontext() if picture else cost.weightless():
        networks = [_build(config, channels, classes) for config in configs]
    if names:
        batch = batch or DEFAULT_BATCH
        facts = [_facts(config, model, batch) for config, model in zip(configs, networks, strict=True)]
        print(_comparison(facts, batch, form))
        return
    drawn = [_draw(networks[0], layer, picture)] if picture else []
    print(_description(_facts(configs[0], networks[0], batch), form))
    if form in ("text", "markdown"):
        print(*drawn, sep="\n", end="\n" * len(drawn))


def _build(config: Config, channels: int | None, classes: int | None):
    shape = list(registry.arguments(config.arch)["input_shape"])
    if config.image_size is not None:
        shape[:-1] = [config.image_size] * (len(shape) - 1)
    shape[:-1] = map(config.scaled_side, shape[:-1])
    shape[-1] = channels or shape[-1]
    return factory.build(config.arch, **factory.arguments_of(config, tuple(shape), classes))


def _facts(config: Config, model, batch: int | None) -> dict:
    """Everything that is shown of a network, under its names in the JSON."""
    from tfcnn import cost
    from tfcnn.receptive_field import theoretical

    table = cost.cost_table(model)
    facts = {"arch": config.arch, "input": list(model.input_shape[1:]), "parameters": table.params}
    facts |= {name: getattr(table, name) for name in ("trainable", "macs", "multiplications", "additions")}
    facts |= {"activation_bytes": table.activation_bytes, "unpriced": list(table.unknown)}
    used, usual = factory.arguments_of(config, model.input_shape[1:]), registry.arguments(config.arch)
    facts["small_stem"] = used.get("stem") != usual.get("stem") and "stem" not in config.arch_args
    try:
        facts["field"] = theoretical.receptive_field(model)
        facts["field_of_windows"] = theoretical.receptive_field(model, windows_only=True)
    except ValueError as error:
        facts["field"], facts["field_problem"] = None, str(error)
    if batch is not None:
        facts["memory"] = {"batch_size": batch} | table.memory(batch)._asdict()
    facts["layers"] = [
        {
            "layer": row.name,
            "kind": row.kind,
            "output": list(row.output_shape),
            "parameters": row.params,
            "macs": row.macs,
            "activation_bytes": row.activation_bytes,
            "field": field,
        }
        for row, field in zip(table.rows, theoretical.receptive_fields(model), strict=True)
    ]
    return facts


def _description(facts: dict, form: str) -> str:
    """One network, a row for each layer."""
    rows = facts["layers"]
    if form == "json":
        return _json(facts)
    if form == "csv":
        return _csv(tuple(rows[0]), [(*row.values(),) for row in rows])
    head = ("layer", "kind", "output", "parameters", "MACs", "field")
    body = [
        (row["layer"], row["kind"], _size(row["output"]), *_counts(row), str(row["field"] or UNKNOWN)) for row in rows
    ]
    total = ("total", "", "", *_counts(facts), "")
    return "\n".join([_table(head, body, total, form, words=3), "", *_summary(facts)])


def _summary(facts: dict) -> list[str]:
    parameters, macs = _counts(facts)
    lines = [
        f"{facts['arch']}: {parameters} parameters ({facts['trainable']:,} trainable), {macs} MACs and "
        f"{_mib(facts['activation_bytes'])} MiB of activations for an image of {_size(facts['input'])}",
        f"receptive field of the last map: {_seen(facts)}",
    ]
    if facts["small_stem"]:
        lines.append(SMALL_STEM)
    if facts["unpriced"]:
        lines.append(f"not priced: {', '.join(facts['unpriced'])}")
    if memory := facts.get("memory"):
        parts = {"weights": "parameters", "gradients": "gradients", "AdamW": "optimizer", "activations": "activations"}
        lines.append(
            f"memory for a batch of {memory['batch_size']}: {_mib(memory['training'])} MiB in training ("
            + " + ".join(f"{what} {_mib(memory[name])}" for what, name in parts.items())
            + f"), {_mib(memory['inference'])} MiB in inference"
        )
    return lines


def _seen(facts: dict) -> str:
    """The receptive field in words."""
    if facts["field"] is None:
        return f"not known: {facts['field_problem']}"
    stride = "x".join(map(str, dict.fromkeys(facts["field_of_windows"].stride)))
    windows = f"{facts['field_of_windows']} pixels, stride {stride}"
    same = facts["field"] == facts["field_of_windows"]
    return windows if same else f"the whole image; by its windows alone {windows}"


def _comparison(facts: list[dict], batch: int, form: str) -> str:
    """Several networks, one row each."""
    if form == "json":
        return _json([{key: value for key, value in one.items() if key != "layers"} for one in facts])
    if form == "csv":
        head = ("arch", "input", "parameters", "macs", "batch_size", "training_bytes", "inference_bytes", "field")
        names = ("arch", "input", "parameters", "macs")
        memory = ("batch_size", "training", "inference")
        return _csv(
            head, [(*(one[n] for n in names), *(one["memory"][n] for n in memory), one["field"]) for one in facts]
        )
    head = ("network", "input", "parameters", "MACs", f"MiB to train, batch {batch}", "to infer", "field")
    body = []
    for one in facts:
        field = str(one["field"] or UNKNOWN)
        if one["field"] and one["field"] != one["field_of_windows"]:
            field += f" ({one['field_of_windows']})"  # by its windows alone
        memory = (_mib(one["memory"][what]) for what in ("training", "inference"))
        body.append((one["arch"], _size(one["input"]), *_counts(one), *memory, field))
    notes = [f"{one['arch']}: receptive field {_seen(one)}" for one in facts if one["field"] is None]
    notes += [f"{one['arch']}: {SMALL_STEM}" for one in facts if one["small_stem"]]
    notes += [f"{one['arch']}: not priced: {', '.join(one['unpriced'])}" for one in facts if one["unpriced"]]
    return "\n".join([_table(head, body, None, form, words=2), *notes])


def _json(facts) -> str:
    return json.dumps(_plain(facts), indent=1)


def _plain(value):
    """As JSON has it: a receptive field by its names, a stride of 1/2 as 0.5, the whole image as "whole"."""
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Fraction):
        return float(value)
    return "whole" if value == math.inf else value


def _table(head: tuple, body: list[tuple], total: tuple | None, form: str, words: int) -> str:
    """As text or Markdown; the first `words` columns are flush left."""
    write = tables.as_text if form == "text" else tables.as_markdown
    return write(head, body, total, words=range(words))


def _csv(head: tuple, body: list[tuple]) -> str:
    return tables.as_csv(head, ([_size(cell) if isinstance(cell, list) else cell for cell in row] for row in body))


def _draw(model, layer: str | None, path: str) -> str:
    """Draw what the centre of a layer sees; a sentence about it."""
    from tfcnn.receptive_field import effective, theoretical
    from tfcnn.visualize.effective_field import draw_field, effective_size

    try:
        seen = theoretical.window(model, layer)
        field = effective.empirical_receptive_field(model, layer)
    except ValueError as error:
        raise BadInput(f"--field cannot be drawn: {str(error).replace('layer=', '--layer')}") from error
    if seen is None:
        raise BadInput("--field cannot be drawn: the centre of this layer sees nothing (--layer)")
    what = layer or "the last map"
    try:
        draw_field(field, seen, path, title=f"{model.name}: what the centre of {what} sees, fresh weights")
    except OSError as error:
        raise BadInput(f"--field {path} cannot be written: {error}") from error
    return f"effective receptive field of {what}: {effective_size(field)} pixels a side, drawn in {path}"


def _counts(facts: dict) -> tuple[str, str]:
    return f"{facts['parameters']:,}", f"{facts['macs']:,}"


def _size(sides: list) -> str:
    return "x".join(map(str, sides))


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f}" if size >= 2**20 else f"{size / 2**20:.2f}"


if __name__ == "__main__":
    sys.exit(run_main(main))
