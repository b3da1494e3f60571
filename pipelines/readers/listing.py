"""From examined files to what a data set holds: what is left out, three splits, and the checks of both.

`splits.cut_by_content` takes missing validation and test images from the training images: a file that is added or left
out moves no other file.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools

import numpy as np

from pipelines.errors import BadData, BadFile
from pipelines.pixels import choose_white_level
from pipelines.readers import boxes
from pipelines.readers.duplicates import count_duplicates
from pipelines.readers.image_files import ImageFile
from pipelines.readers.splits import SPLITS, cut_by_content, cut_by_position
from pipelines.readers.tree import Example, composed
from pipelines.targets import IGNORE_LABEL


@dataclasses.dataclass(frozen=True)
class Files:
    """One split: n files in the order of their relative names."""

    paths: list[str]  # absolute
    labels: np.ndarray | None  # int64 (n,), of classification
    masks: list[str] | None  # absolute, of segmentation
    boxes: np.ndarray | None  # float32 (n, most, 4), of detection, and
    box_labels: np.ndarray | None  # int64 (n, most): see `boxes.as_arrays`
    shapes: np.ndarray  # int32 (n, 2): height and width as decoded, upright
    decoders: np.ndarray  # uint8 (n,): image_files.TF_JPEG, image_files.TF_IMAGE or image_files.PILLOW
    mask_decoders: np.ndarray | None  # uint8 (n,): image_files.TF_IMAGE or image_files.PILLOW


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a folder or a .csv file holds."""

    task: str  # "classification", "segmentation" or "detection"
    class_names: tuple[str, ...]
    channels: int  # 1 if every image is grey, else 3
    splits: dict[str, Files]  # train, validation, test
    bad: tuple[BadFile, ...]  # the files left out
    notes: dict[str, int]  # how many images are converted, by what is odd about them, and how many files left alone
    mask_table: tuple[int, ...] | None  # the class of each value of the masks; None: the value
    fingerprint: str  # of relative path, split, label and content of every used file: the same after moving them
    fingerprint_of_positions: str  # that of the versions that cut the splits by position; "" if no split is cut
    duplicates: dict[str, int]  # see `duplicates.count_duplicates`
    white_level: int  # the 16-bit grey sample that becomes 255: see `pixels.find_white_level`


@dataclasses.dataclass(frozen=True)
class Scan:
    """The examined files, by path."""

    images: dict[str, ImageFile]
    masks: dict[str, ImageFile]
    bad: dict[str, BadFile]
    mask_table: tuple[int, ...] | None = None  # the class of each value of the masks; None: the value


def collect(
    task: str,
    class_names: tuple[str, ...],
    examples: list[Example],
    scan: Scan,
    root: str,
    notes: collections.Counter[str],
    *,
    on_bad_image: str,
    max_bad: float,
) -> Listing:
    """Leave out what cannot be used, divide the rest into splits, and check both.

    Args:
        task: "classification", "segmentation" or "detection".
        class_names: in order.
        examples: in order, of the splits that there are.
        scan: the examined files.
        root: where the examples are, for messages.
        notes: gets what is converted or left out.
        on_bad_image, max_bad: as for `folder.read_folder`.

    Raises:
        BadData: as `folder.read_folder`.
    """
    bad = sorted(scan.bad.values(), key=lambda file: file.path)
    _check_bad_files(bad, len(examples) * (2 if task == "segmentation" else 1), on_bad_image, max_bad)
    missing = [split for split in SPLITS if not any(example.split == split for example in examples)]
    good = [example.path not in scan.bad and example.mask not in scan.bad for example in examples]
    by_position = list(itertools.compress(_fill_splits_by_position(examples, missing), good))
    examples = _fill_splits(list(itertools.compress(examples, good)), missing, scan, root)
    if task == "detection":
        examples = boxes.clip_boxes(examples, scan.images, notes)
    _check_classes(task, class_names, examples, root)
    images = [scan.images[example.path] for example in examples]
    channels = max(image.channels for image in images)
    white_level = _note_conversions(images, channels, notes)
    return Listing(
        task=task,
        class_names=class_names,
        channels=channels,
        splits={split: _collect_split(examples, split, class_names, scan) for split in SPLITS},
        bad=tuple(bad),
        notes={note: count for note, count in notes.items() if count},
        mask_table=scan.mask_table,
        fingerprint=_fingerprint(class_names, examples, scan),
        fingerprint_of_positions=_fingerprint(class_names, by_position, scan) if missing else "",
        duplicates=count_duplicates(
            {split: [_content(example, scan) for example in examples if example.split == split] for split in SPLITS}
        ),
        white_level=white_level,
    )


def _note_conversions(images: list[ImageFile], channels: int, notes: collections.Counter[str]) -> int:
    """Count what is converted, and return the 16-bit grey sample that becomes 255."""
    white_level, remarks = choose_white_level([image.samples for image in images if image.samples])
    notes.update(remarks)
    notes.update(note for image in images for note in image.notes)
    notes["grey among colour"] = sum(image.channels < channels for image in images)
    return white_level


def _fill_splits(examples: list[Example], missing: list[str], scan: Scan, root: str) -> list[Example]:
    """The examples, the missing splits cut from the training ones."""
    train = [row for row, example in enumerate(examples) if example.split == "train"]
    labels = [examples[row].label for row in train]
    digests = [scan.images[examples[row].path].digest for row in train]
    filled = list(examples)
    for split, rows in cut_by_content(labels, digests, missing).items():
        if len(rows) == 0:
            raise BadData(
                f"'{root}' has {len(train)} training images, {len(set(digests))} of them different, too few to cut the "
                f"{split} split from: add different images of each class, or a {split} split (--dataset)"
            )
        for row in rows:
            filled[train[row]] = dataclasses.replace(examples[train[row]], split=split)
    return filled


def _fill_splits_by_position(examples: list[Example], missing: list[str]) -> list[Example]:
    """As `_fill_splits`, by the rule of earlier versions, which names the runs that they trained."""
    train = [row for row, example in enumerate(examples) if example.split == "train"]
    _, labels = np.unique([examples[row].label for row in train], return_inverse=True)
    filled = list(examples)
    for split, rows in cut_by_position(labels, missing).items():
        for row in rows:
            filled[train[row]] = dataclasses.replace(examples[train[row]], split=split)
    return filled


def _content(example: Example, scan: Scan) -> tuple[str, str]:
    """The digest of an image, and its class, the digest of its mask or its boxes."""
    target = scan.masks[example.mask].digest if example.mask else example.label
    if example.boxes is not None:
        target = repr([tuple(box) for box in example.boxes])
    return scan.images[example.path].digest, target


def _check_classes(task: str, class_names: tuple[str, ...], examples: list[Example], root: str) -> None:
    """Raise unless there are two classes, a training image of each, and an image in each split.

    Of masks, few may show a class. Of boxes, one class is enough, and some may have none.
    """
    if task == "detection":
        boxes.check_training(examples, root)
    elif len(class_names) < 2:
        hint = f"; in masks {IGNORE_LABEL} is for pixels to ignore" if task == "segmentation" else ""
        raise BadData(f"'{root}' has class '{class_names[0]}' alone; at least two are needed{hint} (--dataset)")
    spelled: dict[str, str] = {}
    for name in class_names:
        other = spelled.setdefault(" ".join(name.split()), name)
        if other != name:
            raise BadData(f"classes '{other}' and '{name}' of '{root}' differ in spaces alone: rename one (--dataset)")
    in_training = {example.label for example in examples if example.split == "train"}
    for name in class_names:
        if name not in in_training and task == "classification":
            raise BadData(f"class '{name}' has no image in the training split of '{root}' that can be used (--dataset)")
    for split in SPLITS:
        if not any(example.split == split for example in examples):
            raise BadData(f"the {split} split of '{root}' has no image that can be used (--dataset)")


def _check_bad_files(bad: list[BadFile], files: int, on_bad_image: str, max_bad: float) -> None:
    """Raise if there are more bad files, of so many, than the caller allows."""
    if not bad:
        return
    of_class = f" (class '{bad[0].class_name}')" if bad[0].class_name else ""
    first = f"'{bad[0].path}'{of_class}: {bad[0].reason}"
    if on_bad_image == "error":
        more = f"; {len(bad) - 1} more of {files} files are bad" if len(bad) > 1 else ""
        raise BadData(f"bad image {first}{more}; mend or remove, or leave out (--on-bad-image skip)")
    if len(bad) / files > max_bad:
        raise BadData(
            f"{len(bad)} of {files} files are bad, more than the share of {max_bad:g} that may be left out; "
            f"the first is {first} (--max-bad)"
        )


def _collect_split(examples: list[Example], split: str, class_names: tuple[str, ...], scan: Scan) -> Files:
    """The files of one split as columns."""
    examples = [example for example in examples if example.split == split]
    images = [scan.images[example.path] for example in examples]
    mask_paths = [example.mask for example in examples if example.mask]
    numbers = {name: number for number, name in enumerate(class_names)}
    labels = None
    mask_decoders = None
    corners = None
    box_labels = None
    if examples[0].boxes is not None:
        corners, box_labels = boxes.as_arrays(examples, class_names, scan.images)
    elif mask_paths:
        mask_decoders = np.array([scan.masks[path].decoder for path in mask_paths], np.uint8)
    else:
        labels = np.array([numbers[example.label] for example in examples], np.int64)
    return Files(
        paths=[example.path for example in examples],
        labels=labels,
        masks=mask_paths or None,
        boxes=corners,
        box_labels=box_labels,
        shapes=np.array([(image.height, image.width) for image in images], np.int32),
        decoders=np.array([image.decoder for image in images], np.uint8),
        mask_decoders=mask_decoders,
    )


def _fingerprint(class_names: tuple[str, ...], examples: list[Example], scan: Scan) -> str:
    content = hashlib.blake2b(repr(class_names).encode(), digest_size=16)
    if scan.mask_table is not None:
        content.update(bytes(scan.mask_table))
    for example in examples:
        digest, target = _content(example, scan)
        content.update(repr((composed(example.name), example.split, target, digest)).encode())
    return content.hexdigest()
