"""Rows as text, Markdown and CSV, figures for JSON. Standard library only.

Cells of text and Markdown tables are strings, those of CSV plain values.
"""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

Cells = Sequence[str]
FORMULA_STARTS = tuple("=+-@\t\n")  # of a cell that a spreadsheet computes
JOINERS = "\u200c\u200d"  # format characters that words and emoji need


class Table(NamedTuple):
    """Plain values for `as_csv`; None is an empty cell."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]


def printable(text: str) -> str:
    r"""`text` for a terminal: line breaks and tabs become spaces, other control and format characters are left out.

    >>> printable("\x1b[31mred\x07 of\ntwo lines")
    '[31mred of two lines'
    """
    spaced = "".join(" " if character in "\t\n\r\v\f\x85\u2028\u2029" else character for character in text)
    return "".join(
        character
        for character in spaced
        if character in JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    )


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
    lines = [[printable(cell) for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]

    def align(line: Cells) -> str:
        cells = (
            cell.ljust(width) if i in words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(head) - 1))
    count = 1 + len(body)
    text = [align(lines[0]), rule, *map(align, lines[1:count])]
    if total is not None:
        text += [rule, align(lines[-1])]
    return "\n".join(text)


def as_markdown(head: Cells, body: Sequence[Cells], total: Cells | None = None, *, words: Collection[int]) -> str:
    """A Markdown table, its total bold; no cell adds columns, HTML or links, or code unless it is `code` as a whole.

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
    code = printable(cell)
    if len(code) > 2 and code[0] == code[-1] == "`" and "`" not in code[1:-1]:
        return code.replace("|", "\\|")
    return escape_markdown(cell)


def escape_markdown(text: str) -> str:
    r"""Text that Markdown shows as it is, in one line and in a cell of a table.

    >>> print(escape_markdown("<script> | `a` [b](c)"))
    &lt;script> \| \`a\` \[b](c)
    """
    text = printable(text).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for character in "|`[":
        text = text.replace(character, f"\\{character}")
    return text


def plain(value: Any) -> Any:
    """Figures as JSON has them: a named tuple by its names, a stride of 1/2 as 0.5, the infinite whole as "whole".

    >>> plain({"stride": Fraction(1, 2), "sides": (3, math.inf)})
    {'stride': 0.5, 'sides': [3, 'whole']}
    """
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Fraction):
        return float(value)
    return "whole" if value == math.inf else value


def as_csv(head: Sequence[str], body: Iterable[Sequence[Any]]) -> str:
    """A CSV table; a value that is None is empty, and text that a spreadsheet would compute begins with an apostrophe.

    >>> print(as_csv(("name", "MACs"), [("a,b", 84), ("=1+1", -3), ("c", None)]))
    name,MACs
    "a,b",84
    '=1+1,-3
    c,
    """
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([_as_data(cell) for cell in line] for line in (head, *body))
    return file.getvalue().rstrip("\n")


def _as_data(cell: Any) -> Any:
    """A cell of CSV: text that begins as a formula gets an apostrophe, unless it is a number.

    Carriage returns become line feeds: csv.writer does not quote them, and a reader would begin a row.
    """
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r\n", "\n").replace("\r", "\n")
    if not cell.startswith(FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
