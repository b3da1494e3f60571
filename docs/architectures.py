"""Writes docs/architectures.md: `python -m docs.architectures` (minutes; `make test-torch` installs what it needs).

Every network in the forms that were checked: its paper, costs and receptive field, where its counts were published,
and how far its logits are from those of the libraries that others load (benchmarks/parity.py).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

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
(`python -m benchmarks.parity`).
"""


def paper(arch: str) -> str:
    """Authors, title and year, from the docstring of the network's file: its own "`name`: ..." there, or the first."""
    text = " ".join(registry.module_of(registry.family_of(arch)).__doc__.split())
    own = re.search(rf'`{arch}`: ([^`:]*?".*?\d{{4}})', text)
    first = re.match(r"(?:[^:]+: )?(.*?\d{4})", text) or re.match(r"(.*?\.)", text)
    return (own or first).group(1)


def forms() -> dict[tuple[str, str], tuple[str, list[Case]]]:
    """(name, arguments that differ from its defaults, as JSON) -> where its counts were published, its cases."""
    found = {}
    for file in ("reference.json", "published.json"):
        for row in json.loads((PUBLISHED / file).read_text())["rows"]:
            given = {key: row[key] for key in ("input_shape", "num_classes") if key in row} | row.get("overrides", {})
            found[row["arch"], different(row["arch"], given)] = (row["source"], [])
    for case in CASES + SIBLINGS:
        found.setdefault((case.arch, different(case.arch, dict(case.arguments))), ("", []))[1].append(case)
    return found


def different(arch: str, arguments: dict) -> str:
    usual = registry.arguments(arch)
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    return json.dumps({key: value for key, value in arguments.items() if usual[key] != value}, sort_keys=True)


def row(arch: str, arguments: dict, source: str) -> list[str]:
    with cost.weightless():
        model = tfcnn.build(arch, **arguments)
    table = cost.cost_table(model)
    return [
        arch,
        ", ".join(f"{key}={value}" for key, value in arguments.items() if key != "input_shape"),
        paper(arch),
        "x".join(map(str, model.input_shape[1:])),
        f"{table.params:,}",
        f"{table.macs:,}",
        str(receptive_field(model, windows_only=True)),
        source,
    ]


def main() -> None:
    import_tensorflow()
    order = tfcnn.list_archs()
    found = sorted(forms().items(), key=lambda item: order.index(item[0][0]))
    rows = [row(arch, json.loads(arguments), source) for (arch, arguments), (source, _) in found]
    lines = [INTRODUCTION, "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for cells, (_, (_, cases)) in zip(rows, found, strict=True):
        errors = ", ".join(f"{case.library} {case.reference} {parity(case).error:.0e}" for case in cases)
        lines.append("| " + " | ".join([*cells, errors]) + " |")
        print(lines[-1], flush=True)
    (ROOT / "docs" / "architectures.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
