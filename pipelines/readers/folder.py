"""Images on the disk: the usable ones of a folder or a .csv file (`layouts`), with their classes, in three splits.

The classes of masks stand in `classes.txt` in the root, one a line, or are named by their numbers; the classes of
images are their names in order. What a layout lacks of validation and test is cut from its training images by
`splits.cut`, which sees the names in order and the classes, so that a file left out moves no other file.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from pipelines.errors import BadData
from pipelines.readers import folder_layouts, image_files, scan
from pipelines.readers.folder_layouts import Example
from pipelines.readers.splits import PERIOD, SPLITS, cut


@dataclasses.dataclass(frozen=True)
class Files:
    """One split: n files in the order of their relative names."""

    paths: list[str]  # absolute
    labels: np.ndarray | None  # int64 (n,), of classification
    masks: list[str] | None  # absolute, of segmentation
    shapes: np.ndarray  # int32 (n, 2): height and width as decoded, upright
    decoders: np.ndarray  # uint8 (n,): examination.TF_JPEG, examination.TF_IMAGE or examination.PILLOW
    mask_decoders: np.ndarray | None  # uint8 (n,): examination.TF_IMAGE or examination.PILLOW


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a folder or a .csv file holds."""

    task: str  # "classification" or "segmentation"
    class_names: tuple[str, ...]
    channels: int  # 1 if every image is grey, else 3
    splits: dict[str, Files]  # train, validation, test
    bad: tuple[image_files.Bad, ...]  # the files left out
    notes: dict[str, int]  # how many images are converted, by what is odd about them, and how many files left alone
    fingerprint: str  # of relative path, split, label and content of every used file: the same after moving them


def read_folder(
    path: str | Path, *, on_bad_image: str = "error", max_bad: float = 0.1, cache_dir: str | None = None
) -> Listing:
    """List the images of a folder or .csv file, look at each (`scan.scan`), and divide them into splits.

    Args:
        path: the folder, or a file ending in .csv.
        on_bad_image: "error", or "skip" to leave out the files that cannot be used.
        max_bad: share of all files, 0 ... 1; if more are bad, they are not left out.
        cache_dir: where the looks are kept; see `scan.scan`.

    Raises:
        BadData: nothing there; no known layout; fewer than two classes; a class without a training image; a label in
            validation or test that training lacks; an empty split; images and masks that do not pair; a faulty line
            of a .csv file; a bad file, or too many of them.
    """
    if on_bad_image not in ("error", "skip"):
        raise BadData(f"bad images are an error or skip, not '{on_bad_image}' (--on-bad-image)")
    root, notes = Path(path).expanduser().absolute(), collections.Counter()
    if root.suffix.lower() == ".csv" and not root.is_dir():
        examples = folder_layouts.listed(root)
    elif root.is_dir():
        examples = folder_layouts.found(root, notes)
    else:
        raise BadData(f"no such folder or .csv file: '{path}' (--dataset)")
    examples = _divided(sorted(examples, key=lambda example: example.name), root)

    images, masks, bad = _looked_at(examples, root, cache_dir)
    segmentation = examples[0].mask is not None
    class_names = _mask_classes(root, masks, bad) if segmentation else tuple(sorted({e.label for e in examples}))
    files = len(examples) * (2 if segmentation else 1)
    _judge(sorted(bad.values(), key=lambda one: one.path), files, on_bad_image, max_bad)
    examples = [example for example in examples if example.path not in bad and example.mask not in bad]
    _check_classes(class_names, examples, root)
    for split in SPLITS:
        if not any(example.split == split for example in examples):
            raise BadData(f"the {split} split of '{root}' has no image that can be used (--dataset)")

    used = [images[example.path] for example in examples]
    notes.update(note for facts in used for note in facts.notes)
    channels = max(facts.channels for facts in used)
    if channels == 3:
        notes["grey among colour"] = sum(facts.channels == 1 for facts in used)
    numbers = {name: number for number, name in enumerate(class_names)}
    splits = {}
    for split in SPLITS:
        part = [example for example in examples if example.split == split]
        facts = [images[example.path] for example in part]
        splits[split] = Files(
            paths=[example.path for example in part],
            labels=None if segmentation else np.array([numbers[e.label] for e in part], np.int64),
            masks=[example.mask for example in part] if segmentation else None,
            shapes=np.array([(one.height, one.width) for one in facts], np.int32),
            decoders=np.array([one.decoder for one in facts], np.uint8),
            mask_decoders=np.array([masks[e.mask].decoder for e in part], np.uint8) if segmentation else None,
        )
    return Listing(
        task="segmentation" if segmentation else "classification",
        class_names=class_names,
        channels=channels,
        splits=splits,
        bad=tuple(sorted(bad.values(), key=lambda one: one.path)),
        notes={note: count for note, count in notes.items() if count},
        fingerprint=_fingerprint(class_names, examples, images, masks),
    )


def _divided(examples: list[Example], root: Path) -> list[Example]:
    """The examples with those of the splits that are lacking cut from the training ones."""
    lacking = [split for split in SPLITS if not any(example.split == split for example in examples)]
    train = [row for row, example in enumerate(examples) if example.split == "train"]
    _, labels = np.unique([examples[row].label for row in train], return_inverse=True)
    divided = list(examples)
    for split, rows in cut(labels, lacking).items():
        if len(rows) == 0:
            raise BadData(
                f"'{root}' has {len(train)} training images, too few to cut the {split} split from: "
                f"at least {PERIOD} of classes with two or more, or a {split} split of its own (--dataset)"
            )
        for row in rows:
            divided[train[row]] = dataclasses.replace(examples[train[row]], split=split)
    return divided


def _looked_at(
    examples: list[Example], root: Path, cache_dir: str | None
) -> tuple[dict[str, image_files.Facts], dict[str, image_files.Facts], dict[str, image_files.Bad]]:
    """The facts of each image and of each mask by path, and the files that cannot be used."""
    bad, facts = {}, []
    mask_paths = [example.mask for example in examples if example.mask]
    for paths, are_masks in (([example.path for example in examples], False), (mask_paths, True)):
        found = scan.scan(paths, str(root), cache_dir, masks=are_masks)
        facts.append({one.path: one for one in found if isinstance(one, image_files.Facts)})
        bad |= {one.path: one for one in found if isinstance(one, image_files.Bad)}
    images, masks = facts
    for example in examples:
        if example.path in bad:
            bad[example.path] = dataclasses.replace(bad[example.path], class_name=example.label)
        elif example.mask in masks:
            image, mask = images[example.path], masks[example.mask]
            if (image.height, image.width) != (mask.height, mask.width):
                sizes = f"a mask of {mask.width}×{mask.height} pixels, but its image has {image.width}×{image.height}"
                bad[example.mask] = image_files.Bad(example.mask, "", sizes)
    return images, masks, bad


def _mask_classes(root: Path, masks: dict[str, image_files.Facts], bad: dict[str, image_files.Bad]) -> tuple[str, ...]:
    """The names of the classes of masks. Masks with a class that classes.txt does not name are added to `bad`."""
    largest = {path: max(set(facts.values) - {image_files.IGNORE}, default=0) for path, facts in masks.items()}
    file = root / "classes.txt"
    if not file.is_file():
        return tuple(str(number) for number in range(max(largest.values(), default=0) + 1))
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"'{file}' cannot be read: {error} (--dataset)") from None
    if not 2 <= len(set(names)) == len(names) <= image_files.IGNORE or "" in names:
        raise BadData(f"'{file}' must hold 2 ... {image_files.IGNORE} different names, one a line (--dataset)")
    for path, number in largest.items():
        if number >= len(names):
            reason = f"class number {number} in a mask, but classes.txt names 0 ... {len(names) - 1}"
            bad.setdefault(path, image_files.Bad(path, "", reason))
    return tuple(names)


def _check_classes(class_names: tuple[str, ...], examples: list[Example], root: Path) -> None:
    """Two classes at least, and of images each with one to train on; a class of masks may be in few of them."""
    segmentation = any(example.mask for example in examples)
    if len(class_names) < 2:
        hint = f"; in masks {image_files.IGNORE} is for pixels to ignore" if segmentation else ""
        raise BadData(f"'{root}' has class '{class_names[0]}' alone; at least two are needed{hint} (--dataset)")
    trained = {example.label for example in examples if example.split == "train"}
    for name in class_names:
        if name not in trained and not segmentation:
            raise BadData(f"class '{name}' has no image in the training split of '{root}' that can be used (--dataset)")


def _judge(bad: list[image_files.Bad], files: int, on_bad_image: str, max_bad: float) -> None:
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


def _fingerprint(class_names, examples: list[Example], images, masks) -> str:
    content = hashlib.blake2b(repr(class_names).encode(), digest_size=16)
    for example in examples:
        label = masks[example.mask].digest if example.mask else example.label
        content.update(repr((example.name, example.split, label, images[example.path].digest)).encode())
    return content.hexdigest()
