"""Rows as text, Markdown and CSV. Standard library only.

Cells of text and Markdown tables are strings, those of CSV plain values.
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
        words: indices of the columns that are flush left; the others are flush right.

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

    def align(line: Cells) -> str:
        cells = (
            cell.ljust(width) if i in words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(head) - 1))
    text = [align(head), rule, *map(align, body)]
    if total is not None:
        text += [rule, align(total)]
    return "\n".join(text)


def as_markdown(head: Cells, body: Sequence[Cells], total: Cells | None = None, *, words: Collection[int]) -> str:
    """A Markdown table, its total bold; in a cell a vertical bar is escaped and a line break becomes a space.

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
    return "\n".join("| " + " | ".join(map(_escape, line)) + " |" for line in lines)


def _escape(cell: str) -> str:
    return " ".join(cell.splitlines()).replace("|", "\\|")


def as_csv(head: Sequence[str], body: Iterable[Sequence[Any]]) -> str:
    """A CSV table; a value that is None is empty.

    >>> print(as_csv(("name", "MACs"), [("a,b", 84), ("c", None)]))
    name,MACs
    "a,b",84
    c,
    """
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([head, *body])
    return file.getvalue().rstrip("\n")
