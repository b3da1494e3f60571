"""A folder of IDX files, the format of MNIST and Fashion-MNIST: {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz].

A file is two zeros, a byte for the type (8: uint8), one for the number of axes, their lengths as big-endian 32-bit
numbers, and the values. LeCun, Cortes & Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from pipelines.errors import BadData
from pipelines.readers.npz import Arrays
from pipelines.readers.splits import SPLITS, cut_by_position
from pipelines.shared_memory import take_rows

UINT8 = 8  # the type of the values
PREFIXES = {"train": "train", "test": "t10k"}
KINDS = {"images": "idx3", "labels": "idx1"}
CLASSES = 10  # without classes.txt: names 0 ... 9, or up to the largest label


def find_file(folder: Path, split: str, kind: str) -> Path | None:
    """The file of the "images" or "labels" of "train" or "test"; a dot may stand before idx, .gz at the end."""
    for mark in ("-", "."):
        for ending in ("", ".gz"):
            file = folder / f"{PREFIXES[split]}-{kind}{mark}{KINDS[kind]}-ubyte{ending}"
            if file.is_file():
                return file
    return None


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder holds an IDX file by name."""
    return any(find_file(folder, split, kind) for split in PREFIXES for kind in KINDS)


def read_idx(path: str | Path) -> Arrays:
    """Read the examples of a folder of IDX files; validation is cut from the training examples.

    The names of the classes stand in classes.txt, one a line, or are numbers.

    Returns:
        Arrays, each split as (images uint8 (n, height, width, 1), labels int64 (n,)).

    Raises:
        BadData: a file is missing, damaged, or of another shape or type; images and labels do not match; or a label
            has no name or no training example.
    """
    folder = Path(path).expanduser()
    parts = {}
    for split in PREFIXES:
        images, labels = (_read_file(folder, split, kind) for kind in KINDS)
        if len(images) != len(labels):
            raise BadData(f"'{folder}' holds {len(images)} images and {len(labels)} labels of {split} (--dataset)")
        parts[split] = images[..., None], labels.astype(np.int64)
    if parts["train"][0].shape[1:] != parts["test"][0].shape[1:]:
        shapes = " and ".join(str(images.shape[1:3]) for images, _ in parts.values())
        raise BadData(f"the images of '{folder}' have the shapes {shapes} in training and test (--dataset)")
    class_names = _read_names(folder, int(max(labels.max() for _, labels in parts.values())))
    images, labels = parts["train"]
    rows = cut_by_position(labels, ["validation"])
    for split in ("train", "validation"):
        parts[split] = take_rows(images, rows[split]), labels[rows[split]]
        if not len(rows[split]):
            raise BadData(f"'{folder}' has {len(labels)} training images, too few to cut validation from (--dataset)")
    absent = set(range(len(class_names))) - set(np.unique(parts["train"][1]).tolist())
    if absent:
        raise BadData(f"class '{class_names[min(absent)]}' of '{folder}' has no training image (--dataset)")
    content = hashlib.blake2b(repr(class_names).encode(), digest_size=16)
    for split in SPLITS:
        for array in parts[split]:
            content.update(f"{array.dtype.str}{array.shape}".encode())
            content.update(np.ascontiguousarray(array).data)
    return Arrays(
        task="classification",
        class_names=class_names,
        splits={split: parts[split] for split in SPLITS},
        value_range=(0.0, 255.0),
        fingerprint=content.hexdigest(),
        notes={"images of IDX files, not mirrored unless --hflip says so": len(labels)},
    )


def _read_file(folder: Path, split: str, kind: str) -> np.ndarray:
    """The values of one file."""
    file = find_file(folder, split, kind)
    if file is None:
        raise BadData(f"'{folder}' holds IDX files, but no {PREFIXES[split]}-{kind}-{KINDS[kind]}-ubyte (--dataset)")
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadData(f"'{file}' cannot be read: {reason} (--dataset)") from None
    axes = int(KINDS[kind][-1])
    header = 4 + 4 * axes
    if len(data) < header or data[:4] != bytes([0, 0, UINT8, axes]):
        raise BadData(f"'{file}' is no IDX file of uint8 with {axes} axes: it begins with {data[:4].hex()} (--dataset)")
    lengths = np.frombuffer(data[4:header], ">u4").astype(int).tolist()
    count = int(np.prod(lengths, dtype=object))
    if len(data) - header != count or count == 0:
        shape = "x".join(map(str, lengths))
        raise BadData(f"'{file}' holds {len(data) - header:,} values, but its header says {shape} (--dataset)")
    return np.frombuffer(data, np.uint8, offset=header).reshape(lengths)


def _read_names(folder: Path, largest: int) -> tuple[str, ...]:
    """The names of the classes."""
    file = folder / "classes.txt"
    if not file.is_file():
        return tuple(map(str, range(max(CLASSES, largest + 1))))
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"'{file}' cannot be read: {error} (--dataset)") from None
    if not 2 <= len(set(names)) == len(names) or "" in names or len(names) <= largest:
        raise BadData(f"'{file}' must hold different names, one a line, of the classes 0 ... {largest} (--dataset)")
    return tuple(names)
