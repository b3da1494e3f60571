"""Which files a folder or a .csv file names, and what their places say of each: its split, its class, its mask.

Four layouts:

    root/CLASS/**.jpg                             one folder a class, at any depth below it
    root/{train,validation,test}/CLASS/**.jpg     the same in splits; also val, valid
    root/images/**.jpg + root/masks/**.png        segmentation, paired by name without extension; in splits as
                                                  train/images + train/masks or images/train + masks/train
    list.csv                                      columns path, label and perhaps split; paths relative to the file

Hidden files and folders, and files whose name is not that of an image, are left alone.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import os
from pathlib import Path

from pipelines.errors import BadData
from pipelines.readers import image_files

SPLIT_OF = {"train": "train", "test": "test", **dict.fromkeys(("val", "valid", "validation"), "validation")}
LAYOUTS = "one folder for each class, train/ and test/ with such folders, or images/ and masks/"
JUNK = ("__MACOSX", "@eaDir")  # what archives from a Mac and Synology's servers put beside the files


@dataclasses.dataclass(frozen=True)
class Example:
    """One image as its place in the layout, or its line in the list, tells it."""

    name: str  # relative path
    path: str
    split: str = "train"
    label: str = ""  # the name of its class
    mask: str | None = None  # absolute path


def found(root: Path, notes: collections.Counter) -> list[Example]:
    """The examples of a folder, by its layout."""
    folders = _folders(root)
    splits = _split_folders(root, folders)
    if splits:
        notes["outside the split folders"] += len(_images(root, collections.Counter(), deep=False))
        inner = {split: _folders(root / folder) for split, folder in splits.items()}
        if any({"images", "masks"} <= set(folders) for folders in inner.values()):
            places = {split: (root / folder / "images", root / folder / "masks") for split, folder in splits.items()}
            return _pairs(root, places, notes)
        examples = []
        for split, folder in splits.items():
            examples += _of_classes(root, root / folder, inner[split], split, notes)
        return examples
    if {"images", "masks"} <= set(folders):
        splits = _split_folders(root / "images", _folders(root / "images"))
        if splits:
            notes["outside the split folders"] += len(_images(root / "images", collections.Counter(), deep=False))
        splits = splits or {"train": ""}
        return _pairs(root, {split: (root / "images" / f, root / "masks" / f) for split, f in splits.items()}, notes)
    others = [folder for folder in folders if folder.lower() not in SPLIT_OF]
    if (
        "train" in folders
        and _folders(root / "train")
        and not any(map(image_files.is_image_name, os.listdir(root / "train")))
    ):
        raise BadData(f"'{root}' holds train/ and also '{others[0]}', no split: expected {LAYOUTS} (--dataset)")
    return _of_classes(root, root, folders, "train", notes)


def _split_folders(root: Path, folders: list[str]) -> dict[str, str]:
    """The folder of each split, if all folders are those of splits."""
    if not folders or not all(folder.lower() in SPLIT_OF for folder in folders):
        return {}
    splits = {SPLIT_OF[folder.lower()]: folder for folder in sorted(folders, key=lambda name: name.lower() != "train")}
    if len(splits) < len(folders):
        raise BadData(f"'{root}' holds one split twice: {', '.join(folders)} (--dataset)")
    if "train" not in splits:
        raise BadData(f"'{root}' holds {', '.join(folders)}, but no train/ (--dataset)")
    return splits


def _of_classes(root: Path, place: Path, classes: list[str], split: str, notes: collections.Counter) -> list[Example]:
    found = {name: _images(place / name, notes) for name in classes}
    loose = _images(place, notes, deep=False)
    if not any(found.values()):
        held = f"{len(classes)} folders without images" if classes else "no folders"
        raise BadData(f"'{place}' holds {held} and {len(loose)} loose images: expected {LAYOUTS} (--dataset)")
    empty = next((name for name, images in found.items() if not images), None)
    if empty is not None and split == "train":
        raise BadData(f"class '{empty}' has no image in '{place / empty}' (--dataset)")
    if loose:
        notes["outside the class folders"] += len(loose)
    return [Example(os.path.relpath(path, root), path, split, name) for name, paths in found.items() for path in paths]


def _pairs(root: Path, places: dict[str, tuple[Path, Path]], notes: collections.Counter) -> list[Example]:
    examples = []
    for split, (image_folder, mask_folder) in places.items():
        for folder in (image_folder, mask_folder):
            if not folder.is_dir():
                raise BadData(f"no folder '{folder}': images/ and masks/ go together (--dataset)")
        images, masks = (_by_stem(folder, notes) for folder in (image_folder, mask_folder))
        if not images and not masks:
            raise BadData(f"the {split} split has no image in '{image_folder}' (--dataset)")
        for stem in sorted(set(images) ^ set(masks)):
            kind, folder = ("mask", mask_folder) if stem in images else ("image", image_folder)
            alone = images.get(stem) or masks[stem]
            raise BadData(f"'{alone}' has no {kind} of that name in '{folder}' (--dataset)")
        for stem, path in images.items():
            examples.append(Example(os.path.relpath(path, root), path, split, mask=masks[stem]))
    return examples


def _by_stem(folder: Path, notes: collections.Counter) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in _images(folder, notes):
        first = found.setdefault(os.path.splitext(os.path.relpath(path, folder))[0], path)
        if first != path:
            raise BadData(f"'{first}' and '{path}' have one name, so that their pair is not known (--dataset)")
    return found


def _folders(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir() if entry.is_dir() and _visible_folder(entry.name))


def _visible_folder(name: str) -> bool:
    return not name.startswith(".") and name not in JUNK and not image_files.is_image_name(name)


def _images(folder: Path, notes: collections.Counter, deep: bool = True) -> list[str]:
    """The paths in a folder and, if deep, below it that are named as images. Links are followed, but in no circle."""

    def refuse(error):
        raise BadData(f"folder '{error.filename}' cannot be read: {error.strerror} (--dataset)")

    found, seen = [], set()
    for here, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(here)
        named = [name for name in folders if image_files.is_image_name(name) and not name.startswith(".")]
        folders[:] = [name for name in folders if _visible_folder(name)] if deep and real not in seen else []
        if real in seen:
            continue
        seen.add(real)
        images = [name for name in files if image_files.is_image_name(name) and not name.startswith(".")]
        notes["not an image by name"] += len(files) - len(images)
        found += [os.path.join(here, name) for name in images + named]
    return sorted(found)


def listed(file: Path) -> list[Example]:
    """The examples of a .csv file."""
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

    columns = [cell.lower() for cell in rows[0][1]]
    if {"path", "label"} <= set(columns):
        rows = rows[1:]
    elif len(columns) in (2, 3) and image_files.is_image_name(columns[0]):
        columns = ["path", "label", "split"][: len(columns)]
    else:
        raise BadData(
            f"'{file}' begins with '{','.join(rows[0][1])}': neither the columns path,label or path,label,split "
            f"nor an image's path and label (--dataset)"
        )
    examples, line_of = [], {}
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
    if not examples:
        raise BadData(f"'{file}' names no image (--dataset)")
    if not any(example.split == "train" for example in examples):
        raise BadData(f"'{file}' has no line of the split train (--dataset)")
    return examples
