"""Examples in one .npz file: images, sounds or volumes with labels, or images with masks."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import BadData
from pipelines.pixels import FULL_SCALE, find_white_level
from pipelines.readers.array_labels import Keys, Targets, read_targets
from pipelines.readers.channels import CHANNELS, shows_channels_first
from pipelines.readers.duplicates import count_duplicates
from pipelines.readers.splits import PERIOD, SPLITS, cut_by_position
from pipelines.shared_memory import take_rows

KEYS: dict[str, tuple[tuple[str, str], ...]] = {  # names of inputs and labels; the first pair in the file counts
    "train": (("x_train", "y_train"), ("x", "y"), ("images", "labels")),
    "validation": (("x_val", "y_val"),),
    "test": (("x_test", "y_test"),),
}


@dataclasses.dataclass(frozen=True)
class Arrays:
    """What a .npz file holds."""

    task: str  # "classification" or "segmentation"
    class_names: tuple[str, ...]
    splits: dict[str, tuple[np.ndarray, np.ndarray]]  # train, validation, test: see `read_npz`
    value_range: tuple[float, float]  # of the inputs
    fingerprint: str  # of all values that are used
    white_level: int = FULL_SCALE  # of uint16 the end of that range, which is also the white of 16-bit files
    duplicates: dict[str, int] = dataclasses.field(default_factory=dict)  # see `duplicates.count_duplicates`
    notes: dict[str, int] = dataclasses.field(default_factory=dict)  # what the user should know, and of how many
    sample_rate: int | None = None  # of sounds, in Hz, where it is known


def read_npz(path: str | Path, channels: str = "auto", mask_values: Sequence[int] | None = None) -> Arrays:
    """Read the examples of a .npz file.

    Args:
        path: the file.
        channels: "last" or "first" in an example, or "auto": see below.
        mask_values: the value of each class in the masks, in order; default: see `mask_values.number_values`.

    Its keys are x_train, y_train and perhaps x_val, y_val, x_test, y_test; or x, y; or images, labels. A missing split
    is taken from the training examples by `splits.cut_by_position`. `class_names` is optional. Nothing is unpickled.

    Inputs, by their shape; booleans become uint8 0 and 1, other types stay:

        (n, length)                     sound, unless uint8, which would be flattened images
        (n, length, c)                  sound, if c <= 8, length >= 8 c, and floating-point or int16
        (n, h, w), (n, h, w, c)         images, channels last: any other of three axes, and all of four
        (n, d, h, w, c)                 volumes

    Channels stand last. Inputs whose shape shows that they stand first, as in (n, 3, 32, 48), are refused; with
    `channels` "first" they are turned, with "last" they are taken as they are.

    Labels: integers or names (n,) or (n, 1); or masks of images or volumes, of their shape without channels or with 1.

    Returns:
        Arrays, each split as (inputs (n, ..., channels), labels int64 (n,) or masks uint8 (n, h, w) or (n, d, h, w)).
        `value_range` is (-32768, 32768) for int16, (0, 255) for uint8 and 0 to `pixels.find_white_level` for uint16;
        else, and for uint8 of 0 and 1 alone, (0, 1) or (-1, 1) if the training inputs lie in it, else their least and
        largest value.

    Raises:
        BadData: no such file, not an .npz file, or arrays that are missing, of unequal length, of objects, not finite
            or of another shape; labels out of range; values of masks that are no classes; fewer than two classes; a
            class without a training example.
    """
    arrays = _load_arrays(Path(path).expanduser())
    where = f"'{path}'"
    keys = _choose_keys(arrays, where)
    inputs = _collect_inputs(arrays, keys, where, channels)
    targets = read_targets(arrays, keys, inputs, mask_values, where)
    x_key = keys["train"][0]
    dtype = arrays[x_key].dtype
    del arrays  # of what is cut from them, there would be three copies once it is a tensor
    parts = _cut_splits(inputs, targets, keys, where)
    del inputs
    present = np.unique(parts["train"][1])
    for number, name in enumerate(targets.class_names):
        if number not in present and not targets.segmentation:
            raise BadData(f"class '{name}' of {where} has no training example (--dataset)")
    value_range = _value_range(dtype, parts["train"][0], f"{x_key} of {where}")
    return Arrays(
        task="segmentation" if targets.segmentation else "classification",
        class_names=targets.class_names,
        splits=parts,
        value_range=value_range,
        white_level=int(value_range[1]) if dtype == np.uint16 else FULL_SCALE,
        fingerprint=_fingerprint(targets.class_names, parts),
        duplicates=count_duplicates({split: _contents(*pair) for split, pair in parts.items()}),
        notes=targets.notes,
    )


def read_inputs(path: str, axes: int) -> np.ndarray:
    """The inputs alone of a .npz file: its array x, or images.

    Args:
        path: of the file.
        axes: of an example, that of channels included: 2 for sounds, 3 for images, 4 for volumes.

    Returns:
        (n, ...), as it is in the file; with an axis of channels where an example lacks one.

    Raises:
        BadData: no such file, no such array, or one that cannot be used.
    """
    try:
        arrays = _load_arrays(Path(path).expanduser())
        key = next((key for key in ("x", "images") if key in arrays), None)
        if key is None:
            raise BadData(f"'{path}' holds {', '.join(arrays) or 'nothing'}; expected x or images (--dataset)")
        inputs = _check_inputs(arrays[key], f"'{path}'", key, "last")
    except BadData as error:
        raise BadData(error.message.replace("(--dataset)", "(IMAGE)")) from None
    return inputs[..., 0] if inputs.ndim == axes + 2 and inputs.shape[-1] == 1 else inputs


def _cut_splits(
    inputs: dict[str, np.ndarray], targets: Targets, keys: Keys, where: str
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(inputs, labels) of each split, the missing ones cut from the training examples. Raises BadData."""
    missing = [split for split in SPLITS if split not in keys]
    parts = {split: (inputs[split], targets.labels[split]) for split in keys}
    x, labels = parts["train"]
    if missing:
        classes = np.zeros(len(x), np.int64) if targets.segmentation else labels
        for split, rows in cut_by_position(classes, missing).items():
            parts[split] = take_rows(x, rows), labels[rows]
    for split in SPLITS:
        if len(parts[split][0]) == 0:
            count = f"{keys['train'][0]} of {where} has {len(x)} examples"
            hint = f", too few to cut it from: at least {PERIOD}" if split in missing else ""
            raise BadData(f"the {split} split is empty; {count}{hint} (--dataset)")
    return {split: parts[split] for split in SPLITS}


def _load_arrays(path: Path) -> dict[str, Any]:
    """The arrays by name; None for those with other names than `KEYS` and class_names."""
    if not path.is_file():
        raise BadData(f"no such file: '{path}' (--dataset)")
    if _begins(path) == b"\x93NUMPY":
        raise BadData(
            f"'{path}' holds one array, without labels: write inputs and labels to an .npz file, "
            f"numpy.savez('data.npz', x=inputs, y=labels) (--dataset)"
        )
    if not zipfile.is_zipfile(path):
        raise BadData(f"'{path}' is no .npz file: numpy.savez writes them (--dataset)")
    arrays: dict[str, Any] = {}
    wanted = {"class_names"}.union(*(pair for pairs in KEYS.values() for pair in pairs))
    key = "it"
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            for key in file.files:
                arrays[key] = file[key] if key in wanted else None
                if isinstance(arrays[key], bytes):
                    raise ValueError(f"{key} is no array")
    except Exception as error:  # NumPy's reader raises whatever the bytes led it to
        reason = " ".join(str(error).split()) or type(error).__name__
        if "allow_pickle" in reason:
            reason = f"{key} holds Python objects; store numbers of one shape, and names as text"
        raise BadData(f"'{path}' cannot be read: {reason} (--dataset)") from None
    return arrays


def _begins(path: Path) -> bytes:
    """The first six bytes of a file, by which NumPy knows one array. Raises BadData."""
    try:
        with path.open("rb") as file:
            return file.read(6)
    except OSError as error:
        raise BadData(f"'{path}' cannot be read: {error.strerror} (--dataset)") from None


def _choose_keys(arrays: dict[str, Any], where: str) -> Keys:
    """The names of the inputs and labels of each split that the file has."""
    keys = {}
    for split, pairs in KEYS.items():
        pair = next((pair for pair in pairs if pair[0] in arrays or pair[1] in arrays), None)
        if pair is None:
            continue
        if not set(pair) <= set(arrays):
            missing = pair[1] if pair[0] in arrays else pair[0]
            raise BadData(f"{where} holds {', '.join(arrays)}, but no {missing} (--dataset)")
        keys[split] = pair
    if "train" not in keys:
        names = ", ".join(arrays) or "nothing"
        raise BadData(f"{where} holds {names}; expected x_train and y_train, x and y, or images and labels (--dataset)")
    return keys


def _collect_inputs(arrays: dict[str, np.ndarray], keys: Keys, where: str, channels: str) -> dict[str, np.ndarray]:
    """The inputs of each split, of one type and shape."""
    inputs = {split: _check_inputs(arrays[x], where, x, channels) for split, (x, _) in keys.items()}
    x_key = keys["train"][0]
    for split, (x, _) in keys.items():
        if arrays[x].dtype != arrays[x_key].dtype or inputs[split].shape[1:] != inputs["train"].shape[1:]:
            raise BadData(
                f"{x} of {where} is {arrays[x].dtype} of shape {arrays[x].shape}, "
                f"but {x_key} {arrays[x_key].dtype} of shape {arrays[x_key].shape} (--dataset)"
            )
    return inputs


def _check_inputs(x: np.ndarray, where: str, key: str, channels: str) -> np.ndarray:
    """The inputs as (n, ..., channels). Raises BadData."""
    shape = f"{key} of {where} has shape {x.shape}"
    if x.dtype.kind not in "biuf":
        raise BadData(f"{key} of {where} is {x.dtype}; inputs are whole numbers or floating point (--dataset)")
    if not 2 <= x.ndim <= 5:
        raise BadData(f"{shape}; inputs are sounds (n, length), images (n, h, w, c) or volumes (--dataset)")
    if 0 in x.shape[1:]:
        raise BadData(f"{shape}: its examples are empty (--dataset)")
    if x.ndim == 2 and x.dtype == np.uint8:
        raise BadData(f"{shape} and type uint8, as of flattened images: reshape them to (n, h, w, c) (--dataset)")
    if channels == "auto" and shows_channels_first(x):
        raise BadData(
            f"{shape}, channels first: they are expected on the last axis; turn them by --channels first, "
            f"or, if the shape is as you mean it, give --channels last (--dataset)"
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise BadData(f"{key} of {where} has values that are not finite (--dataset)")
    if x.dtype == bool:
        x = x.astype(np.uint8)
    sounds = x.ndim == 3 and (x.dtype.kind == "f" or x.dtype == np.int16)
    if channels == "first" and (x.ndim > 3 or (sounds and x.shape[1] <= CHANNELS)):
        return np.ascontiguousarray(np.moveaxis(x, 1, -1))
    sound = sounds and x.shape[2] <= CHANNELS and x.shape[1] >= 8 * x.shape[2]
    return x[..., None] if x.ndim == 2 or (x.ndim == 3 and not sound) else x


def _value_range(dtype: np.dtype, x: np.ndarray, what: str) -> tuple[float, float]:
    if dtype == np.int16:
        return -32768.0, 32768.0
    low, high = float(x.min()), float(x.max())
    if dtype == np.uint8:
        return 0.0, 255.0 if high > 1 else 1.0
    if dtype == np.uint16:
        return 0.0, float(find_white_level(int(high)))
    if low >= -1 and high <= 1:
        return (0.0, 1.0) if low >= 0 else (-1.0, 1.0)
    if low == high:
        raise BadData(f"{what} has one value everywhere, {low:g} (--dataset)")
    return low, high


def _contents(inputs: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, Any]]:
    """The digest of each input, and its label or the digest of its mask."""
    targets = labels.tolist() if labels.ndim == 1 else list(map(_digest, labels))
    return list(zip(map(_digest, inputs), targets, strict=True))


def _digest(array: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16).digest()


def _fingerprint(class_names: tuple[str, ...], parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    content = hashlib.blake2b(repr(class_names).encode(), digest_size=16)
    for arrays in parts.values():
        for array in arrays:
            content.update(f"{array.dtype.str}{array.shape}".encode())
            content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()
