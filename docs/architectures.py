"""Writes docs/architectures.md: `python -m docs.architectures` (minutes; `make test-torch` installs what it needs).

Every network in the forms that were checked: its paper, costs and receptive field, where its counts were published,
and how far its logits are from those of the libraries that others load (benchmarks/parity.py).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import tfcnn
from benchmarks.parity import CASES, SIBLINGS, Case, parity
from tfcnn import cost
from tfcnn.cli.startup import import_tensorflow
from tfcnn.models import registry
from tfcnn.receptive_field.theoretical import receptive_field

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "tests" / "tfcnn" / "models"
HEAD = ("network", "form", "paper", "input", "parameters", "MACs", "field", "counts checked against", "logits: error")
INTRODUCTION = """# Architectures

Written by `python -m docs.architectures`. Parameters count batch-norm statistics, as Keras does; a MAC is one
multiply-accumulate of a convolution, transposed convolution or dense layer. The field is that of the last map, in
pixels, what sees the whole image by its nature (squeeze-and-excitation) left out. The error is the largest difference
of a logit from the library's, in units of the logits' standard deviation, on random images and weights
(`python -m benchmarks.parity`). Detectors are counted for an image with one region, and have no field.
"""


class Form(NamedTuple):
    """A network with the arguments that differ from its defaults."""

    arch: str
    arguments: str  # JSON, sorted


class Checks(NamedTuple):
    """What a form was checked against."""

    source: str  # where its counts were published
    cases: list[Case]


def paper(arch: str) -> str:
    """Authors, title and year, from the docstring of the network's file: after "`arch`:" there, or the first."""
    module = registry.module_of(registry.family_of(arch))
    text = " ".join((module.__doc__ or "").split())
    match = (
        re.search(rf'`{arch}`: ([^`:]*?".*?\d{{4}})', text)
        or re.match(r"(?:[^:]+: )?(.*?\d{4})", text)
        or re.match(r"(.*?\.)", text)
    )
    if match is None:
        raise SystemExit(f"error: the docstring of {module.__name__} names no paper")
    return match.group(1)


def checked_forms() -> dict[Form, Checks]:
    forms: dict[Form, Checks] = {}
    for file in ("reference.json", "published.json"):
        for row in json.loads((PUBLISHED / file).read_text())["rows"]:
            arguments = {key: row[key] for key in ("input_shape", "num_classes") if key in row}
            forms[form_of(row["arch"], arguments | row.get("overrides", {}))] = Checks(row["source"], [])
    for case in CASES + SIBLINGS:
        form = form_of(case.arch, dict(case.arguments))
        forms.setdefault(form, Checks("", [])).cases.append(case)
    return forms


def form_of(arch: str, arguments: dict[str, Any]) -> Form:
    defaults = registry.arguments(arch)
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    different = {key: value for key, value in arguments.items() if defaults[key] != value}
    return Form(arch, json.dumps(different, sort_keys=True))


def cells_of(form: Form, source: str) -> list[str]:
    """A row of the table, but for the errors of the logits."""
    arguments = json.loads(form.arguments)
    with cost.weightless():
        model = tfcnn.build(form.arch, **arguments)
    table = cost.cost_table(model)
    return [
        form.arch,
        ", ".join(f"{key}={value}" for key, value in arguments.items() if key != "input_shape"),
        paper(form.arch),
        "x".join(map(str, model.inputs[0].shape[1:])),
        f"{table.params:,}",
        f"{table.macs:,}",
        "" if len(model.inputs) > 1 else str(receptive_field(model, windows_only=True)),
        source,
    ]


def main() -> None:
    import_tensorflow()
    order = tfcnn.list_archs()
    forms = sorted(checked_forms().items(), key=lambda item: order.index(item[0].arch))
    rows = [cells_of(form, checks.source) for form, checks in forms]  # a mistake shows before the slow part
    lines = [INTRODUCTION, "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for cells, (_, checks) in zip(rows, forms, strict=True):
        errors = ", ".join(f"{case.library} {case.reference} {parity(case).error:.0e}" for case in checks.cases)
        lines.append("| " + " | ".join([*cells, errors]) + " |")
        print(lines[-1], flush=True)
    (ROOT / "docs" / "architectures.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
