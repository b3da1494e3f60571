"""A tree of image files: its folders, its images, and what the name of a folder tells.

A name may tell a split, in any case and with `_`, `-` or spaces: train, Training, trn, seg_train, training_set. It may
tell the role in segmentation: images, imgs, JPEGImages; masks, labels, annotations, SegmentationClass. Or both:
train_images, trainannot, labels-val.

Hidden files and folders, and files without an image's extension, are left alone.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pipelines.errors import BadData
from pipelines.readers import image_files
from pipelines.targets import Box

SPLIT_OF = {
    "train": "train",
    "test": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "training": "train",
    "trn": "train",
    "testing": "test",
    "tst": "test",
}
FILLERS = ("set", "data", "dataset", "seg", "split")  # seg_train, training_set: words next to a split's name
IMAGES = ("images", "image", "imgs", "img", "jpegimages", "pictures")
VOC_MASKS = "segmentationclass"
MASKS = (
    VOC_MASKS,
    "masks",
    "mask",
    "labels",
    "label",
    "annotations",
    "annotation",
    "annot",
    "groundtruth",
    "gt",
    "segmentations",
    "segmentation",
)
JUNK = ("__MACOSX", "@eaDir")  # folders that a Mac's archives and Synology's servers add
WORDS = sorted(SPLIT_OF, key=len, reverse=True)  # the longest first: "training" before "train"


@dataclasses.dataclass(frozen=True)
class Example:
    """One image, by its place in the layout or its line in the list."""

    name: str  # relative path
    path: str  # absolute
    split: str = "train"
    label: str = ""  # the name of its class
    mask: str | None = None  # absolute path
    boxes: tuple[Box, ...] | None = None
    size: tuple[int, int] | None = None  # height and width of the image by the annotations of its boxes


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC), in which Linux and Windows write it; a Mac writes letter and accent."""
    return unicodedata.normalize("NFC", name)


class Meaning(NamedTuple):
    """What the name of a folder tells."""

    split: str | None  # train, validation, test
    role: str | None  # images, masks


def meaning(folder: str) -> Meaning:
    """What the name of a folder tells.

    >>> meaning("seg_train"), meaning("trainannot"), meaning("JPEGImages"), meaning("cats")
    (Meaning(split='train', role=None), Meaning(split='train', role='masks'), \
Meaning(split=None, role='images'), Meaning(split=None, role=None))
    """
    name = plain(folder)
    if name in SPLIT_OF:
        return Meaning(SPLIT_OF[name], None)
    if _role(name):
        return Meaning(None, _role(name))
    for word in WORDS:
        if not (name.startswith(word) or name.endswith(word)):
            continue
        rest = name.removeprefix(word) if name.startswith(word) else name.removesuffix(word)
        if rest in FILLERS or _role(rest):
            return Meaning(SPLIT_OF[word], _role(rest))
    return Meaning(None, None)


def plain(folder: str) -> str:
    """The name of a folder in lower case without the marks between words."""
    return folder.lower().replace("_", "").replace("-", "").replace(" ", "")


def _role(name: str) -> str | None:
    return "images" if name in IMAGES else "masks" if name in MASKS else None


def folders(place: Path) -> list[str]:
    """The names of the folders in a folder, sorted."""
    return sorted(entry.name for entry in place.iterdir() if entry.is_dir() and _is_visible(entry.name))


def _is_visible(folder: str) -> bool:
    return not folder.startswith(".") and folder not in JUNK and not image_files.is_image_name(folder)


def images(folder: Path, notes: collections.Counter[str] | None = None, deep: bool = True) -> list[str]:
    """The paths with an image's extension in a folder and, if `deep`, below it, as `files` finds them.

    `notes` counts the other files. Raises BadData for a folder that cannot be read.
    """
    paths, others = files(folder, image_files.is_image_name, deep)
    if notes is not None:
        notes["files without an image suffix, left out"] += others
    return paths


def files(folder: Path, is_taken: Callable[[str], bool], deep: bool = True) -> tuple[list[str], int]:
    """The paths in a folder, and in the folders below it if `deep`, whose names are taken; the number of other files.

    Links are followed, circles are not. A folder that is named as a file is a path, for its reader to refuse. Raises
    BadData for a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise BadData(f"folder '{error.filename}' cannot be read: {error.strerror} (--dataset)")

    paths: list[str] = []
    others = 0
    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(here)
        named = [name for name in folders if is_taken(name) and not name.startswith(".")]
        below = [name for name in folders if _is_visible(name) and name not in named]
        folders[:] = below if deep and real not in seen else []
        if real in seen:
            continue
        seen.add(real)
        taken = [name for name in names if is_taken(name) and not name.startswith(".")]
        others += len(names) - len(taken)
        paths += [os.path.join(here, name) for name in taken + named]
    return sorted(paths), others


def holds_images(folder: Path) -> bool:
    """Whether there is an image by name in a folder itself, not below it."""
    return any(map(image_files.is_image_name, os.listdir(folder)))


def holds_folders_alone(folder: Path) -> bool:
    """Whether a folder holds folders and no image, as that of a split does and that of a class does not."""
    return bool(folders(folder)) and not holds_images(folder)


def stem(path: str, folder: Path) -> str:
    """The name of a file relative to a folder, without extension, composed."""
    return composed(os.path.splitext(os.path.relpath(path, folder))[0])


def index_by_stem(folder: Path, notes: collections.Counter[str]) -> dict[str, str]:
    """The paths of the images in a folder by relative name without extension. Raises BadData."""
    paths: dict[str, str] = {}
    for path in images(folder, notes):
        first = paths.setdefault(stem(path, folder), path)
        if first != path:
            raise BadData(f"'{first}' and '{path}' have one name, so that their pair is ambiguous (--dataset)")
    return paths
