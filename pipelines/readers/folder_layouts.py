"""The images of a folder, and the split, the class or the mask of each.

Layouts (SPLIT: train, Training, seg_test, val ..., see `tree`):

    root/CLASS/**.jpg                     one folder a class, at any depth below it
    root/SPLIT/CLASS/**.jpg               the same in splits
    root/CLASS/SPLIT/**.jpg               the same
    root/images/**.jpg + root/masks/**.png    segmentation; other names and splits: see `mask_pairs`
"""

from __future__ import annotations

import collections
import os
from pathlib import Path

from pipelines.errors import BadData
from pipelines.readers import mask_pairs, tree
from pipelines.readers.tree import Example, composed

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
    if not folders or any(meaning.split is None or meaning.role == "masks" for meaning in meanings.values()):
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
    images: dict[str, list[str]] = {}
    for folder in classes:
        images[composed(folder)] = images.get(composed(folder), []) + tree.images(place / folder, notes)
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
