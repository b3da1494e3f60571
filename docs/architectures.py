"""Writes docs/architectures.md: `python -m docs.architectures` (minutes; `make test-torch` installs what it needs).

Every network in the forms that were checked: its paper, costs and receptive field, where its counts were published,
and how far its logits are from those of the libraries that others load (benchmarks/parity.py).
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import tfcnn
from benchmarks.parity import CASES, parity
from tfcnn import command, cost, models
from tfcnn.receptive_field import receptive_field

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


def paper(module: str) -> str:
    """The first words of a family's docstring: authors, title, year."""
    text = " ".join(importlib.import_module(f"tfcnn.models.{module}").__doc__.split("\n\n")[0].split())
    return re.match(r"(?:[^:]+: )?(.*?\d{4})", text).group(1)


def published() -> dict[tuple[str, str], str]:
    """(name, arguments as JSON) -> where its counts were published."""
    rows = [
        row
        for name in ("reference", "published")
        for row in json.loads((PUBLISHED / f"{name}.json").read_text())["rows"]
    ]
    return {(row["arch"], json.dumps(row.get("overrides", {}), sort_keys=True)): row["source"] for row in rows}


def row(arch: str, arguments: dict, source: str) -> tuple[str, ...]:
    with cost.weightless():
        model = tfcnn.build(arch, **arguments)
    table = cost.cost_table(model)
    errors = [
        f"{case.library} {parity(case).error:.0e}"
        for case in CASES
        if case.arch == arch and dict(case.arguments) == arguments
    ]
    return (
        arch,
        ", ".join(f"{key}={value}" for key, value in arguments.items()),
        paper(models.family_of(arch).module),
        "x".join(map(str, model.input_shape[1:])),
        f"{table.params:,}",
        f"{table.macs:,}",
        str(receptive_field(model, windows_only=True)),
        source,
        ", ".join(errors),
    )


def main() -> None:
    command.import_tensorflow()
    sources = published()
    for case in CASES:
        sources.setdefault((case.arch, json.dumps(dict(case.arguments), sort_keys=True)), "")
    lines = [INTRODUCTION, "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for arch in tfcnn.list_archs():
        for (name, arguments), source in sources.items():
            if name == arch:
                print(arch, arguments, flush=True)
                lines.append("| " + " | ".join(row(arch, json.loads(arguments), source)) + " |")
    (ROOT / "docs" / "architectures.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
