"""The usable images of a folder (`folder_layouts`, `boxes`) or a .csv file (`lists`), with targets, in three splits.

`classes.txt` in the root names the classes of masks, one a line; without it their names are their numbers. The classes
of images are sorted by name. `splits.cut_by_content` takes missing validation and test images from the training images:
a file that is added or left out moves no other file.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.errors import BadData, BadFile
from pipelines.pixels import choose_white_level
from pipelines.readers import boxes, folder_layouts, lists
from pipelines.readers.class_file import read_class_names
from pipelines.readers.duplicates import count_duplicates
from pipelines.readers.image_files import ImageFile
from pipelines.readers.mask_values import MaskValues, number_values
from pipelines.readers.scan import scan_files
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
class _Scan:
    """The examined files, by path."""

    images: dict[str, ImageFile]
    masks: dict[str, ImageFile]
    bad: dict[str, BadFile]


def read_folder(
    path: str | Path,
    *,
    task: str | None = None,
    on_bad_image: str = "error",
    max_bad: float = 0.1,
    cache_dir: str | None = None,
    mask_values: Sequence[int] | None = None,
) -> Listing:
    """List the images of a folder or .csv file, examine each (`scan.scan_files`), and divide them into splits.

    Args:
        path: the folder, or a file ending in .csv.
        task: for which it is read, see `boxes.find_examples`; None: the first that it serves.
        on_bad_image: "error", or "skip" to leave out the files that cannot be used.
        max_bad: share of all files, 0 ... 1; if more are bad, none is left out.
        cache_dir: folder of the cached scans; see `scan.scan_files`.
        mask_values: the value of each class in the masks, in order; default: see `mask_values.number_values`.

    Raises:
        BadData: nothing there; no known layout; fewer than two classes; a class without a training image; a label in
            validation or test that training lacks; an empty split; images and masks that do not pair; values of masks
            that are no classes; a faulty line of a .csv file; a bad file, or too many of them.
    """
    if on_bad_image not in ("error", "skip"):
        raise BadData(f"bad images are an error or skip, not '{on_bad_image}' (--on-bad-image)")
    root = Path(path).expanduser().absolute()
    notes: collections.Counter[str] = collections.Counter()
    task, class_names, examples = _find_examples(root, task, notes)
    scan = _scan_examples(examples, root, cache_dir)
    mask_table = None
    if task == "segmentation":
        class_names, mask_table = _name_mask_classes(root, scan, mask_values, notes)
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
        mask_table=mask_table,
        fingerprint=_fingerprint(class_names, mask_table, examples, scan),
        fingerprint_of_positions=_fingerprint(class_names, mask_table, by_position, scan) if missing else "",
        duplicates=count_duplicates(
            {split: [_content(example, scan) for example in examples if example.split == split] for split in SPLITS}
        ),
        white_level=white_level,
    )


def _find_examples(
    root: Path, task: str | None, notes: collections.Counter[str]
) -> tuple[str, tuple[str, ...], list[Example]]:
    """The task, the names of the classes but for masks, and the examples in the order of names. Raises BadData."""
    if root.suffix.lower() == ".csv" and not root.is_dir():
        examples = lists.read_list(root, notes)
    elif not root.is_dir():
        if root.exists():
            raise BadData(f"'{root}' is neither a folder nor a .csv or .npz file (--dataset)")
        raise BadData(f"no such folder or .csv file: '{root}' (--dataset)")
    elif annotated := boxes.find_examples(root, task, notes):
        return "detection", annotated[0], _in_order(annotated[1])
    else:
        examples = folder_layouts.find_examples(root, notes)
    class_names = tuple(sorted({example.label for example in examples}))
    return "segmentation" if examples[0].mask else "classification", class_names, _in_order(examples)


def _in_order(examples: list[Example]) -> list[Example]:
    return sorted(examples, key=lambda example: (composed(example.name), example.name))


def _note_conversions(images: list[ImageFile], channels: int, notes: collections.Counter[str]) -> int:
    """Count what is converted, and return the 16-bit grey sample that becomes 255."""
    white_level, remarks = choose_white_level([image.samples for image in images if image.samples])
    notes.update(remarks)
    notes.update(note for image in images for note in image.notes)
    notes["grey among colour"] = sum(image.channels < channels for image in images)
    return white_level


def _fill_splits(examples: list[Example], missing: list[str], scan: _Scan, root: Path) -> list[Example]:
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


def _content(example: Example, scan: _Scan) -> tuple[str, str]:
    """The digest of an image, and its class, the digest of its mask or its boxes."""
    target = scan.masks[example.mask].digest if example.mask else example.label
    if example.boxes is not None:
        target = repr([tuple(box) for box in example.boxes])
    return scan.images[example.path].digest, target


def _scan_examples(examples: list[Example], root: Path, cache_dir: str | None) -> _Scan:
    """Examine the images and masks. A bad image gets its class; a mask that does not fit its image is bad."""
    bad: dict[str, BadFile] = {}
    mask_paths = [example.mask for example in examples if example.mask]
    images = _scan_paths([example.path for example in examples], root, cache_dir, False, bad)
    masks = _scan_paths(mask_paths, root, cache_dir, True, bad)
    for example in examples:
        if example.path in bad:
            bad[example.path] = dataclasses.replace(bad[example.path], class_name=example.label)
        elif example.mask in masks:
            image, mask = images[example.path], masks[example.mask]
            if (image.height, image.width) != (mask.height, mask.width):
                sizes = f"a mask of {mask.width}×{mask.height} pixels, but its image has {image.width}×{image.height}"
                bad[example.mask] = BadFile(example.mask, "", sizes)
    boxes.check_files(examples, images, bad)
    return _Scan(images, masks, bad)


def _scan_paths(
    paths: list[str], root: Path, cache_dir: str | None, masks: bool, bad: dict[str, BadFile]
) -> dict[str, ImageFile]:
    """The usable files by path. The others are added to `bad`."""
    usable = {}
    for file in scan_files(paths, str(root), cache_dir, masks=masks):
        if isinstance(file, BadFile):
            bad[file.path] = file
        else:
            usable[file.path] = file
    return usable


def _name_mask_classes(
    root: Path, scan: _Scan, mask_values: Sequence[int] | None, notes: collections.Counter[str]
) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """The names of the classes of masks, and the class of each value.

    Masks with a class that classes.txt does not name become bad files.
    """
    values = MaskValues(mask.values for mask in scan.masks.values())
    names = read_class_names(root / "classes.txt")
    numbering = number_values(values, f"'{root}'", listed=mask_values, names=None if names is None else len(names))
    if numbering.note:
        notes[numbering.note] = values.masks
    if names is None:
        return tuple(map(str, range(numbering.classes))), numbering.table
    if len(names) != numbering.classes:
        raise BadData(
            f"'{root / 'classes.txt'}' names {len(names)} classes, but {numbering.classes} values are listed "
            f"(--mask-values)"
        )
    if numbering.table is None:
        for path, mask in scan.masks.items():
            number = max(set(mask.values) - {IGNORE_LABEL}, default=0)
            if number >= len(names):
                reason = f"class number {number} in a mask, but classes.txt names 0 ... {len(names) - 1}"
                scan.bad.setdefault(path, BadFile(path, "", reason))
    return names, numbering.table


def _check_classes(task: str, class_names: tuple[str, ...], examples: list[Example], root: Path) -> None:
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


def _collect_split(examples: list[Example], split: str, class_names: tuple[str, ...], scan: _Scan) -> Files:
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


def _fingerprint(
    class_names: tuple[str, ...], mask_table: tuple[int, ...] | None, examples: list[Example], scan: _Scan
) -> str:
    content = hashlib.blake2b(repr(class_names).encode(), digest_size=16)
    if mask_table is not None:
        content.update(bytes(mask_table))
    for example in examples:
        digest, target = _content(example, scan)
        content.update(repr((composed(example.name), example.split, target, digest)).encode())
    return content.hexdigest()
