"""The labels of arrays: class numbers or names, one an example, or masks; numbered as the classes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipelines.errors import BadData
from pipelines.readers.mask_values import MaskValues, apply_table, number_values
from pipelines.targets import IGNORE_LABEL

Keys = dict[str, tuple[str, str]]  # split -> the names of its inputs and labels in the file


class Targets(NamedTuple):
    """The labels of all splits."""

    class_names: tuple[str, ...]
    labels: dict[str, np.ndarray]  # int64 (n,), or masks uint8 (n, h, w) or (n, d, h, w), perhaps IGNORE_LABEL
    notes: dict[str, int]  # what the user should know, and of how many

    @property
    def segmentation(self) -> bool:
        return self.labels["train"].ndim > 1


def read_targets(
    arrays: dict[str, np.ndarray],
    keys: Keys,
    inputs: dict[str, np.ndarray],
    mask_values: Sequence[int] | None,
    where: str,
) -> Targets:
    """Read the labels of each split.

    Args:
        arrays: those of the file; "class_names" names the classes, if it is there.
        keys: the names of the inputs and labels.
        inputs: of each split, (n, ..., channels).
        mask_values: the value of each class in the masks, in order; default: see `mask_values.number_values`.
        where: the file, for messages.

    Raises:
        BadData: they are no labels of these inputs, or out of range; fewer than two classes.
    """
    labels = {split: _check_labels(arrays[y], inputs[split], where, y) for split, (_, y) in keys.items()}
    segmentation = labels["train"].ndim > 1
    for split, (_, y) in keys.items():
        if (labels[split].ndim > 1) != segmentation:
            raise BadData(f"{y} of {where} has shape {arrays[y].shape}, unlike {keys['train'][1]} (--dataset)")
    notes = {}
    if segmentation:
        labels, note = _number_masks(labels, keys, arrays.get("class_names"), mask_values, where)
        notes = {note: sum(map(len, labels.values()))} if note else {}
    class_names = _name_classes(arrays.get("class_names"), labels, keys, where)
    labels = {split: _number_labels(labels[split], class_names, where, y) for split, (_, y) in keys.items()}
    return Targets(class_names, labels, notes)


def _check_labels(y: np.ndarray, x: np.ndarray, where: str, key: str) -> np.ndarray:
    """The labels as (n,) or, of masks, as the inputs without channels, their values as in the file. Raises BadData."""
    if len(y.shape) > 0 and len(y) != len(x):
        raise BadData(f"{key} of {where} has {len(y)} labels for {len(x)} inputs (--dataset)")
    if y.dtype.kind not in "biuUS":
        raise BadData(f"{key} of {where} is {y.dtype}; labels are whole numbers or names (--dataset)")
    if y.ndim > 1 and y.shape[-1] == 1 and y.shape[:-1] in ((len(x),), x.shape[:-1]):
        y = y[..., 0]
    if y.ndim == 1:
        return y
    if y.ndim == x.ndim - 1 >= 3 and y.dtype.kind in "biu":
        if y.shape != x.shape[:-1]:
            sizes = ["×".join(map(str, reversed(shape))) for shape in (y.shape[1:], x.shape[1:-1])]
            units = ("pixels", "images") if x.ndim == 4 else ("voxels", "volumes")
            raise BadData(
                f"{key} of {where} has masks of {sizes[0]} {units[0]}, but its {units[1]} {sizes[1]} (--dataset)"
            )
        return y
    hint = ""
    if y.ndim == 2 and y.dtype.kind in "biu":
        one_hot = bool((y != 0).sum(1).max(initial=0) <= 1)
        hint = "; of one-hot rows take argmax(1)" if one_hot else "; several labels an example are not possible"
    raise BadData(
        f"{key} of {where} has shape {y.shape}; labels are (n,), masks of images (n, h, w), of volumes "
        f"(n, d, h, w){hint} (--dataset)"
    )


def _number_masks(
    masks: dict[str, np.ndarray],
    keys: Keys,
    class_names: np.ndarray | None,
    mask_values: Sequence[int] | None,
    where: str,
) -> tuple[dict[str, np.ndarray], str]:
    """The masks as class numbers, and what the user should know. Raises BadData."""
    for split, y in masks.items():
        if y.size and (y.min() < 0 or y.max() > IGNORE_LABEL):
            label = y.min() if y.min() < 0 else y.max()
            raise BadData(
                f"{keys[split][1]} of {where} has class {label}; classes of masks are 0 ... 254, and {IGNORE_LABEL} to "
                f"ignore (--dataset)"
            )
    values = MaskValues(np.unique(mask).astype(int).tolist() for y in masks.values() for mask in y)
    names = None if class_names is None else class_names.size
    if mask_values is not None and names not in (None, len(mask_values)):
        raise BadData(
            f"class_names of {where} holds {names} names, but {len(mask_values)} values are listed (--mask-values)"
        )
    numbering = number_values(values, where, listed=mask_values, names=names)
    return {split: apply_table(y, numbering.table) for split, y in masks.items()}, numbering.note


def _name_classes(
    class_names: np.ndarray | None, labels: dict[str, np.ndarray], keys: Keys, where: str
) -> tuple[str, ...]:
    """The names in order: those of the file, or those in the training labels, or numbers up to the largest."""
    if class_names is not None:
        names = tuple(map(_text, class_names.ravel()))
        if len(set(names)) < len(names):
            raise BadData(f"class_names of {where} has a name twice (--dataset)")
    elif labels["train"].dtype.kind in "US":
        names = tuple(sorted(set(map(_text, labels["train"]))))
    else:
        masks = labels["train"].ndim > 1
        most = IGNORE_LABEL if masks else len(labels["train"])
        count = 0
        for split, y in labels.items():
            numbers = y[y != IGNORE_LABEL] if masks else y
            if numbers.size and y.dtype.kind in "biu":
                count = max(count, int(numbers.max()) + 1)
            if count > most:
                limit = "of masks are 0 ... 254" if masks else f"have examples, and there are {most} to train on"
                raise BadData(f"{keys[split][1]} of {where} has class {count - 1}; classes {limit} (--dataset)")
        names = tuple(str(number) for number in range(count))
    if len(names) < 2:
        raise BadData(f"{keys['train'][1]} of {where} has {len(names)} class; at least two are needed (--dataset)")
    return names


def _number_labels(y: np.ndarray, class_names: tuple[str, ...], where: str, key: str) -> np.ndarray:
    """The class numbers, int64 (n,) or uint8 (n, h, w), the latter perhaps IGNORE_LABEL. Raises BadData."""
    if y.dtype.kind in "US":
        numbers = {name: number for number, name in enumerate(class_names)}
        unknown = next((name for name in map(_text, y) if name not in numbers), None)
        if unknown is not None:
            raise BadData(f"{key} of {where} has '{unknown}', which is no class of the training labels (--dataset)")
        return np.array([numbers[_text(name)] for name in y], np.int64)
    y = y.astype(np.int64)
    outside = y[((y < 0) | (y >= len(class_names))) & ((y != IGNORE_LABEL) | (y.ndim == 1))]
    if outside.size:
        ignore = f" or {IGNORE_LABEL}, ignore" if y.ndim > 1 else ""
        raise BadData(f"{key} of {where} has class {outside[0]}; 0 ... {len(class_names) - 1}{ignore} (--dataset)")
    return y if y.ndim == 1 else y.astype(np.uint8)


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
