"""Examples in one .npz file: images, sounds or volumes with their labels, or images with masks."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from pipelines.errors import BadData
from pipelines.readers.image_files import IGNORE
from pipelines.readers.splits import PERIOD, SPLITS, cut

KEYS = {  # the names of inputs and labels of each split, the first that is found
    "train": (("x_train", "y_train"), ("x", "y"), ("images", "labels")),
    "validation": (("x_val", "y_val"),),
    "test": (("x_test", "y_test"),),
}
CHANNELS = 8  # at most of a sound of several channels: (n, h, w) and (n, length, channels) look alike


@dataclasses.dataclass(frozen=True)
class Arrays:
    """What a .npz file holds."""

    task: str  # "classification" or "segmentation"
    class_names: tuple[str, ...]
    splits: dict[str, tuple[np.ndarray, np.ndarray]]  # train, validation, test: see `read_npz`
    value_range: tuple[float, float]  # what the inputs' values lie in
    fingerprint: str  # of all values that are used


def read_npz(path: str | Path) -> Arrays:
    """Read the examples of a .npz file.

    Its keys are x_train, y_train and perhaps x_val, y_val, x_test, y_test; or x, y; or images, labels. A split that is
    missing is cut from the training examples (`splits.cut`). `class_names` is optional. Nothing is unpickled.

    Inputs, by their shape; booleans become uint8 0 and 1, other types stay:

        (n, length)                     sound, unless uint8, which would be flattened images
        (n, length, c)                  sound, if c <= 8, length >= 8 c, and floating-point or int16
        (n, h, w), (n, h, w, c)         images, channels last: any other of three axes, and all of four
        (n, d, h, w, c)                 volumes

    Labels: integers or names (n,) or (n, 1); or, of images, class numbers (n, h, w) or (n, h, w, 1), 255 = ignore.

    Returns:
        Arrays, each split as (inputs (n, ..., channels), labels int64 (n,) or masks uint8 (n, h, w)). `value_range`
        is (0, 255) for uint8, (-32768, 32768) for int16, else (0, 1) if the training inputs lie in it, else their
        least and largest value.

    Raises:
        BadData: no such file, not an .npz file, or arrays that are missing, of unequal length, of objects, not finite
            or of another shape; labels out of range; fewer than two classes; a class without a training example.
    """
    held = _loaded(Path(path).expanduser())
    where = f"'{path}'"
    splits = {}
    for split, names in KEYS.items():
        pair = next((pair for pair in names if pair[0] in held or pair[1] in held), None)
        if pair and not set(pair) <= set(held):
            missing = pair[1] if pair[0] in held else pair[0]
            raise BadData(f"{where} holds {', '.join(held)}, but no {missing} (--dataset)")
        if pair:
            splits[split] = pair
    if "train" not in splits:
        found = ", ".join(held) or "nothing"
        raise BadData(f"{where} holds {found}; expected x_train and y_train, x and y, or images and labels (--dataset)")

    x_key = splits["train"][0]
    inputs = {split: _inputs(held[x], where, x) for split, (x, _) in splits.items()}
    for split, (x, _) in splits.items():
        if held[x].dtype != held[x_key].dtype or inputs[split].shape[1:] != inputs["train"].shape[1:]:
            raise BadData(
                f"{x} of {where} is {held[x].dtype} of shape {held[x].shape}, "
                f"but {x_key} {held[x_key].dtype} of shape {held[x_key].shape} (--dataset)"
            )
    labels = {split: _labels(held[y], inputs[split], where, y) for split, (_, y) in splits.items()}
    segmentation = labels["train"].ndim > 1
    for split, (_, y) in splits.items():
        if (labels[split].ndim > 1) != segmentation:
            raise BadData(f"{y} of {where} has shape {held[y].shape}, unlike {splits['train'][1]} (--dataset)")
    class_names = _class_names(held.get("class_names"), labels, splits, where)
    labels = {split: _numbered(labels[split], class_names, where, splits[split][1]) for split in splits}

    lacking = [split for split in SPLITS if split not in splits]
    of_one = np.zeros(len(inputs["train"]), np.int64)
    rows = cut(of_one if segmentation else labels["train"], lacking)
    parts = {split: (inputs["train"][row], labels["train"][row]) for split, row in rows.items()} if lacking else {}
    parts = {split: parts[split] if split in parts else (inputs[split], labels[split]) for split in SPLITS}
    for split, (x, _) in parts.items():
        if len(x) == 0:
            count = f"{x_key} of {where} has {len(inputs['train'])} examples"
            hint = f", too few to cut it from: at least {PERIOD}" if split in lacking else ""
            raise BadData(f"the {split} split is empty; {count}{hint} (--dataset)")
    present = np.unique(parts["train"][1])
    for number, name in enumerate(class_names):
        if number not in present and not segmentation:
            raise BadData(f"class '{name}' of {where} has no training example (--dataset)")
    return Arrays(
        task="segmentation" if segmentation else "classification",
        class_names=class_names,
        splits=parts,
        value_range=_value_range(held[x_key].dtype, parts["train"][0], f"{x_key} of {where}"),
        fingerprint=_fingerprint(class_names, parts),
    )


def _loaded(path: Path) -> dict[str, np.ndarray]:
    """The arrays by name."""
    if not path.is_file():
        raise BadData(f"no such file: '{path}' (--dataset)")
    if not zipfile.is_zipfile(path):
        raise BadData(f"'{path}' is no .npz file: numpy.savez writes them (--dataset)")
    held = {}
    wanted = {"class_names"}.union(*(pair for pairs in KEYS.values() for pair in pairs))
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                held[key] = file[key] if key in wanted else None
                if isinstance(held[key], bytes):
                    raise ValueError(f"{key} is no array")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "allow_pickle" in reason:
            reason = f"{key} holds Python objects; store numbers of one shape, and names as text"
        raise BadData(f"'{path}' cannot be read: {reason} (--dataset)") from None
    return held


def _inputs(x: np.ndarray, where: str, key: str) -> np.ndarray:
    """(n, ..., channels)."""
    shape = f"{key} of {where} has shape {x.shape}"
    if x.dtype.kind not in "biuf":
        raise BadData(f"{key} of {where} is {x.dtype}; inputs are whole numbers or floating point (--dataset)")
    if not 2 <= x.ndim <= 5:
        raise BadData(f"{shape}; inputs are sounds (n, length), images (n, h, w, c) or volumes (--dataset)")
    if 0 in x.shape[1:]:
        raise BadData(f"{shape}: its examples are empty (--dataset)")
    if x.ndim == 2 and x.dtype == np.uint8:
        raise BadData(f"{shape} and type uint8, as of flattened images: reshape them to (n, h, w, c) (--dataset)")
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[2] == x.shape[3] > 4:
        raise BadData(f"{shape}, channels first; move them to the last axis (--dataset)")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise BadData(f"{key} of {where} has values that are not finite (--dataset)")
    if x.dtype == bool:
        x = x.astype(np.uint8)
    long = x.ndim == 3 and x.shape[2] <= CHANNELS and x.shape[1] >= 8 * x.shape[2]
    sound = long and (x.dtype.kind == "f" or x.dtype == np.int16)
    return x[..., None] if x.ndim == 2 or (x.ndim == 3 and not sound) else x


def _labels(y: np.ndarray, x: np.ndarray, where: str, key: str) -> np.ndarray:
    """(n,) or, of masks, (n, h, w), as they stand in the file."""
    if len(y.shape) > 0 and len(y) != len(x):
        raise BadData(f"{key} of {where} has {len(y)} labels for {len(x)} inputs (--dataset)")
    if y.dtype.kind not in "biuUS":
        raise BadData(f"{key} of {where} is {y.dtype}; labels are whole numbers or names (--dataset)")
    if y.ndim > 1 and y.shape[-1] == 1 and y.shape[:-1] in ((len(x),), x.shape[:3]):
        y = y[..., 0]
    if y.ndim == 1:
        return y
    if y.ndim == 3 and x.ndim == 4 and y.dtype.kind in "biu":
        if y.shape != x.shape[:3]:
            size = f"{y.shape[2]}×{y.shape[1]} pixels, but its images {x.shape[2]}×{x.shape[1]}"
            raise BadData(f"{key} of {where} has masks of {size} (--dataset)")
        return y
    hint = "; of one-hot rows take argmax(1)" if y.ndim == 2 else ""
    raise BadData(f"{key} of {where} has shape {y.shape}; labels are (n,), masks of images (n, h, w){hint} (--dataset)")


def _class_names(given, labels: dict[str, np.ndarray], splits: dict[str, tuple[str, str]], where: str):
    """The names in order: those given, or those in the training labels, or numbers up to the largest."""
    if given is not None:
        names = tuple(map(_text, given.ravel()))
        if len(set(names)) < len(names):
            raise BadData(f"class_names of {where} has a name twice (--dataset)")
    elif labels["train"].dtype.kind in "US":
        names = tuple(sorted(set(map(_text, labels["train"]))))
    else:
        masks = labels["train"].ndim > 1
        most = IGNORE if masks else len(labels["train"])
        count = 0
        for split, y in labels.items():
            known = y[y != IGNORE] if masks else y
            count = max(count, int(known.max()) + 1 if known.size and y.dtype.kind in "biu" else 0)
            if count > most:
                limit = "of masks are 0 ... 254" if masks else f"have examples, and there are {most} to train on"
                raise BadData(f"{splits[split][1]} of {where} has class {count - 1}; classes {limit} (--dataset)")
        names = tuple(str(number) for number in range(count))
    if len(names) < 2:
        raise BadData(f"{splits['train'][1]} of {where} has {len(names)} class; at least two are needed (--dataset)")
    return names


def _numbered(y: np.ndarray, class_names: tuple[str, ...], where: str, key: str) -> np.ndarray:
    """int64 (n,) or uint8 (n, h, w), each less than the number of classes, or 255 in a mask."""
    if y.dtype.kind in "US":
        numbers = {name: number for number, name in enumerate(class_names)}
        unknown = next((name for name in map(_text, y) if name not in numbers), None)
        if unknown is not None:
            raise BadData(f"{key} of {where} has '{unknown}', which is no class of the training labels (--dataset)")
        return np.array([numbers[_text(name)] for name in y], np.int64)
    y = y.astype(np.int64)
    wrong = y[((y < 0) | (y >= len(class_names))) & ((y != IGNORE) | (y.ndim == 1))]
    if wrong.size:
        ignore = f" or {IGNORE}, ignore" if y.ndim > 1 else ""
        raise BadData(f"{key} of {where} has class {wrong[0]}; 0 ... {len(class_names) - 1}{ignore} (--dataset)")
    return y if y.ndim == 1 else y.astype(np.uint8)


def _text(name) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _value_range(dtype: np.dtype, x: np.ndarray, what: str) -> tuple[float, float]:
    if dtype == np.uint8:
        return 0.0, 255.0
    if dtype == np.int16:
        return -32768.0, 32768.0
    low, high = float(x.min()), float(x.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low == high:
        raise BadData(f"{what} has one value everywhere, {low:g} (--dataset)")
    return low, high


def _fingerprint(class_names: tuple[str, ...], parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    content = hashlib.blake2b(repr(class_names).encode(), digest_size=16)
    for arrays in parts.values():
        for array in arrays:
            content.update(f"{array.dtype.str}{array.shape}".encode())
            content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()
