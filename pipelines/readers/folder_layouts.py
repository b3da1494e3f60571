"""The images of a folder, and the split, the class or the mask of each.

Three layouts:

    root/CLASS/**.jpg                             one folder a class, at any depth below it
    root/{train,validation,test}/CLASS/**.jpg     the same in splits; also val, valid
    root/images/**.jpg + root/masks/**.png        segmentation, paired by name without extension; in splits as
                                                  train/images + train/masks or images/train + masks/train

Hidden files and folders, and files without an image's extension, are left alone.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import unicodedata
from pathlib import Path

from pipelines.errors import BadData
from pipelines.readers import image_files

SPLIT_OF = {"train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}
LAYOUTS = "one folder for each class, train/ and test/ with such folders, or images/ and masks/"
JUNK = ("__MACOSX", "@eaDir")  # folders that a Mac's archives and Synology's servers add


@dataclasses.dataclass(frozen=True)
class Example:
    """One image, by its place in the layout or its line in the list."""

    name: str  # relative path
    path: str  # absolute
    split: str = "train"
    label: str = ""  # the name of its class
    mask: str | None = None  # absolute path


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC), in which Linux and Windows write it; a Mac writes letter and accent."""
    return unicodedata.normalize("NFC", name)


def find_examples(root: Path, notes: collections.Counter[str]) -> list[Example]:
    """The examples of a folder, by its layout. `notes` counts the files that are left alone. Raises BadData."""
    folders = _folders(root)
    splits = _split_folders(root, folders)
    if splits:
        notes["outside the split folders"] += len(_images(root, collections.Counter(), deep=False))
        inner = {split: _folders(root / folder) for split, folder in splits.items()}
        if any({"images", "masks"} <= set(folders) for folders in inner.values()):
            places = {split: (root / folder / "images", root / folder / "masks") for split, folder in splits.items()}
            return _pair_masks(root, places, notes)
        examples = []
        for split, folder in splits.items():
            examples += _find_class_examples(root, root / folder, inner[split], split, notes)
        return examples
    if {"images", "masks"} <= set(folders):
        splits = _split_folders(root / "images", _folders(root / "images"))
        if splits:
            notes["outside the split folders"] += len(_images(root / "images", collections.Counter(), deep=False))
        splits = splits or {"train": ""}
        places = {split: (root / "images" / folder, root / "masks" / folder) for split, folder in splits.items()}
        return _pair_masks(root, places, notes)
    others = [folder for folder in folders if folder.lower() not in SPLIT_OF]
    if "train" in folders and _holds_folders_alone(root / "train"):
        raise BadData(f"'{root}' holds train/ and also '{others[0]}', no split: expected {LAYOUTS} (--dataset)")
    return _find_class_examples(root, root, folders, "train", notes)


def _holds_folders_alone(folder: Path) -> bool:
    """Whether a folder holds folders and no image, as that of a split does and that of a class does not."""
    return bool(_folders(folder)) and not any(map(image_files.is_image_name, os.listdir(folder)))


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


def _find_class_examples(
    root: Path, place: Path, classes: list[str], split: str, notes: collections.Counter[str]
) -> list[Example]:
    """The images of each class in `place`, a folder of class folders."""
    images: dict[str, list[str]] = {}
    for folder in classes:
        images[composed(folder)] = images.get(composed(folder), []) + _images(place / folder, notes)
    loose = _images(place, notes, deep=False)
    if not any(images.values()):
        held = f"{len(classes)} folders without images" if classes else "no folders"
        raise BadData(f"'{place}' holds {held} and {len(loose)} loose images: expected {LAYOUTS} (--dataset)")
    empty = next((name for name, paths in images.items() if not paths), None)
    if empty is not None and split == "train":
        raise BadData(f"class '{empty}' has no image in '{place / empty}' (--dataset)")
    if loose:
        notes["outside the class folders"] += len(loose)
    return [Example(os.path.relpath(path, root), path, split, name) for name, paths in images.items() for path in paths]


def _pair_masks(root: Path, places: dict[str, tuple[Path, Path]], notes: collections.Counter[str]) -> list[Example]:
    """The images of each split with their masks; `places`: the folders of both."""
    examples = []
    for split, (image_folder, mask_folder) in places.items():
        for folder in (image_folder, mask_folder):
            if not folder.is_dir():
                raise BadData(f"no folder '{folder}': images/ and masks/ go together (--dataset)")
        images = _index_by_stem(image_folder, notes)
        masks = _index_by_stem(mask_folder, notes)
        if not images and not masks:
            raise BadData(f"the {split} split has no image in '{image_folder}' (--dataset)")
        for stem in sorted(set(images) ^ set(masks)):
            if stem in images:
                raise BadData(f"'{images[stem]}' has no mask of that name in '{mask_folder}' (--dataset)")
            raise BadData(f"'{masks[stem]}' has no image of that name in '{image_folder}' (--dataset)")
        for stem, path in images.items():
            examples.append(Example(os.path.relpath(path, root), path, split, mask=masks[stem]))
    return examples


def _index_by_stem(folder: Path, notes: collections.Counter[str]) -> dict[str, str]:
    """The paths of the images in a folder by relative name without extension."""
    paths: dict[str, str] = {}
    for path in _images(folder, notes):
        first = paths.setdefault(composed(os.path.splitext(os.path.relpath(path, folder))[0]), path)
        if first != path:
            raise BadData(f"'{first}' and '{path}' have one name, so that their pair is ambiguous (--dataset)")
    return paths


def _folders(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir() if entry.is_dir() and _visible_folder(entry.name))


def _visible_folder(name: str) -> bool:
    return not name.startswith(".") and name not in JUNK and not image_files.is_image_name(name)


def _images(folder: Path, notes: collections.Counter[str], deep: bool = True) -> list[str]:
    """The paths with an image's extension in a folder and, if `deep`, below it. Links are followed, circles are not."""

    def refuse(error: OSError) -> None:
        raise BadData(f"folder '{error.filename}' cannot be read: {error.strerror} (--dataset)")

    paths: list[str] = []
    seen = set()
    for here, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(here)
        named = [name for name in folders if image_files.is_image_name(name) and not name.startswith(".")]
        folders[:] = [name for name in folders if _visible_folder(name)] if deep and real not in seen else []
        if real in seen:
            continue
        seen.add(real)
        images = [name for name in files if image_files.is_image_name(name) and not name.startswith(".")]
        notes["not an image by name"] += len(files) - len(images)
        paths += [os.path.join(here, name) for name in images + named]
    return sorted(paths)
