"""The usable images of a folder (`folder_layouts`, `boxes`) or a .csv file (`lists`), with targets, in three splits.

`classes.txt` in the root names the classes of masks, one a line; without it their names are their numbers. The classes
of images are sorted by name. `listing` divides them.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import BadData, BadFile
from pipelines.readers import boxes, folder_layouts, lists
from pipelines.readers.class_file import read_class_names
from pipelines.readers.image_files import ImageFile
from pipelines.readers.listing import Listing, Scan, collect
from pipelines.readers.mask_values import MaskValues, number_values
from pipelines.readers.scan import scan_files
from pipelines.readers.tree import Example, composed
from pipelines.targets import IGNORE_LABEL


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
    if task == "segmentation":
        class_names, mask_table = _name_mask_classes(root, scan, mask_values, notes)
        scan = dataclasses.replace(scan, mask_table=mask_table)
    return collect(task, class_names, examples, scan, str(root), notes, on_bad_image=on_bad_image, max_bad=max_bad)


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


def _scan_examples(examples: list[Example], root: Path, cache_dir: str | None) -> Scan:
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
    return Scan(images, masks, bad)


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
    root: Path, scan: Scan, mask_values: Sequence[int] | None, notes: collections.Counter[str]
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
