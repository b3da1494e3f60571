"""The images that a .csv file names, and the class and perhaps the split of each.

    path,label              relative to the file; a first line without names of columns begins with an image's path
    path,label,split        train, val (valid, validation) or test
    path,label,is_valid     fastai's: true or 1 is for validation

Lists of other kinds are refused by name: several labels a row, a column for each class, numbers to predict.
"""

from __future__ import annotations

import collections
import csv
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import BadData
from pipelines.readers import image_files
from pipelines.readers.tree import SPLIT_OF, Example, composed

VALID = {"true": "val", "1": "val", "yes": "val", "false": "train", "0": "train", "no": "train"}  # of is_valid
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
USED = ("path", "label", "split", "is_valid")
FEW = 20  # different whole numbers that are taken for classes, however many images each has


def read_list(file: Path, notes: collections.Counter[str]) -> list[Example]:
    """The examples of a .csv file; columns that are not used are added to the notes. Raises BadData."""
    if not file.exists():
        raise BadData(f"no such file: '{file}' (--dataset)")
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"'{file}' cannot be read as comma-separated text: {error} (--dataset)") from None
    if not rows:
        raise BadData(f"'{file}' has no lines (--dataset)")

    _, header = rows[0]
    columns = [cell.lower() for cell in header]
    if {"path", "label"} <= set(columns):
        rows = rows[1:]
    elif len(columns) in (2, 3) and image_files.is_image_name(columns[0]):
        columns = ["path", "label", "split"][: len(columns)]
    else:
        _check_column_per_class(file, header, [row for _, row in rows[1:]])
        raise BadData(
            f"'{file}' begins with '{','.join(header)}': neither the columns path,label or path,label,split "
            f"nor an image's path and label (--dataset)"
        )
    if {"split", "is_valid"} <= set(columns):
        raise BadData(f"'{file}' has the columns split and is_valid, which may contradict: remove one (--dataset)")
    examples = _parse_rows(file, columns, rows)
    if not examples:
        raise BadData(f"'{file}' names no image (--dataset)")
    if not any(example.split == "train" for example in examples):
        raise BadData(f"'{file}' has no line of the split train (--dataset)")
    _check_labels(file, [example.label for example in examples])
    for column in columns:
        if column not in USED:
            notes[f"lines whose column '{column}' is not used"] = len(examples)
    return examples


def _parse_rows(file: Path, columns: list[str], rows: list[tuple[int, list[str]]]) -> list[Example]:
    """The examples of the rows, each with its line number."""
    examples = []
    line_of: dict[str, int] = {}
    for line, row in rows:
        where = f"'{file}', line {line}"
        if len(row) != len(columns):
            raise BadData(f"{where}: {len(row)} values, but the file has {len(columns)} columns (--dataset)")
        cells = dict(zip(columns, row, strict=True))
        for column in ("path", "label"):
            if not cells[column]:
                raise BadData(f"{where}: the {column} is empty (--dataset)")
        split = _parse_split(cells, where)
        path = _find(file.parent, os.path.normpath(file.parent / cells["path"]))
        if path in line_of:
            raise BadData(f"{where}: '{cells['path']}' stands in line {line_of[path]} already (--dataset)")
        line_of[path] = line
        examples.append(Example(os.path.relpath(path, file.parent), path, split, composed(cells["label"])))
    return examples


def _parse_split(cells: dict[str, str], where: str) -> str:
    """The split that the cells of a row name."""
    split = cells.get("split", "train")
    if "is_valid" in cells:
        if cells["is_valid"].lower() not in VALID:
            raise BadData(f"{where}: is_valid '{cells['is_valid']}' is none of {', '.join(VALID)} (--dataset)")
        split = VALID[cells["is_valid"].lower()]
    if split.lower() not in SPLIT_OF:
        raise BadData(f"{where}: split '{split}' is none of {', '.join(SPLIT_OF)} (--dataset)")
    return SPLIT_OF[split.lower()]


def _find(root: Path, path: str) -> str:
    """The path of a file on the disk; each part may be written there in the other of Unicode's two forms."""
    if path.isascii() or os.path.lexists(path):
        return path
    file = str(root)
    for part in Path(os.path.relpath(path, root)).parts:
        forms = [part, composed(part), unicodedata.normalize("NFD", part)]
        file = os.path.join(file, next((form for form in forms if os.path.lexists(os.path.join(file, form))), part))
    return file


def _check_column_per_class(file: Path, header: list[str], rows: Sequence[list[str]]) -> None:
    """Raise BadData if all columns but one hold 0 and 1."""
    if len(header) < 3 or not rows or any(len(row) != len(header) for row in rows):
        return
    flags = [name for name, *cells in zip(header, *rows, strict=True) if set(cells) <= {"0", "1", "0.0", "1.0"}]
    if len(flags) == len(header) - 1:
        names = ", ".join(flags[:5]) + (" ..." if len(flags) > 5 else "")
        raise BadData(
            f"'{file}' has a column of 0 and 1 for each of {len(flags)} classes, {names}: "
            f"expected the columns path,label, one class an image (--dataset)"
        )


def _check_labels(file: Path, labels: list[str]) -> None:
    """Raise BadData if the labels are several a row, or numbers to predict."""
    counts = collections.Counter(labels)
    for separator in ";|,":
        example = _several_labels(set(counts), separator)
        if example is not None:
            raise BadData(
                f"'{file}' has several labels a row, as '{example}': an image is of one class here, and labels joined "
                f"by '{separator}' would be separate classes; keep one label a row (--dataset)"
            )
    if not all(map(NUMBER.fullmatch, counts)):
        return
    fraction = next((label for label in counts if not float(label).is_integer()), None)
    rare = sum(count == 1 for count in counts.values())
    if fraction is not None or (len(counts) > FEW and 2 * rare > len(counts)):
        what = f"as {fraction}" if fraction is not None else f"{rare} of {len(counts)} of one image alone"
        raise BadData(
            f"'{file}' has numbers as labels, {what}: to predict numbers (regression) is not possible, "
            f"and names of classes that are numbers need a letter (--dataset)"
        )


def _several_labels(labels: set[str], separator: str) -> str | None:
    """A label that joins parts which occur in other labels, too; None if there is none.

    A comma may stand in the name of one class ("Boston, MA"): there all parts must occur elsewhere.
    """
    parts = {label: {part.strip() for part in label.split(separator)} - {""} for label in labels}
    occurrences = collections.Counter(part for its in parts.values() for part in its)
    enough = all if separator == "," else any
    for label in sorted(labels):
        if separator in label and parts[label] and enough(occurrences[part] > 1 for part in parts[label]):
            return label
    return None
