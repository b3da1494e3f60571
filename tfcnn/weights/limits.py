"""What is checked of a file of weights: how large it may unpack, and that its values are numbers."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import h5py
import numpy as np
from keras import layers

from tfcnn.errors import BadInput
from tfcnn.weights.stored import StoredLayer

FACTOR = 4  # a file may have float64 values, an optimiser's state, dense layers for larger images
MARGIN = 1 << 30  # bytes: a file may have another head, for 21,841 classes for example


def limit_of(network: Iterable[layers.Layer]) -> int:
    """The bytes that a file with the weights of a network may unpack to."""
    return FACTOR * sum(4 * math.prod(weight.shape) for layer in network for weight in layer.weights) + MARGIN


def check_size(path: str, size: int, limit: int) -> None:
    """Raises BadInput if a file unpacks to more bytes than the network needs."""
    if size > limit:
        raise BadInput(
            f"'{path}' unpacks to {size:,} bytes, and no weights of this network take more than {limit:,}; nothing was "
            f"loaded (--weights)"
        )


def check_archive(path: str, limit: int) -> None:
    """Raises BadInput if the members of a .npz or .keras file unpack to more than `limit` bytes, by its directory.

    A member that is longer than the directory says is cut there when it is read, and its checksum is wrong.

    Raises:
        zipfile.BadZipFile, OSError: it is no such file.
    """
    with zipfile.ZipFile(path) as archive:
        check_size(path, sum(member.file_size for member in archive.infolist()), limit)
        for member in archive.infolist():
            if member.filename.endswith(".h5"):
                with archive.open(member) as file:
                    check_h5(path, file, limit)


def check_h5(path: str, file: str | IO[bytes], limit: int) -> None:
    """Raises BadInput if the datasets of an HDF5 file have more than `limit` bytes, or lie in another file.

    Args:
        path: for the message.
        file: the same path, or the file open for reading.
        limit: bytes.

    Raises:
        OSError: it is no HDF5 file.
    """
    size = 0

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal size
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise BadInput(f"'{path}' cannot be read: tensor {name} lies in another file (--weights)")
            size += math.prod(item.shape or ()) * item.dtype.itemsize

    with h5py.File(file, "r") as content:
        content.visititems(add)
    check_size(path, size, limit)


def check_safetensors(path: str, limit: int) -> None:
    """Raises BadInput if a .safetensors file has more than `limit` bytes.

    Nothing in it is compressed, and safetensors refuses a header whose tensors do not fill the file.
    """
    size = Path(path).stat().st_size
    if size > limit:
        raise BadInput(
            f"'{path}' has {size:,} bytes, and no weights of this network take more than {limit:,}; nothing was loaded "
            f"(--weights)"
        )


def check_finite(path: str, stored: Iterable[StoredLayer]) -> None:
    """Raises BadInput, with the name of the first tensor, if a value is NaN or infinite."""
    for layer in stored:
        for name, array in layer.arrays.items():
            count = array.size - np.count_nonzero(np.isfinite(array))
            if count:
                values = "1 value that is" if count == 1 else f"{count:,} values that are"
                raise BadInput(
                    f"'{path}': {name} of {layer.name} has {values} NaN or infinite; nothing was loaded (--weights)"
                )
