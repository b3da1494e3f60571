"""The images that a folder or a .csv file names, and the split, the class or the mask of each.

Layouts (SPLIT: train, Training, seg_test, val ..., see `tree`):

    root/CLASS/**.jpg                     one folder a class, at any depth below it
    root/SPLIT/CLASS/**.jpg               the same in splits
    root/CLASS/SPLIT/**.jpg               the same
    root/images/**.jpg + root/masks/**.png    segmentation; other names and splits: see `mask_pairs`
    list.csv                              columns path, label and perhaps split; paths relative to the file
"""

from __future__ import annotations

import collections
import csv
import os
from pathlib import Path

from pipelines.errors import BadData
from pipelines.readers import image_files, mask_pairs, tree
from pipelines.readers.tree import SPLIT_OF, Example

LAYOUTS = "one folder for each class, train/ and test/ with such folders, or images/ and masks/"


def find_examples(root: Path, notes: collections.Counter[str]) -> list[Example]:
    """The examples of a folder, by its layout. `notes` counts the files that are left alone. Raises BadData."""
    folders = tree.folders(root)
    splits = _split_folders(root, folders)
    pairs = mask_pairs.find_pairs(root, splits, notes)
    if pairs:
        return pairs
    if splits:
        notes["outside the split folders"] += len(tree.images(root, deep=False))
        examples = []
        for split, folder in splits.items():
            examples += _find_class_examples(root, folder, tree.folders(folder), split, notes)
        return examples
    if _hold_splits(root, folders):
        return _find_examples_of_split_classes(root, folders, notes)
    _check_no_parts(root, folders)
    return _find_class_examples(root, root, folders, "train", notes)


def _split_folders(root: Path, folders: list[str]) -> dict[str, Path]:
    """The folder of each split, if all folders are those of splits."""
    meanings = {folder: tree.meaning(folder) for folder in folders}
    if not folders or any(told.split is None or told.role == "masks" for told in meanings.values()):
        return {}
    splits = {}
    for folder in sorted(folders, key=lambda name: meanings[name].split != "train"):
        splits[str(meanings[folder].split)] = _without_doubling(root / folder)
    if len(splits) < len(folders):
        raise BadData(f"'{root}' holds one split twice: {', '.join(folders)} (--dataset)")
    if "train" not in splits:
        raise BadData(f"'{root}' holds {', '.join(folders)}, but no train/ (--dataset)")
    return splits


def _without_doubling(folder: Path) -> Path:
    """seg_train/seg_train for seg_train, as some archives are unpacked."""
    inner = tree.folders(folder)
    if len(inner) == 1 and tree.plain(inner[0]) == tree.plain(folder.name) and not tree.holds_images(folder):
        return folder / inner[0]
    return folder


def _hold_splits(root: Path, folders: list[str]) -> bool:
    """Whether each of the folders, those of classes, holds folders of splits alone: CLASS/train, CLASS/test."""
    if not folders or not all(tree.holds_folders_alone(root / folder) for folder in folders):
        return False
    inner = {name for folder in folders for name in tree.folders(root / folder)}
    return all(tree.meaning(name).split is not None for name in inner)


def _find_examples_of_split_classes(root: Path, classes: list[str], notes: collections.Counter[str]) -> list[Example]:
    """The images of root/CLASS/SPLIT."""
    notes["outside the class folders"] += len(tree.images(root, deep=False))
    splits = {label: _split_folders(root / label, tree.folders(root / label)) for label in classes}
    _refuse_shared_folders(root, [folders["train"] for folders in splits.values()])
    examples = []
    for label, folders in splits.items():
        for split, folder in folders.items():
            paths = tree.images(folder, notes)
            if not paths and split == "train":
                raise BadData(f"class '{label}' has no image in '{folder}' (--dataset)")
            examples += [Example(os.path.relpath(path, root), path, split, label) for path in paths]
    return examples


def _check_no_parts(root: Path, folders: list[str]) -> None:
    """Raise if the folders are parts of a data set, each with the same folders of classes, and no classes."""
    others = [folder for folder in folders if tree.meaning(folder).split is None]
    for folder in folders:
        if tree.meaning(folder).split == "train" and others and tree.holds_folders_alone(root / folder):
            raise BadData(f"'{root}' holds {folder}/ and also '{others[0]}', no split: expected {LAYOUTS} (--dataset)")
    _refuse_shared_folders(root, [root / folder for folder in folders])


def _refuse_shared_folders(root: Path, places: list[Path]) -> None:
    """Raise if all places, folders of folders, hold two or more folders of the same names."""
    if len(places) < 2 or not all(tree.holds_folders_alone(place) for place in places):
        return
    shared = set.intersection(*(set(tree.folders(place)) for place in places))
    if len(shared) >= 2:
        parts = ", ".join(os.path.relpath(place, root) for place in places[:3]) + (", ..." if len(places) > 3 else "")
        raise BadData(
            f"the folders of '{root}' ({parts}) hold the same folders ({', '.join(sorted(shared)[:3])}), so that they "
            f"are no classes: expected {LAYOUTS} (--dataset)"
        )


def _find_class_examples(
    root: Path, place: Path, classes: list[str], split: str, notes: collections.Counter[str]
) -> list[Example]:
    """The images of each class in `place`, a folder of class folders."""
    images = {name: tree.images(place / name, notes) for name in classes}
    loose = tree.images(place, notes, deep=False)
    if not any(images.values()):
        held = f"{len(classes)} folders without images" if classes else "no folders"
        raise BadData(f"'{place}' holds {held} and {len(loose)} loose images: expected {LAYOUTS} (--dataset)")
    empty = next((name for name, paths in images.items() if not paths), None)
    if empty is not None and split == "train":
        raise BadData(f"class '{empty}' has no image in '{place / empty}' (--dataset)")
    if loose:
        notes["outside the class folders"] += len(loose)
    return [Example(os.path.relpath(path, root), path, split, name) for name, paths in images.items() for path in paths]


def read_list(file: Path) -> list[Example]:
    """The examples of a .csv file. Raises BadData."""
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
        raise BadData(
            f"'{file}' begins with '{','.join(header)}': neither the columns path,label or path,label,split "
            f"nor an image's path and label (--dataset)"
        )
    examples = _parse_rows(file, columns, rows)
    if not examples:
        raise BadData(f"'{file}' names no image (--dataset)")
    if not any(example.split == "train" for example in examples):
        raise BadData(f"'{file}' has no line of the split train (--dataset)")
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
        split = cells.get("split", "train")
        if split.lower() not in SPLIT_OF:
            raise BadData(f"{where}: split '{split}' is none of {', '.join(SPLIT_OF)} (--dataset)")
        path = os.path.normpath(file.parent / cells["path"])
        if path in line_of:
            raise BadData(f"{where}: '{cells['path']}' stands in line {line_of[path]} already (--dataset)")
        line_of[path] = line
        examples.append(Example(os.path.relpath(path, file.parent), path, SPLIT_OF[split.lower()], cells["label"]))
    return examples
