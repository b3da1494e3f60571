"""Images with boxes, whichever form the annotations have, and their boxes as arrays."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipelines.errors import BadData, BadFile
from pipelines.readers import coco, tree, voc
from pipelines.readers.image_files import ImageFile
from pipelines.readers.tree import Example
from pipelines.targets import Box

EXPECTED = (
    "a .json file of images, annotations and categories (COCO), or JPEGImages/ and Annotations/*.xml (PASCAL VOC)"
)
TURNED = "EXIF orientation"
SERVED = (None, "detection", "reconstruction")  # tasks for which boxes are looked for


def find_examples(
    root: Path, task: str | None, notes: collections.Counter[str]
) -> tuple[tuple[str, ...], list[Example]] | None:
    """The class names and the examples of a folder with annotations of COCO or PASCAL VOC; None for another folder.

    Masks come first: a folder that holds them, too, serves its boxes where `task` is "detection" alone.

    Raises:
        BadData: annotations that cannot be used; none for `task` "detection".
    """
    if task not in SERVED:
        return None
    if task != "detection" and _holds_masks(root):
        return None
    annotated = voc.find_examples(root, notes) or coco.find_examples(root, notes, required=task == "detection")
    if annotated is None and task == "detection":
        raise BadData(f"'{root}' holds no boxes: expected {EXPECTED} (--dataset)")
    return annotated


def _holds_masks(root: Path) -> bool:
    """Whether a folder for masks holds images, and not XML or JSON files alone."""
    named = [root / folder for folder in tree.folders(root) if tree.meaning(folder).role == "masks"]
    return any(tree.images(folder) for folder in named)


def check_files(examples: Sequence[Example], images: Mapping[str, ImageFile], bad: dict[str, BadFile]) -> None:
    """Add the images whose annotations are of another size, or that are turned by their EXIF tag, to the bad files."""
    for example in examples:
        image = images.get(example.path)
        if example.boxes is None or image is None:
            continue
        if TURNED in image.notes:
            bad[example.path] = BadFile(example.path, "", "it has an EXIF orientation, which its boxes may not share")
        elif example.size not in (None, (0, 0), (image.height, image.width)):
            height, width = example.size or (0, 0)
            sizes = f"{image.width}×{image.height} pixels, but its annotations are of {width}×{height}"
            bad[example.path] = BadFile(example.path, "", sizes)


def clip_boxes(
    examples: Sequence[Example], images: Mapping[str, ImageFile], notes: collections.Counter[str]
) -> list[Example]:
    """The examples with their boxes cut at the borders of the images, and without those that have no area there."""
    clipped = []
    for example in examples:
        image = images[example.path]
        boxes = []
        for box in example.boxes or ():
            inside = Box(
                box.label,
                max(box.x1, 0),
                max(box.y1, 0),
                min(box.x2, image.width),
                min(box.y2, image.height),
            )
            if inside.x2 <= inside.x1 or inside.y2 <= inside.y1:
                notes["boxes without an area in their image, left out"] += 1
                continue
            if inside != box:
                notes["boxes cut at the border of their image"] += 1
            boxes.append(inside)
        clipped.append(dataclasses.replace(example, boxes=tuple(boxes)))
    return clipped


def as_arrays(
    examples: Sequence[Example], class_names: Sequence[str], images: Mapping[str, ImageFile]
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of each image and their classes, both padded with -1.

    Returns:
        float32 (images, n, 4) as x1, y1, x2, y2 in shares of the image's sides, and int64 (images, n).
    """
    numbers = {name: number for number, name in enumerate(class_names)}
    most = max(1, *(len(example.boxes or ()) for example in examples))
    boxes = np.full((len(examples), most, 4), -1, np.float32)
    labels = np.full((len(examples), most), -1, np.int64)
    for row, example in enumerate(examples):
        image = images[example.path]
        for column, box in enumerate(example.boxes or ()):
            boxes[row, column] = np.divide(box[1:], [image.width, image.height] * 2)
            labels[row, column] = numbers[box.label]
    return boxes, labels


def check_training(examples: Sequence[Example], root: str) -> None:
    """Raise BadData unless a training image has a box."""
    if not any(example.boxes for example in examples if example.split == "train"):
        raise BadData(f"no image of the training split of '{root}' has a box (--dataset)")
