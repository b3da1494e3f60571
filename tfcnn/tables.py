"""Rows as text, Markdown and CSV. Standard library only.

Cells of text and Markdown are text already; those of CSV are plain values.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from typing import Any

Cells = Sequence[str]


def as_text(head: Cells, body: Sequence[Cells], total: Cells | None = None, *, words: Collection[int]) -> str:
    """Aligned columns under a rule.

    Args:
        head: the names of the columns.
        body: the rows.
        total: a last row under a second rule.
        words: numbers of the columns that are flush left; the others are flush right.

    >>> print(as_text(("layer", "MACs"), [("conv1", "1,024"), ("fc", "84")], ("total", "1,108"), words=[0]))
    layer   MACs
    ------------
    conv1  1,024
    fc        84
    ------------
    total  1,108
    """
    lines = [head, *body] if total is None else [head, *body, total]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]

    def aligned(line: Cells) -> str:
        cells = (
            cell.ljust(width) if i in words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(head) - 1))
    text = [aligned(head), rule, *map(aligned, body)]
    if total is not None:
        text += [rule, aligned(total)]
    return "\n".join(text)


def as_markdown(head: Cells, body: Sequence[Cells], total: Cells | None = None, *, words: Collection[int]) -> str:
    """A Markdown table; a vertical bar within a cell is escaped, a line break becomes a space, the total is bold.

    >>> print(as_markdown(("name", "MACs"), [("a|b", "84")], ("", "84"), words=[0]))
    | name | MACs |
    | --- | ---: |
    | a\\|b | 84 |
    |  | **84** |
    """
    rule = ["---" if i in words else "---:" for i in range(len(head))]
    lines = [head, rule, *body]
    if total is not None:
        lines.append([f"**{cell}**" if cell else "" for cell in total])
    return "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)


def _escaped(cell: str) -> str:
    return " ".join(cell.splitlines()).replace("|", "\\|")


def as_csv(head: Sequence[str], body: Iterable[Sequence[Any]]) -> str:
    """Plain values, empty where a value is None.

    >>> print(as_csv(("name", "MACs"), [("a,b", 84), ("c", None)]))
    name,MACs
    "a,b",84
    c,
    """
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([head, *body])
    return file.getvalue().rstrip("\n")
