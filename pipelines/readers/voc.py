"""Images with boxes by annotations in the form of PASCAL VOC: an XML file for each image.

    root/JPEGImages/NAME.jpg + root/Annotations/NAME.xml     images/ for JPEGImages/ as well
    root/ImageSets/Main/train.txt, val.txt, test.txt         the names of each split; without them all of Annotations

The corners of a box are pixels that belong to it, counted from 1: the box of the first pixel is 1, 1, 1, 1.
`classes.txt` in the root names the classes; without it they are those of the objects, sorted.
"""

from __future__ import annotations

import collections
import math
import os
from pathlib import Path
from xml.parsers import expat

from pipelines.errors import BadData
from pipelines.readers import tree, voc_lists
from pipelines.readers.class_file import read_class_names
from pipelines.readers.tree import Example, composed
from pipelines.targets import Box

ANNOTATIONS = ("annotations", "annotation", "labels", "xml", "xmls")
MAX_BYTES = 2**24  # of one XML file
CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Unreadable(Exception):
    """An XML file is no annotation; the message is the reason."""


def find_examples(root: Path, notes: collections.Counter[str]) -> tuple[tuple[str, ...], list[Example]] | None:
    """The class names and the examples of a folder; None without such annotations. Raises BadData."""
    folders = tree.folders(root)
    annotations = [folder for folder in folders if tree.plain(folder) in ANNOTATIONS]
    files = {}
    for folder in annotations:
        files = {composed(file.stem): file for file in sorted((root / folder).glob("*.xml"))}
        if files:
            break
    pictures = [folder for folder in folders if tree.meaning(folder).role == "images"]
    if not files or not pictures:
        return None
    if len(pictures) > 1:
        raise BadData(f"'{root}' holds {', '.join(pictures)}: the images lie in one folder (--dataset)")
    images = tree.index_by_stem(root / pictures[0], notes)
    examples = []
    for split, stem in _choose_names(root, files, images):
        if stem not in images:
            raise BadData(f"'{files[stem]}' has no image of that name in '{root / pictures[0]}' (--dataset)")
        boxes, size = _read_annotation(files[stem], notes)
        examples.append(Example(os.path.relpath(images[stem], root), images[stem], split, boxes=boxes, size=size))
    notes["images that are not used, of no list or without annotations"] += len(images) - len(examples)
    return _name_classes(root, examples), examples


def _choose_names(root: Path, files: dict[str, Path], images: dict[str, str]) -> list[tuple[str, str]]:
    """(split, name) of the examples: those with annotations in the lists, or all."""
    lists = root / "ImageSets" / "Main"
    if not lists.is_dir():
        return [("train", stem) for stem in files]
    chosen: dict[str, str] = {}
    for split, file, lines in voc_lists.read_lists(lists):
        for line in lines:
            stem = composed(line.split()[0])
            if stem not in images:
                raise BadData(f"'{file}' names {stem}, but there is no such image (--dataset)")
            if stem in files and chosen.setdefault(stem, split) != split:
                raise BadData(f"'{file}' names {stem}, which is of the {chosen[stem]} split already (--dataset)")
    if "train" not in chosen.values():
        raise BadData(f"no image of train.txt or trainval.txt in '{lists}' has annotations (--dataset)")
    return [(split, stem) for stem, split in chosen.items()]


def _name_classes(root: Path, examples: list[Example]) -> tuple[str, ...]:
    """The names in classes.txt, or those of all objects, sorted."""
    used = {box.label: example for example in examples for box in example.boxes or ()}
    names = read_class_names(root / "classes.txt", least=1)
    if names is None:
        return tuple(sorted(used))
    unknown = sorted(set(used) - set(names))
    if unknown:
        what = f"class '{unknown[0]}' of an object in '{used[unknown[0]].path}'"
        raise BadData(f"'{root / 'classes.txt'}' does not name {what} (--dataset)")
    return names


def _read_annotation(file: Path, notes: collections.Counter[str]) -> tuple[tuple[Box, ...], tuple[int, int] | None]:
    """The boxes in an XML file, and (height, width) of its image, if they are there. Raises BadData."""
    try:
        content = _parse(file)
        boxes = []
        for row in content.objects:
            x1, y1, x2, y2 = (_number(row, corner) for corner in CORNERS)
            if not row.get("name"):
                raise Unreadable("an object has no name")
            boxes.append(Box(composed(row["name"]), x1 - 1, y1 - 1, x2, y2))
            if row.get("difficult") == "1":
                notes["boxes marked as difficult, kept"] += 1
        size = content.size
        if "height" not in size or "width" not in size:
            return tuple(boxes), None
        return tuple(boxes), (int(_number(size, "height")), int(_number(size, "width")))
    except (OSError, Unreadable, expat.ExpatError) as error:
        raise BadData(f"'{file}' cannot be read as an annotation of PASCAL VOC: {error} (--dataset)") from None


def _number(row: dict[str, str], key: str) -> float:
    try:
        number = float(row.get(key, ""))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Unreadable(f"{key} is {row.get(key, 'missing')!r}, no number")
    return number


class _Content:
    """What an XML file says: the size of its image, and the name, corners and marks of each object, as text."""

    def __init__(self) -> None:
        self.size: dict[str, str] = {}
        self.objects: list[dict[str, str]] = []
        self.path: list[str] = []
        self.text = ""

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        self.path.append(tag)
        self.text = ""
        if self.path == ["annotation", "object"]:
            self.objects.append({})

    def end(self, tag: str) -> None:
        match self.path:
            case ["annotation", "size", name]:
                self.size[name] = self.text.strip()
            case ["annotation", "object", name] | ["annotation", "object", "bndbox", name]:
                self.objects[-1][name] = self.text.strip()
        self.path.pop()
        self.text = ""

    def add(self, text: str) -> None:
        self.text += text


def _parse(file: Path) -> _Content:
    """The content of an XML file without a document type, whose entities could grow or name other files."""
    if file.stat().st_size > MAX_BYTES:
        raise Unreadable(f"it is larger than {MAX_BYTES >> 20} MiB")
    content = _Content()
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*declaration: object) -> None:
        raise Unreadable("it declares a document type, as annotations do not")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = content.begin
    parser.EndElementHandler = content.end
    parser.CharacterDataHandler = content.add
    parser.Parse(file.read_bytes(), True)
    return content
