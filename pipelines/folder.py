"""Images on the disk: which files a folder or a .csv file names, their classes, and their splits.

Four layouts:

    root/CLASS/**.jpg                             one folder a class, at any depth below it
    root/{train,validation,test}/CLASS/**.jpg     the same in splits; also val, valid
    root/images/**.jpg + root/masks/**.png        segmentation, paired by name without extension; in splits as
                                                  train/images + train/masks or images/train + masks/train
    list.csv                                      columns path, label and perhaps split; paths relative to the file

The classes of masks stand in `classes.txt` in the root, one a line, or are named by their numbers; the classes of
images are their names in order. What a layout lacks of validation and test is cut from its training images by
`splits.cut`, which sees the names in order and the classes, so that a file left out moves no other file. Hidden files
and folders, and files whose name is not that of an image, are left alone.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np

from pipelines import scan
from pipelines.catalogue import BadData
from pipelines.splits import PERIOD, SPLITS, cut

SPLIT_OF = {"train": "train", "test": "test", **dict.fromkeys(("val", "valid", "validation"), "validation")}
LAYOUTS = "one folder for each class, train/ and test/ with such folders, or images/ and masks/"
JUNK = ("__MACOSX", "@eaDir")  # what archives from a Mac and Synology's servers put beside the files


@dataclasses.dataclass(frozen=True)
class Files:
    """One split: n files in the order of their relative names."""

    paths: list[str]  # absolute
    labels: np.ndarray | None  # int64 (n,), of classification
    masks: list[str] | None  # absolute, of segmentation
    shapes: np.ndarray  # int32 (n, 2): height and width as decoded, upright
    decoders: np.ndarray  # uint8 (n,): scan.TF_JPEG, scan.TF_IMAGE or scan.PILLOW
    mask_decoders: np.ndarray | None  # uint8 (n,): scan.TF_IMAGE or scan.PILLOW


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a folder or a .csv file holds."""

    task: str  # "classification" or "segmentation"
    class_names: tuple[str, ...]
    channels: int  # 1 if every image is grey, else 3
    splits: dict[str, Files]  # train, validation, test
    bad: tuple[scan.Bad, ...]  # the files left out
    notes: dict[str, int]  # how many images are converted, by what is odd about them, and how many files left alone
    fingerprint: str  # of relative path, split, label and content of every used file: the same after moving them


@dataclasses.dataclass(frozen=True)
class Example:
    """One image as its place in the layout, or its line in the list, tells it."""

    name: str  # relative path
    path: str
    split: str = "train"
    label: str = ""  # the name of its class
    mask: str | None = None  # absolute path


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
        examples = _listed(root)
    elif root.is_dir():
        examples = _found(root, notes)
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


# The layouts


def _found(root: Path, notes: collections.Counter) -> list[Example]:
    """The examples of a folder, by its layout."""
    folders = _folders(root)
    splits = _split_folders(root, folders)
    if splits:
        notes["outside the split folders"] += len(_images(root, collections.Counter(), deep=False))
        inner = {split: _folders(root / folder) for split, folder in splits.items()}
        if any({"images", "masks"} <= set(folders) for folders in inner.values()):
            places = {split: (root / folder / "images", root / folder / "masks") for split, folder in splits.items()}
            return _pairs(root, places, notes)
        examples = []
        for split, folder in splits.items():
            examples += _of_classes(root, root / folder, inner[split], split, notes)
        return examples
    if {"images", "masks"} <= set(folders):
        splits = _split_folders(root / "images", _folders(root / "images"))
        if splits:
            notes["outside the split folders"] += len(_images(root / "images", collections.Counter(), deep=False))
        splits = splits or {"train": ""}
        return _pairs(root, {split: (root / "images" / f, root / "masks" / f) for split, f in splits.items()}, notes)
    others = [folder for folder in folders if folder.lower() not in SPLIT_OF]
    if "train" in folders and _folders(root / "train") and not any(map(scan.is_image_name, os.listdir(root / "train"))):
        raise BadData(f"'{root}' holds train/ and also '{others[0]}', no split: expected {LAYOUTS} (--dataset)")
    return _of_classes(root, root, folders, "train", notes)


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


def _of_classes(root: Path, place: Path, classes: list[str], split: str, notes: collections.Counter) -> list[Example]:
    found = {name: _images(place / name, notes) for name in classes}
    loose = _images(place, notes, deep=False)
    if not any(found.values()):
        held = f"{len(classes)} folders without images" if classes else "no folders"
        raise BadData(f"'{place}' holds {held} and {len(loose)} loose images: expected {LAYOUTS} (--dataset)")
    empty = next((name for name, images in found.items() if not images), None)
    if empty is not None and split == "train":
        raise BadData(f"class '{empty}' has no image in '{place / empty}' (--dataset)")
    if loose:
        notes["outside the class folders"] += len(loose)
    return [Example(os.path.relpath(path, root), path, split, name) for name, paths in found.items() for path in paths]


def _pairs(root: Path, places: dict[str, tuple[Path, Path]], notes: collections.Counter) -> list[Example]:
    examples = []
    for split, (image_folder, mask_folder) in places.items():
        for folder in (image_folder, mask_folder):
            if not folder.is_dir():
                raise BadData(f"no folder '{folder}': images/ and masks/ go together (--dataset)")
        images, masks = (_by_stem(folder, notes) for folder in (image_folder, mask_folder))
        if not images and not masks:
            raise BadData(f"the {split} split has no image in '{image_folder}' (--dataset)")
        for stem in sorted(set(images) ^ set(masks)):
            kind, folder = ("mask", mask_folder) if stem in images else ("image", image_folder)
            alone = images.get(stem) or masks[stem]
            raise BadData(f"'{alone}' has no {kind} of that name in '{folder}' (--dataset)")
        for stem, path in images.items():
            examples.append(Example(os.path.relpath(path, root), path, split, mask=masks[stem]))
    return examples


def _by_stem(folder: Path, notes: collections.Counter) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in _images(folder, notes):
        first = found.setdefault(os.path.splitext(os.path.relpath(path, folder))[0], path)
        if first != path:
            raise BadData(f"'{first}' and '{path}' have one name, so that their pair is not known (--dataset)")
    return found


def _folders(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir() if entry.is_dir() and _visible_folder(entry.name))


def _visible_folder(name: str) -> bool:
    return not name.startswith(".") and name not in JUNK and not scan.is_image_name(name)


def _images(folder: Path, notes: collections.Counter, deep: bool = True) -> list[str]:
    """The paths in a folder and, if deep, below it that are named as images. Links are followed, but in no circle."""

    def refuse(error):
        raise BadData(f"folder '{error.filename}' cannot be read: {error.strerror} (--dataset)")

    found, seen = [], set()
    for here, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(here)
        named = [name for name in folders if scan.is_image_name(name) and not name.startswith(".")]
        folders[:] = [name for name in folders if _visible_folder(name)] if deep and real not in seen else []
        if real in seen:
            continue
        seen.add(real)
        images = [name for name in files if scan.is_image_name(name) and not name.startswith(".")]
        notes["not an image by name"] += len(files) - len(images)
        found += [os.path.join(here, name) for name in images + named]
    return sorted(found)


def _listed(file: Path) -> list[Example]:
    """The examples of a .csv file."""
    if not file.exists():
        raise BadData(f"no such file: '{file}' (--dataset)")
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"'{file}' cannot be read as comma-separated text: {error} (--dataset)") from None
    if not rows:
        raise BadData(f"'{file}' has no lines (--dataset)")

    columns = [cell.lower() for cell in rows[0][1]]
    if {"path", "label"} <= set(columns):
        rows = rows[1:]
    elif len(columns) in (2, 3) and scan.is_image_name(columns[0]):
        columns = ["path", "label", "split"][: len(columns)]
    else:
        raise BadData(
            f"'{file}' begins with '{','.join(rows[0][1])}': neither the columns path,label or path,label,split "
            f"nor an image's path and label (--dataset)"
        )
    examples, line_of = [], {}
    for line, row in rows:
        where = f"'{file}', line {line}"
        if len(row) != len(columns):
            raise BadData(f"{where}: {len(row)} values, but the file has {len(columns)} columns (--dataset)")
        cells = dict(zip(columns, row, strict=True))
        for column in ("path", "label"):
            if not cells[column]:
                raise BadData(f"{where}: the {column} is empty (--dataset)")
        split = cells.get("split", "train")
        if split.lower() not in SPLIT_OF:
            raise BadData(f"{where}: split '{split}' is none of {', '.join(SPLIT_OF)} (--dataset)")
        path = os.path.normpath(file.parent / cells["path"])
        if path in line_of:
            raise BadData(f"{where}: '{cells['path']}' stands in line {line_of[path]} already (--dataset)")
        line_of[path] = line
        examples.append(Example(os.path.relpath(path, file.parent), path, SPLIT_OF[split.lower()], cells["label"]))
    if not examples:
        raise BadData(f"'{file}' names no image (--dataset)")
    if not any(example.split == "train" for example in examples):
        raise BadData(f"'{file}' has no line of the split train (--dataset)")
    return examples


# From the layout to what is used


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
) -> tuple[dict[str, scan.Facts], dict[str, scan.Facts], dict[str, scan.Bad]]:
    """The facts of each image and of each mask by path, and the files that cannot be used."""
    bad, facts = {}, []
    mask_paths = [example.mask for example in examples if example.mask]
    for paths, are_masks in (([example.path for example in examples], False), (mask_paths, True)):
        found = scan.scan(paths, str(root), cache_dir, masks=are_masks)
        facts.append({one.path: one for one in found if isinstance(one, scan.Facts)})
        bad |= {one.path: one for one in found if isinstance(one, scan.Bad)}
    images, masks = facts
    for example in examples:
        if example.path in bad:
            bad[example.path] = dataclasses.replace(bad[example.path], class_name=example.label)
        elif example.mask in masks:
            image, mask = images[example.path], masks[example.mask]
            if (image.height, image.width) != (mask.height, mask.width):
                sizes = f"a mask of {mask.width}×{mask.height} pixels, but its image has {image.width}×{image.height}"
                bad[example.mask] = scan.Bad(example.mask, "", sizes)
    return images, masks, bad


def _mask_classes(root: Path, masks: dict[str, scan.Facts], bad: dict[str, scan.Bad]) -> tuple[str, ...]:
    """The names of the classes of masks. Masks with a class that classes.txt does not name are added to `bad`."""
    largest = {path: max(set(facts.values) - {scan.IGNORE}, default=0) for path, facts in masks.items()}
    file = root / "classes.txt"
    if not file.is_file():
        return tuple(str(number) for number in range(max(largest.values(), default=0) + 1))
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"'{file}' cannot be read: {error} (--dataset)") from None
    if not 2 <= len(set(names)) == len(names) <= scan.IGNORE or "" in names:
        raise BadData(f"'{file}' must hold 2 ... {scan.IGNORE} different names, one a line (--dataset)")
    for path, number in largest.items():
        if number >= len(names):
            reason = f"class number {number} in a mask, but classes.txt names 0 ... {len(names) - 1}"
            bad.setdefault(path, scan.Bad(path, "", reason))
    return tuple(names)


def _check_classes(class_names: tuple[str, ...], examples: list[Example], root: Path) -> None:
    """Two classes at least, and of images each with one to train on; a class of masks may be in few of them."""
    segmentation = any(example.mask for example in examples)
    if len(class_names) < 2:
        hint = f"; in masks {scan.IGNORE} is for pixels to ignore" if segmentation else ""
        raise BadData(f"'{root}' has class '{class_names[0]}' alone; at least two are needed{hint} (--dataset)")
    trained = {example.label for example in examples if example.split == "train"}
    for name in class_names:
        if name not in trained and not segmentation:
            raise BadData(f"class '{name}' has no image in the training split of '{root}' that can be used (--dataset)")


def _judge(bad: list[scan.Bad], files: int, on_bad_image: str, max_bad: float) -> None:
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
