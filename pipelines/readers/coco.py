"""Images with boxes by annotations in the form of COCO: JSON with images, annotations and categories.

    root/annotations/instances_SPLIT.json    and root/SPLIT/**.jpg, root/images/SPLIT/**.jpg or root/images/**.jpg
    root/SPLIT/ANY.json                      and its images there or in root/SPLIT/images
    root/ANY.json, root/SPLIT.json           and the images as for root/annotations, or in root

SPLIT is a word of the name: train, val ..., as in instances_train2017.json. A box is x, y, width, height in pixels.
"""

from __future__ import annotations

import collections
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.errors import BadData
from pipelines.readers import tree
from pipelines.readers.tree import SPLIT_OF, Example, composed
from pipelines.targets import Box

KEYS = ("images", "annotations", "categories")
TRIED = 20  # images whose files show which folder is meant


def find_examples(
    root: Path, notes: collections.Counter[str], required: bool = False
) -> tuple[tuple[str, ...], list[Example]] | None:
    """The class names, in the order of their numbers, and the examples of a folder; None without such annotations.

    Args:
        root: the data set.
        notes: counts what is left out.
        required: a JSON file that cannot be read is refused and not passed over.

    Raises:
        BadData: annotations that contradict each other, or name what is not there.
    """
    contents = _read_files(root, required)
    if not contents:
        return None
    if "train" not in contents:
        raise BadData(f"'{root}' has annotations of {', '.join(contents)}, but none of train (--dataset)")
    names: dict[int, str] = {}
    examples = []
    for split, (file, content) in contents.items():
        categories = _name_categories(content, file)
        if names and categories != names:
            raise BadData(f"'{file}' has other categories than '{contents['train'][0]}' (--dataset)")
        names = categories
        examples += _read_examples(root, file, split, content, names, notes)
    return tuple(names.values()), examples


Annotations = dict[str, tuple[Path, dict[str, Any]]]  # for each split the file and its content, training first


def _read_files(root: Path, required: bool) -> Annotations:
    """The annotations of the first place that has them; none where no place has."""
    problem = None
    for files in _candidates(root):
        contents: Annotations = {}
        try:
            for split, file in files.items():
                contents[split] = (file, _read(file))
        except BadData as error:
            problem = problem or error
        else:
            if contents:
                return contents
    if required and problem:
        raise problem
    return {}


def _candidates(root: Path) -> Iterator[dict[str, Path]]:
    """For each place the JSON files of the splits, the training split first."""
    for place in (root / "annotations", root):
        files = sorted(place.glob("*.json"))
        files = [file for file in files if file.name.startswith("instances")] or files
        splits = [_split_in(file.stem) for file in files]
        if len(files) == 1 and splits[0] is None:
            yield {"train": files[0]}
        else:
            yield _one_a_split([(split, file) for split, file in zip(splits, files, strict=True) if split])
    folders = [(tree.meaning(folder).split, root / folder) for folder in tree.folders(root)]
    yield _one_a_split([(split, file) for split, folder in folders if split for file in sorted(folder.glob("*.json"))])


def _split_in(stem: str) -> str | None:
    """The split that a word of a name tells: "instances_train2017" -> "train"."""
    return next((SPLIT_OF[word] for word in re.split(r"[^a-z]+", stem.lower()) if word in SPLIT_OF), None)


def _one_a_split(files: list[tuple[str, Path]]) -> dict[str, Path]:
    chosen: dict[str, Path] = {}
    for split, file in sorted(files, key=lambda pair: (pair[0] != "train", pair[1])):
        if split in chosen:
            raise BadData(f"'{chosen[split]}' and '{file}' are both of the {split} split: remove one (--dataset)")
        chosen[split] = file
    return chosen


def _read(file: Path) -> dict[str, Any]:
    """The content of annotations. Raises BadData for another file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(f"'{file}' cannot be read as JSON: {str(error).splitlines()[0]} (--dataset)") from None
    if isinstance(content, dict) and all(isinstance(content.get(key), list) for key in KEYS):
        return content
    raise BadData(f"'{file}' holds no annotations of COCO, which are lists of {', '.join(KEYS)} (--dataset)")


def _name_categories(content: dict[str, Any], file: Path) -> dict[int, str]:
    """The name of each category, in the order of their numbers."""
    names: dict[int, str] = {}
    for row in content["categories"]:
        number = _field(row, "id", int, "a category", file)
        if number in names:
            raise BadData(f"'{file}' has category {number} twice (--dataset)")
        names[number] = composed(_field(row, "name", str, f"category {number}", file))
    repeated = [name for name, count in collections.Counter(names.values()).items() if count > 1]
    if repeated or not names:
        what = f"two categories '{repeated[0]}'" if repeated else "no categories"
        raise BadData(f"'{file}' has {what} (--dataset)")
    return dict(sorted(names.items()))


def _read_examples(
    root: Path,
    file: Path,
    split: str,
    content: dict[str, Any],
    names: dict[int, str],
    notes: collections.Counter[str],
) -> list[Example]:
    """The images of one file with their boxes, those without boxes included; crowds are left out."""
    images: dict[int | str, str] = {}
    sizes: dict[int | str, tuple[int, int] | None] = {}
    for row in content["images"]:
        number = _field(row, "id", (int, str), "an image", file)
        if number in images:
            raise BadData(f"'{file}' has image {number!r} twice (--dataset)")
        images[number] = _check_name(_field(row, "file_name", str, f"image {number!r}", file), file)
        height = row.get("height")
        width = row.get("width")
        sizes[number] = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    if not images:
        raise BadData(f"'{file}' has no images (--dataset)")
    boxes: dict[int | str, list[Box]] = {number: [] for number in images}
    for row in content["annotations"]:
        what = f"annotation {row.get('id')!r}" if isinstance(row, dict) else "an annotation"
        image = _field(row, "image_id", (int, str), what, file)
        category = _field(row, "category_id", int, what, file)
        if image not in images:
            raise BadData(f"'{file}': {what} is of image {image!r}, which is not among its images (--dataset)")
        if category not in names:
            raise BadData(f"'{file}': {what} is of category {category}, which is not among its categories (--dataset)")
        if row.get("iscrowd"):
            notes["boxes of crowds, left out"] += 1
            continue
        x, y, width, height = _read_box(row, what, file)
        boxes[image].append(Box(names[category], x, y, x + width, y + height))
    folder = _choose_folder(root, file, split, list(images.values()))
    examples = []
    for number, name in images.items():
        path = os.path.join(folder, name)
        relative = os.path.relpath(path, root)
        examples.append(Example(relative, path, split, boxes=tuple(boxes[number]), size=sizes[number]))
    return examples


def _field(row: Any, key: str, kind: type | tuple[type, ...], what: str, file: Path) -> Any:
    """A field of a row, if it is of that type."""
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadData(f"'{file}': {what} has no {key}, or another kind of value there (--dataset)")
    return value


def _read_box(row: dict[str, Any], what: str, file: Path) -> list[float]:
    """x, y, width, height."""
    box = _field(row, "bbox", list, what, file)
    is_number = [isinstance(value, int | float) and not isinstance(value, bool) for value in box]
    if len(box) != 4 or not all(is_number) or not all(map(math.isfinite, box)):
        raise BadData(f"'{file}': {what} has bbox {box}, not x, y, width, height (--dataset)")
    return box


def _check_name(name: str, file: Path) -> str:
    """The name of an image's file, if that lies in its folder."""
    normal = os.path.normpath(name)
    if os.path.isabs(name) or normal.split(os.sep)[0] == ".." or "\0" in name:
        raise BadData(f"'{file}' names the image {name!r}, which lies outside its folder (--dataset)")
    return normal


def _choose_folder(root: Path, file: Path, split: str, names: list[str]) -> Path:
    """The folder in which most of the first images lie."""
    own = re.sub(r"^instances_", "", file.stem)  # train2017 of instances_train2017
    splits = [folder for folder in tree.folders(root) if tree.meaning(folder).split == split]
    images = [folder for folder in tree.folders(root) if tree.meaning(folder).role == "images"]
    folders = [file.parent, file.parent / "images", root, root / own]
    folders += [root / folder for folder in splits]
    for folder in images:
        within = [name for name in tree.folders(root / folder) if tree.meaning(name).split == split]
        folders += [root / folder, root / folder / own, *(root / folder / name for name in within)]
    tried = names[:TRIED]
    counts = [sum((folder / name).is_file() for name in tried) for folder in folders]
    if max(counts) == 0:
        raise BadData(f"'{file}' names the image '{tried[0]}', which no folder of '{root}' holds (--dataset)")
    return folders[counts.index(max(counts))]
