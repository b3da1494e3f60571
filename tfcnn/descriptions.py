"""Networks in figures: the rows of `tfcnn.describe`, and their forms as text, Markdown, CSV and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn import tables
from tfcnn.arithmetic.collectives import ring_bytes

if TYPE_CHECKING:
    from tfcnn.cost import Memory
    from tfcnn.receptive_field import ReceptiveField

FORMATS = ("text", "markdown", "csv", "json")
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


def format_description(description: Description, form: str) -> str:
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


def format_comparison(descriptions: list[Description], form: str) -> str:
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
