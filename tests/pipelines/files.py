"""Folders of small images for the tests, and what reading one that cannot be used says."""

import os
import re

import numpy as np
import pytest

from benchmarks.faults.image_files import encode
from pipelines.errors import BadData
from pipelines.readers.folder import read_folder


def picture(number=0, height=6, width=8):
    """A small colour image, another one for each number."""
    return np.full((height, width, 3), [number % 256, number // 256, 99], np.uint8)


def put(path, content=None, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or encode(picture(number), "PNG"))


def classes(root, counts, folder=""):
    """Folders of `counts[name]` images each; every image of the tree differs."""
    for label, (name, count) in enumerate(counts.items()):
        for number in range(count):
            put(root / folder / name / f"{number:03}.png", number=1000 * label + number + 7 * len(folder))


def two_classes(root, pixels, count=10):
    """Classes "one" and "other" of `count` images each, `pixels(label, number)`: of ten 8 to train, 1, 1 to test."""
    for label in ("one", "other"):
        for number in range(count):
            split = {8: "validation", 9: "test"}.get(number % 10, "train")
            put(root / split / label / f"{number}.png", encode(pixels(label, number), "PNG"))


def names(listing, root):
    return {split: [os.path.relpath(path, root) for path in files.paths] for split, files in listing.splits.items()}


def refusal(path, **kwargs):
    with pytest.raises(BadData) as error:
        read_folder(path, **kwargs)
    text = str(error.value)
    assert "\n" not in text
    assert re.search(r"\([a-z_]+( skip)?\)$", text), text
    return text
